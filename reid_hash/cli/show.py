"""What commands print: tables of results and notes."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from reid_hash.evaluation.describe import distance_name
from reid_hash.models.head_encoder import Head
from reid_hash.report.numbers import MISSING, figure_name, number
from reid_hash.utils.visible import remark, visible

COLUMNS = (
    *("rank1", "rank5", "rank10", "rank20", "rank30", "map", "map_trapezoid", "minp"),
    "tpir_at_fpir_1",
)
RETRIEVAL_COLUMNS = (
    "map",
    "map_at_5000",
    "precision_at_500",
    "ndcg_at_500",
    "precision_radius_2",
    "empty_ball_share",
)
SHORT = {
    "map_trapezoid": "mAP trap.",
    "precision_at_500": "P@500",
    "precision_radius_2": "P r≤2",
    "tpir_at_fpir_1": "TPIR@1%",
}
"""Headers that are shorter than the figures' names."""


def notes(lines: Sequence[str], console: Console | None) -> None:
    """Print what a reader of the figures must know."""
    if console is not None:
        for text in lines:
            remark(console, f"note: {text}")


def results_table(
    records: Sequence[Mapping[str, Any]],
    columns: Sequence[str] = COLUMNS,
    spread: bool = True,
    plain: Sequence[tuple[str, str]] = (),
) -> None:
    """Print flat records as a table, in percent; ± is the standard deviation over draws.

    Args:
        records: rows with `bits`, `weighted`, and fractions by the names of the columns.
        columns: which figures; those that no record has are left out.
        spread: print deviations where there are any.
        plain: (key, header) of numbers that are no shares, such as milliseconds.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    # the float embedding has its name in the column of distances
    named = (
        r for r in records if r.get("reported") or "distance" in r or r["weighted"] is not None
    )
    several = len({record.get("method") for record in named}) > 1
    if several:
        table.add_column("method", no_wrap=True)
    table.add_column("bits", justify="right", no_wrap=True)
    table.add_column("distance", no_wrap=True)
    columns = [name for name in columns if any(name in record for record in records)]
    for name in columns:
        header = SHORT.get(name, figure_name(name).replace(" at ", "@"))
        table.add_column(header, justify="right", no_wrap=True)
    for _, header in plain:
        table.add_column(header, justify="right", no_wrap=True)
    for record in records:
        cells = [_figure(record, name, spread and name == "rank1") for name in columns]
        method = [str(record.get("method") or MISSING)] if several else []
        cells += [number(record, key) for key, _ in plain]
        bits = MISSING if record["bits"] is None else str(record["bits"])
        row(table, *method, bits, distance_name(record), *cells)
    # a pipe or a file has no width: nothing may be cut there
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000
        console.width = max(140, Measurement.get(console, console.options, table).maximum)
    console.print(table)


def _figure(record: Mapping[str, Any], name: str, spread: bool) -> str:
    if name not in record:
        return MISSING
    text = f"{100 * record[name]:.1f}"
    if spread and f"{name}_std" in record:
        text += f" ±{100 * record[f'{name}_std']:.1f}"
    return text


_METHODS = {
    "head": "this head",
    "sign": "sign of a random rotation",
    "itq": "ITQ of that length",
    "pq": "FAISS PQ",
    "rabitq": "FAISS RaBitQ",
}


def head(found: Head, name: str) -> None:
    """Print what is known of a head, and its certificate."""
    about = found.trained_on
    bits, dims = found.matrix.shape
    line(f"head {name}: {bits} bits of vectors of {dims}, fingerprint {found.fingerprint}")
    if about.get("embeddings"):
        people = f", {about['identities']:,} identities" if about.get("identities") else ""
        line(f"fitted on {about['embeddings']:,} embeddings{people}")
    certificate(found.certificate)


def certificate(found: Mapping[str, Any]) -> None:
    """Print a certificate: figures in percent, intervals of 95 %, and a sentence a length."""
    if not found:
        line("no certificate was measured")
        return
    if found["rows"]:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("method", no_wrap=True)
        for header in ("bytes", "rank-1", "", "mAP", "asymmetric", "", "mAP"):
            table.add_column(header, justify="right", no_wrap=True)
        pairs: dict[tuple[int, str], dict[bool, Mapping[str, Any]]] = {}
        for one in found["rows"]:
            pairs.setdefault((one["bytes"], one["method"]), {})[one["asymmetric"]] = one
        for (size, method), two in sorted(pairs.items(), key=lambda pair: pair[0][0]):
            cells = []
            for asymmetric in (False, True):
                if asymmetric not in two:
                    cells += [MISSING, "", MISSING]
                    continue
                figures = two[asymmetric]
                low, high = (100 * bound for bound in figures["rank1_interval"])
                cells += [
                    f"{100 * figures['rank1']:.1f}",
                    f"{low:.1f}–{high:.1f}",
                    f"{100 * figures['map']:.1f}",
                ]
            row(table, _METHODS.get(method, method), f"{size:,}", *cells)
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 140
        console.print(table)
    line(f"{found['about']}, {found.get('queries', 0):,} queries")
    for sentence in found["sentences"]:
        line(sentence)


def written(path: object) -> None:
    """Print where something was written."""
    line(f"wrote {path}", err=True)


def line(text: str, err: bool = False) -> None:
    """Print one line; what in it could command the terminal is shown by its number."""
    click.echo(visible(text), err=err)


def row(table: Table, *cells: str) -> None:
    """Add a row to a table, likewise."""
    table.add_row(*map(visible, cells))
