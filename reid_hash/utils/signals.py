"""Clean exit on Ctrl-C, SIGTERM, and when the terminal is closed."""

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
"""Seconds within which ending signals count as one: `timeout` sends SIGTERM to the process and its
group, and a closing terminal and its shell both send SIGHUP."""

_taken = -_TOGETHER  # monotonic time of the last ending signal


class Stop:
    """Flag that is set when somebody asks to stop.

    Attributes:
        stopped: set by the signal.
    """

    stopped = False


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a flag inside the block.

    A second signal of the same kind has its effect from before the block, except a SIGTERM or
    SIGHUP that arrives together with the first. An ignored SIGHUP stays ignored, as under nohup.
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
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt inside the block, like Ctrl-C.

    Otherwise they would end the process at once and leave temporary files and folders behind. A
    second signal that arrives together with the first does not interrupt the clean-up.
    """

    def interrupt(number: int, _frame: object) -> None:
        _leave_terminal(number)
        if not _is_repeated():
            raise KeyboardInterrupt

    with _handled(_endings(), interrupt, {}):
        yield


def _is_repeated() -> bool:
    """Check whether an ending signal arrives together with an earlier one."""
    global _taken
    now = time.monotonic()
    if now - _taken < _TOGETHER:
        return True
    _taken = now
    return False


def _leave_terminal(number: int) -> None:
    """After SIGHUP, discard output if the terminal is gone, since writing would fail."""
    if number != getattr(signal, "SIGHUP", None):
        return
    import termios  # not available on Windows

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
    """List the signals that end a process, besides Ctrl-C; Windows has no SIGHUP."""
    numbers = [int(signal.SIGTERM)]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(int(hangup))
    return numbers


@contextmanager
def _handled(numbers: Sequence[int], handler: _Handler, before: dict[int, Any]) -> Iterator[None]:
    """Handle signals inside the block; `before` receives the previous handlers."""
    try:
        for number in numbers:
            before[number] = signal.getsignal(number)  # before another signal can arrive
            signal.signal(number, handler)
    except ValueError:
        before.clear()  # outside the main thread signals are left to the main thread's owner
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was if was is not None else signal.SIG_DFL)
