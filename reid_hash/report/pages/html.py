"""One self-contained HTML page about a run: opens anywhere, asks the network for nothing."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from reid_hash.report.numbers import (
    MISSING,
    best_text,
    figure_columns,
    figure_name,
    has,
    meanings,
    number,
    percent,
)
from reid_hash.report.style import AS_REPORTED, DPI, UNVERIFIED
from reid_hash.utils.files import write_text

TEMPLATE = "report.html.j2"


@dataclass(frozen=True, eq=False)
class Report:
    """What a report says.

    Attributes:
        title: heading of the page.
        summary: a sentence or two below it.
        facts: (name, value) of what was run and on what: command, data set, protocol, camera
            rule, ties, AP definitions, seed, machine, time, version.
        notes: what a reader must know to judge the figures; one paragraph each.
        records: flat result records, one a table row, in this order: `bits`, `weighted`,
            fractions such as `rank1` or `map` with `…_std` where there is one, `method` and
            `reported` where they apply: True, or "unverified".
        figures: (caption, figure).
        config: the configuration, YAML text.
        figures_first: whether the figures stand above the table of results, and not below it.
        item: what a code stands for, with its article.
        plain: (key, heading) of numbers in the records that are no shares, such as milliseconds.
    """

    title: str
    summary: str = ""
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    records: Sequence[Mapping[str, Any]] = ()
    figures: Sequence[tuple[str, Figure]] = ()
    config: str = ""
    figures_first: bool = False
    item: str = "a person"
    plain: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Cell:
    """A table cell: a figure, its deviation, and whether it is the best of its column."""

    text: str
    deviation: str = ""
    best: bool = False


@dataclass(frozen=True)
class TableRow:
    """A table row; `starts` where its method or length differs from the row's above."""

    method: str
    bits: str
    size: str
    weighted: str
    cells: list[Cell]
    starts: bool
    plain: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """The result table, ready to print. `methods` is False where all records have the same."""

    methods: bool = False
    columns: list[str] = field(default_factory=list)
    rows: list[TableRow] = field(default_factory=list)
    meanings: list[str] = field(default_factory=list)
    deviations: bool = False
    marks: bool = False


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write a report as one HTML file, whole or not at all.

    Args:
        path: the file; its folder is created if it is missing.
        report: what it says. All text is escaped.

    Raises:
        ReidHashError: the file cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pictures = [_picture(caption, figure) for caption, figure in report.figures]
    page = environment.get_template(TEMPLATE).render(
        report=report, table=result_table(report.records, report.plain), pictures=pictures
    )
    write_text(path, page)


def result_table(
    records: Sequence[Mapping[str, Any]], plain: Sequence[tuple[str, str]] = ()
) -> Table:
    """Format records: percent with one decimal, the best of each column marked.

    Args:
        records: see `Report.records`.
        plain: see `Report.plain`.
    """
    columns = figure_columns(records)
    best = {name: best_text(records, name) for name in columns}
    rows = []
    before = None
    for record in records:
        cells = []
        for name in columns:
            text, _, deviation = percent(record, name).partition(" ± ")
            cells.append(Cell(text, deviation, text == best[name]))
        group = (record.get("method"), record.get("bits"))
        rows.append(
            TableRow(
                method=_method(record),
                bits=f"{int(record['bits']):,}" if has(record, "bits") else MISSING,
                size=f"{-(-int(record['bits']) // 8):,}" if has(record, "bits") else MISSING,
                weighted=_weighted(record.get("weighted")),
                cells=cells,
                starts=before is not None and group != before,
                plain=[number(record, key) for key, _ in plain],
            )
        )
        before = group
    return Table(
        methods=len({row.method for row in rows}) > 1,
        columns=[figure_name(name) for name in columns],
        rows=rows,
        meanings=meanings(columns),
        deviations=any(cell.deviation for row in rows for cell in row.cells),
        marks=any(cell.best for row in rows for cell in row.cells),
    )


def _method(record: Mapping[str, Any]) -> str:
    name = str(record.get("method") or MISSING)
    if record.get("reported") == "unverified":
        return f"{name}{UNVERIFIED}"
    return f"{name}{AS_REPORTED}" if record.get("reported") else name


def _weighted(value: Any) -> str:
    return MISSING if value is None else "weighted" if value else "unweighted"


def _picture(caption: str, figure: Figure) -> dict[str, Any]:
    """A figure at twice the size it is shown at, so that it stays sharp.

    Plots are PNG. A figure with photographs is JPEG, a tenth of the bytes, without colour
    subsampling, which would blur its coloured frames and small text.
    """
    buffer = io.BytesIO()
    photographs = any(axes.images for axes in figure.axes)
    if photographs:
        options = {"quality": 90, "subsampling": 0, "optimize": True}
        figure.savefig(buffer, format="jpeg", dpi=2 * DPI, pil_kwargs=options)
    else:
        figure.savefig(buffer, format="png", dpi=2 * DPI, metadata={"Software": None})
    return {
        "caption": caption,
        "alt": str(figure.get_label() or caption),
        "type": "image/jpeg" if photographs else "image/png",
        "data": base64.b64encode(buffer.getvalue()).decode("ascii"),
        "width": round(figure.get_figwidth() * DPI),
        "height": round(figure.get_figheight() * DPI),
    }
