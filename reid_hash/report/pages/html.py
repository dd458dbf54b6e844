"""One self-contained HTML page about a run, which makes no network requests."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from reid_hash.report.formats import (
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
    """Content of a report.

    Attributes:
        title: heading of the page.
        summary: a sentence or two below the title.
        facts: (name, value) of what was run and on what: command, data set, protocol, camera
            rule, ties, AP definitions, seed, machine, time, version.
        notes: what a reader must know to judge the figures, one paragraph each.
        records: flat result records, one per table row, in this order: `bits`, `weighted`,
            fractions such as `rank1` or `map` with an optional `…_std`, and if applicable
            `method` and `reported` (True or "unverified").
        figures: (caption, figure).
        config: the configuration as YAML text.
        figures_first: whether figures come before the table of results instead of after it.
        item: what a code represents, with its article.
        plain: (key, heading) of record entries that are not shares, such as milliseconds.
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
    """A table cell: a figure, its deviation, and whether it is the best in its column."""

    text: str
    deviation: str = ""
    best: bool = False


@dataclass(frozen=True)
class TableRow:
    """A table row; `starts` is True if its method or length differs from the row above."""

    method: str
    bits: str
    size: str
    weighted: str
    cells: list[Cell]
    starts: bool
    plain: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """The formatted result table. `methods` is False if all records have the same method."""

    methods: bool = False
    columns: list[str] = field(default_factory=list)
    rows: list[TableRow] = field(default_factory=list)
    meanings: list[str] = field(default_factory=list)
    deviations: bool = False
    marks: bool = False


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write a report as one HTML file, atomically.

    Args:
        path: the file; a missing folder is created.
        report: content of the report. All text is escaped.

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
    """Format records as percentages with one decimal, marking the best of each column.

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
    """Encode a figure at twice its displayed size, for sharpness.

    Plots are PNG. A figure with photographs is JPEG, a tenth of the bytes, without chroma
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
