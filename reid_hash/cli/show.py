"""What commands print: tables of results and notes."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from reid_hash.experiments.describe import distance_name

COLUMNS = ("rank1", "rank5", "rank10", "rank20", "rank30", "map", "map_trapezoid", "minp")
HEADERS = ("rank-1", "rank-5", "rank-10", "rank-20", "rank-30", "mAP", "mAP trap.", "mINP")


def notes(lines: Sequence[str], console: Console | None) -> None:
    """Print what a reader of the figures must know."""
    if console is not None:
        for line in lines:
            console.print(f"note: {line}", soft_wrap=True, markup=False)


def results_table(records: Sequence[Mapping[str, Any]], spread: bool = True) -> None:
    """Print flat records as a table, in percent; ± is the standard deviation over draws.

    Args:
        records: rows with `bits`, `weighted`, and fractions by the names of `COLUMNS`.
        spread: print deviations where there are any.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("bits", justify="right", no_wrap=True)
    table.add_column("distance", no_wrap=True)
    for header in HEADERS:
        table.add_column(header, justify="right", no_wrap=True)
    for record in records:
        cells = [_figure(record, name, spread and name == "rank1") for name in COLUMNS]
        table.add_row(str(record["bits"]), distance_name(record), *cells)
    # a pipe or a file has no width: nothing may be cut there
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    console.print(table)


def _figure(record: Mapping[str, Any], name: str, spread: bool) -> str:
    text = f"{100 * record[name]:.1f}"
    if spread and f"{name}_std" in record:
        text += f" ±{100 * record[f'{name}_std']:.1f}"
    return text


def written(path: object) -> None:
    """Print where something was written."""
    click.echo(f"wrote {path}", err=True)
