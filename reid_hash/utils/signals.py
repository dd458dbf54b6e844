"""Leaving cleanly on Ctrl-C, on SIGTERM, and when the terminal is closed."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_Handler = Callable[[int, object], object]


class Stop:
    """Whether somebody asked to stop.

    Attributes:
        stopped: set by the signal.
    """

    stopped = False


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a flag inside the block.

    A second signal of the same kind does what it did before the block. SIGHUP stays ignored where
    it was, as under nohup.
    """
    stop = Stop()
    before: dict[int, Any] = {}

    def request(number: int, _frame: object) -> None:
        stop.stopped = True
        signal.signal(number, before[number])

    with _handled((int(signal.SIGINT), *_endings()), request, before):
        yield stop


@contextmanager
def interrupting() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt inside the block, as Ctrl-C does.

    Else they would end the process at once, and leave temporary files and folders behind.
    """

    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    with _handled(_endings(), interrupt, {}):
        yield


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
