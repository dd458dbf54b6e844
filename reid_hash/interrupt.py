"""Leaving a long loop cleanly on Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stop:
    """Whether somebody asked to stop.

    Attributes:
        stopped: set by the signal.
    """

    stopped = False


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn Ctrl-C and SIGTERM into a flag inside the block; a second Ctrl-C interrupts at once."""
    stop = Stop()

    def request(number: int, _frame: object) -> None:
        stop.stopped = True
        signal.signal(number, before[number])

    before: dict[int, Any] = {}
    try:
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            before[number] = signal.signal(number, request)
    except ValueError:
        pass  # not in the main thread: whoever runs there handles signals
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
