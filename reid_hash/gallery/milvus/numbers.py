"""Numbers for sightings and identities that several writers make without asking each other."""

import threading
import time

import numpy as np
from numpy.typing import NDArray

WRITERS = 16
"""Bits of a number that say which writer made it."""

_SEQUENCE = 6  # bits: 64 numbers a millisecond; who needs more runs ahead of the clock
_START = 1_767_225_600_000  # 2026-01-01 in ms since 1970: 41 bits of ms last until 2095


class Numbers:
    """Numbers of one writer: int64 > 0, ascending, and different from those of other writers.

    A number is the milliseconds since 2026, the writer, and a sequence within the millisecond.

    Args:
        writer: 0 … 2^WRITERS - 1; no two at work at the same time have the same.

    Example:
        >>> numbers = Numbers(writer=3)
        >>> first, second = numbers.take(2).tolist(), numbers.take(1).tolist()
        >>> first[0] < first[1] < second[0]
        True
    """

    def __init__(self, writer: int) -> None:
        self._writer = writer
        self._next = 0
        self._turn = threading.Lock()

    def take(self, count: int) -> NDArray[np.int64]:
        """The next numbers, [count] int64."""
        now = time.time_ns() // 1_000_000 - _START
        with self._turn:
            first = max(self._next, now << _SEQUENCE, 1 << _SEQUENCE)
            self._next = first + count
        slots = first + np.arange(count, dtype=np.int64)
        within = slots & ((1 << _SEQUENCE) - 1)
        return (slots >> _SEQUENCE << (WRITERS + _SEQUENCE)) | (self._writer << _SEQUENCE) | within
