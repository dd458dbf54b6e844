"""Leaving cleanly on Ctrl-C, on SIGTERM, and when the terminal is closed."""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_Handler = Callable[[int, object], object]

_TOGETHER = 2.0
"""Seconds within which ending signals count as one: `timeout` sends SIGTERM to the process and to
its group, and a terminal that is closed sends SIGHUP, as its shell does."""

_taken = -_TOGETHER  # when an ending signal was last taken, by the monotonic clock


class Stop:
    """Whether somebody asked to stop.

    Attributes:
        stopped: set by the signal.
    """

    stopped = False


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a flag inside the block.

    A second signal of the same kind does what it did before the block, unless it is a SIGTERM or
    SIGHUP that comes together with the first. SIGHUP stays ignored where it was, as under nohup.
    """
    stop = Stop()
    before: dict[int, Any] = {}
    seen: set[int] = set()

    def request(number: int, _frame: object) -> None:
        stop.stopped = True
        _leave_terminal(number)
        together = number != signal.SIGINT and _is_repeated()
        if number in seen and not together:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        seen.add(number)

    with _handled((int(signal.SIGINT), *_endings()), request, before):
        yield stop


@contextmanager
def interrupting() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt inside the block, as Ctrl-C does.

    Else they would end the process at once, and leave temporary files and folders behind. A second
    signal that comes together with the first does not interrupt the tidying up.
    """

    def interrupt(number: int, _frame: object) -> None:
        _leave_terminal(number)
        if not _is_repeated():
            raise KeyboardInterrupt

    with _handled(_endings(), interrupt, {}):
        yield


def _is_repeated() -> bool:
    """Whether an ending signal comes together with one that was taken before."""
    global _taken
    now = time.monotonic()
    if now - _taken < _TOGETHER:
        return True
    _taken = now
    return False


def _leave_terminal(number: int) -> None:
    """After SIGHUP, print to nowhere where the terminal is gone: writing there would fail."""
    if number != getattr(signal, "SIGHUP", None):
        return
    import termios  # Windows has none

    for stream in (1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:  # ENOTTY: a file or a pipe
            if error.args[0] == errno.EIO:
                with contextlib.suppress(OSError):
                    nowhere = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(nowhere, stream)
                    os.close(nowhere)


def _endings() -> list[int]:
    """Signals that end a process, besides Ctrl-C; Windows has no SIGHUP."""
    numbers = [int(signal.SIGTERM)]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(int(hangup))
    return numbers


@contextmanager
def _handled(numbers: Sequence[int], handler: _Handler, before: dict[int, Any]) -> Iterator[None]:
    """Handle signals inside the block; `before` gets the handlers that they had."""
    try:
        for number in numbers:
            before[number] = signal.getsignal(number)  # before it can be asked for
            signal.signal(number, handler)
    except ValueError:
        before.clear()  # not in the main thread: whoever runs there handles signals
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was if was is not None else signal.SIG_DFL)
