"""Progress of work that takes a while."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

_NARROW = 60
"""Columns of a terminal below which a bar and a time would cut the figures beside them."""


def fitting(console: Console, columns: Sequence[ProgressColumn]) -> list[ProgressColumn]:
    """The columns of a progress display that a terminal has room for: figures before bars."""
    if console.width >= _NARROW:
        return list(columns)
    return [one for one in columns if not isinstance(one, (BarColumn, TimeRemainingColumn))]


@contextmanager
def counting(
    console: Console | None, what: str, total: int | None
) -> Iterator[Callable[[int], object] | None]:
    """A progress bar; the block gets a function that counts on, or None where there is no bar."""
    if console is None:
        yield None
        return
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    bar = Progress(*fitting(console, columns), console=console, transient=True)
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
