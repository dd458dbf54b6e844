"""How much work a database may cause: in proportion to its size, however it was forged.

A damaged or forged database can give rows without end: a page of a table may name the same child
many times, and that its own child again. SQLite calls back after every so many steps of its
machine, which ends such a statement; what is read is counted in bytes as well.
"""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from reid_hash.errors import GalleryError

ENDLESS = "its tables hold more than a file of this size can: the database is damaged or forged"

ROW = 64
"""Bytes that are counted for a row beside its values."""

_EVERY = 1000  # steps between two calls
# A sighting takes 100 bytes or more with its entries in the indexes; the most expensive statements
# take some 100 steps for it, and none of them reads its values more than a few times.
_STEPS, _STEPS_A_BYTE = 2e6, 10
_BYTES, _BYTES_A_BYTE = 2.0**24, 8
_SECONDS, _SECONDS_A_BYTE = 20.0, 2e-6  # of this thread's own computing
_STEPS_GIVEN = 500  # for each row or value that a caller brings along


class Work:
    """Counts what the statements of one connection do; `begin` starts anew.

    Args:
        files: the database and its log; what they grow by meanwhile counts.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self.begin()

    def begin(self) -> None:
        """Forget what was done."""
        self._steps, self._bytes, self._given, self._size = 0, 0, 0, -1
        self._started = time.thread_time()

    def step(self) -> bool:
        """Note some steps; whether the statement must end."""
        self._steps += _EVERY
        return self._over()

    def allow(self, values: int) -> None:
        """Allow what it takes to store, or to look up, so many rows or values of a caller."""
        self._given += values

    def charge(self, number: int) -> None:
        """Note that a row of so many bytes was read; GalleryError where these are too many."""
        self._bytes += number + ROW
        if self._bytes > _BYTES and self._over():
            raise GalleryError(ENDLESS)

    def _over(self) -> bool:
        if not self._exceeded():
            return False
        self._size = sum(map(_size, self._files))  # a writer's files grow
        return self._exceeded()

    def _exceeded(self) -> bool:
        size = max(0, self._size)
        return (
            self._steps > _STEPS + _STEPS_A_BYTE * size + _STEPS_GIVEN * self._given
            or self._bytes > _BYTES + _BYTES_A_BYTE * size
            or time.thread_time() - self._started
            > _SECONDS + _SECONDS_A_BYTE * (size + _STEPS_GIVEN * self._given)
        )


class Connection(sqlite3.Connection):
    """A connection to a gallery's database, which ends what has no end."""

    work: Work

    def watch(self, work: Work) -> None:
        """Let `work` count, before the first statement."""
        self.work = work
        self.set_progress_handler(work.step, _EVERY)
        # a value larger than this is no thumbnail; lists of ids are values, too
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2**28)
        self.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)  # VACUUM attaches a temporary database


def charge(db: sqlite3.Connection, number: int) -> None:
    """Note that a row of `number` bytes was read from a gallery's connection; see `Work.charge`."""
    if isinstance(db, Connection):
        db.work.charge(number)


def allow(db: sqlite3.Connection, values: int) -> None:
    """Allow the work for so many rows or values that a caller brings along; see `Work.allow`."""
    if isinstance(db, Connection):
        db.work.allow(values)


def _size(path: Path) -> int:
    try:
        facts = path.stat()
    except OSError:
        return 0
    # A file may claim bytes that it has no blocks for; file systems that compress save a few times.
    blocks = getattr(facts, "st_blocks", None)
    return facts.st_size if blocks is None else min(facts.st_size, 2048 * blocks)
