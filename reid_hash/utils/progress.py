"""Progress display of long tasks."""

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
"""Terminal width below which a bar and a time would squeeze the figures."""


def fitting(console: Console, columns: Sequence[ProgressColumn]) -> list[ProgressColumn]:
    """Drop progress columns that do not fit the terminal: bars before figures."""
    if console.width >= _NARROW:
        return list(columns)
    return [one for one in columns if not isinstance(one, (BarColumn, TimeRemainingColumn))]


@contextmanager
def counting(
    console: Console | None, what: str, total: int | None
) -> Iterator[Callable[[int], object] | None]:
    """Show a progress bar; yield a function that advances it, or None without a console."""
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
