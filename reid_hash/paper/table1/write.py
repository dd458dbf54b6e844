"""The files of table 1: a page, numbers, and the CMC plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid_hash import __version__
from reid_hash.evaluation import describe
from reid_hash.paper.figures.write import csv_text, network_facts, network_line
from reid_hash.paper.table1.table import NAME, PLAIN, Table1
from reid_hash.report.pages.html import Report, write_report
from reid_hash.report.style import save_figure
from reid_hash.utils.files import write_text

_LEFT_OUT = ("map_trapezoid", "minp")  # of the page's table, which is wide enough


def write_table1(table: Table1, folder: Path, command: str = "") -> list[Path]:
    """Write table1.png, .svg, .csv, .json and .html.

    Args:
        table: what was measured.
        folder: where to; it is created if it is missing.
        command: that was run, for the page.

    Returns:
        The files.
    """
    paths = {
        suffix: folder / f"{NAME}.{suffix}" for suffix in ("png", "svg", "csv", "json", "html")
    }
    picture = table.plot()
    save_figure(picture, paths["png"])
    save_figure(picture, paths["svg"])
    write_text(paths["csv"], csv_text(table.records))
    describe.write_json(paths["json"], _as_object(table))
    write_report(paths["html"], _page(table, command))
    return list(paths.values())


def _as_object(table: Table1) -> dict[str, Any]:
    value = describe.result_object(
        table.dataset,
        f"{len(table.networks)} networks, see `networks`",
        table.seed,
        table.records,
        describe.DRAWS,
        table=NAME,
        split=table.split,
        queries=len(table.dataset.query),
        scaled_down=table.scaled_down or None,
        networks=[network_facts(network) for network in table.networks],
        curves=[
            {
                "method": spec.title,
                "weighted": row.figures["weighted"],
                "rates": row.curve.tolist(),
                "std": None if row.curve_std is None else row.curve_std.tolist(),
            }
            for spec, row in table.rows
        ],
    )
    return {**value, "notes": list(table.notes)}


def _page(table: Table1, command: str) -> Report:
    scaled = table.scaled_down
    summary = (
        "Table 1 of Zhang et al. (IEEE TIP 2015), made anew: match rates at ranks 1 to 30, mean "
        "over the gallery draws."
    )
    return Report(
        title=table.title,
        summary=f"{summary} {scaled[:1].upper()}{scaled[1:]}." if scaled else summary,
        facts=[
            ("command", command),
            (
                "data set",
                f"{describe.protocol_line(table.dataset, describe.DRAWS)} (split {table.split})",
            ),
            *describe.rules(table.dataset),
            ("ties", describe.TIES),
            ("networks", "\n".join(network_line(network_facts(n)) for n in table.networks)),
            ("seed", str(table.seed)),
            ("version", f"reid_hash {__version__}"),
        ],
        notes=list(table.notes),
        records=[_shown(record) for record in table.records],
        figures=[("Share of queries whose match is among the first ranks.", table.plot())],
        config="---\n".join(f"# {n.name}\n{n.config.to_yaml()}" for n in table.networks),
        plain=PLAIN[1:],  # bytes have a column of their own there
    )


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in record.items()
        if not key.removesuffix("_std").startswith(_LEFT_OUT)
    }
