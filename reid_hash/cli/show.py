"""What commands print: tables of results and notes."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reid_hash.evaluation.describe import distance_name
from reid_hash.models.head_encoder import Head
from reid_hash.report.formats import MISSING, figure_name, number
from reid_hash.utils.terminal_text import (
    echo,
    encodable,
    make_console,
    remark,
    terminal_width,
    visible,
)

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
_ASCII_BOX = box.Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)
"""`box.SIMPLE_HEAD` in ASCII; rich would take a box with edges, which is wider."""
_UNLIMITED = 100_000
"""Columns of a pipe or a file, which have no width."""
_LEAST_FOLDED = 16
"""Columns that a folded text has at least: narrower ones are hard to read."""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        header: its name.
        right: numbers, which are aligned to the right.
        folds: long texts, such as paths, which may take several lines; others never break.
    """

    header: str
    right: bool = False
    folds: bool = False


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
    # the float embedding has its name in the column of distances
    named = (
        r for r in records if r.get("reported") or "distance" in r or r["weighted"] is not None
    )
    several = len({record.get("method") for record in named}) > 1
    keys = [Column("method")] if several else []
    keys += [Column("bits", right=True), Column("distance")]
    columns = [name for name in columns if any(name in record for record in records)]
    headers = [SHORT.get(name, figure_name(name).replace(" at ", "@")) for name in columns]
    headers += [header for _, header in plain]
    rows = []
    for record in records:
        method = [str(record.get("method") or MISSING)] if several else []
        bits = MISSING if record["bits"] is None else str(record["bits"])
        figures = [_figure(record, name, spread and name == "rank1") for name in columns]
        figures += [number(record, key) for key, _ in plain]
        rows.append([*method, bits, distance_name(record), *figures])
    table([*keys, *(Column(header, right=True) for header in headers)], rows, len(keys))


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
        figures_of = ("rank-1", "95 %", "mAP", "asymmetric", "95 %", "mAP")
        columns = [Column("method"), Column("bytes", right=True)]
        columns += [Column(header, right=True) for header in figures_of]
        rows: list[list[str]] = []
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
            rows.append([_METHODS.get(method, method), f"{size:,}", *cells])
        table(columns, rows, 2)
    line(f"{found['about']}, {found.get('queries', 0):,} queries")
    for sentence in found["sentences"]:
        line(sentence)


def written(path: object) -> None:
    """Print where something was written."""
    line(f"wrote {path}", err=True)


def line(text: str, err: bool = False) -> None:
    """Print one line; what in it could command the terminal is shown by its number.

    On a terminal standard output is broken at spaces, since the terminal would cut figures in two.
    """
    shown, width = visible(text), None if err else terminal_width(sys.stdout)
    echo(shown if width is None else _broken(shown, width), err)


def confirm(question: str) -> bool:
    """Ask a question on the terminal, printed as `line` prints; false unless answered with yes."""
    return click.confirm(encodable(visible(question), getattr(sys.stdout, "encoding", None)))


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], keys: int = 0) -> None:
    """Print a table whole: where the terminal is too narrow, it is laid out otherwise.

    Long texts are folded first. If that is not enough, the columns are printed in several tables,
    each of which begins with the columns that name a row; or else every row as a block of lines.

    Args:
        columns: names and kinds.
        rows: a text for each column; as it is, without markup.
        keys: how many of the first columns name a row; 0 where several tables would tell nothing.
    """
    console = make_console()
    cells = [[encodable(visible(cell), console.encoding) for cell in row] for row in rows]
    width = terminal_width(sys.stdout) or (console.width if console.is_terminal else _UNLIMITED)
    console.width = width
    least = [  # columns that each column takes at least
        max(cell_len(text) for text in (column.header, *(row[place] for row in cells)))
        for place, column in enumerate(columns)
    ]
    for place, column in enumerate(columns):
        if column.folds:
            least[place] = min(least[place], max(_LEAST_FOLDED, cell_len(column.header)))
    for chosen in _split(least, keys, width):
        if not chosen:
            _print_blocks(columns, cells, width)
            return
        _print_table(
            [columns[i] for i in chosen], [[row[i] for i in chosen] for row in cells], console
        )


def _split(least: Sequence[int], keys: int, width: int) -> list[list[int]]:
    """Places of the columns that fit beside each other; one empty list where that is not to be."""

    def fits(chosen: Sequence[int]) -> bool:
        return sum(least[i] for i in chosen) + 3 * len(chosen) - 1 <= width

    if fits(range(len(least))):
        return [list(range(len(least)))]
    tables: list[list[int]] = []
    for place in range(keys, len(least)):
        if tables and fits([*tables[-1], place]):
            tables[-1].append(place)
        else:
            tables.append([*range(keys), place])
    return tables if keys and all(map(fits, tables)) else [[]]


def _print_table(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], console: Console
) -> None:
    drawn = Table(box=_ASCII_BOX if console.options.ascii_only else box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(
            Text(column.header),
            justify="right" if column.right else "left",
            no_wrap=not column.folds,
            overflow="fold",
        )
    for row in cells:
        drawn.add_row(*map(Text, row))
    console.print(drawn)


def _print_blocks(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> None:
    """Print every row as a block of lines, `header  text`."""
    indent = max(cell_len(column.header) for column in columns) + 2
    for row in cells:
        echo("")
        for column, text in zip(columns, row, strict=True):
            folded = _broken(text, max(width - indent, 1), hard=True).split("\n")
            echo(f"{column.header:{indent}}" + f"\n{' ' * indent}".join(folded))
    echo("")


def _broken(text: str, width: int, hard: bool = False) -> str:
    """Break a line at spaces; longer words only where it is asked for. Continued lines go in."""
    if cell_len(text) <= width:
        return text
    indent = "" if hard else " " * min(len(text) - len(text.lstrip(" ")) + 2, width // 2)
    lines, current = [], ""
    words = text.split(" ")
    for place, word in enumerate(words):
        longer = f"{current} {word}" if place else word
        if cell_len(longer) <= width or not current.strip():
            current = longer
        else:
            lines.append(current.rstrip())
            current = indent + word
        while hard and cell_len(current) > width:
            cut = next(i for i in range(len(current), 0, -1) if cell_len(current[:i]) <= width)
            lines.append(current[:cut])
            current = current[cut:]
    return "\n".join([*lines, current])
