"""Damage in the write-ahead log of a gallery's database.

SQLite reads the log up to the first frame whose checksum is wrong and silently drops the rest:
right after a crash, where the rest was never committed, and wrong where a byte of a committed
frame has changed. This module reads the log itself and tells the two apart.

Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import struct
import time
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

_HEADER, _FRAME = 32, 24  # bytes
_MAGIC = (0x377F0682, 0x377F0683)  # the words of the checksums are little-endian, big-endian
_VERSION = 3007000
_BLOCK = 2**24  # bytes of frames read at a time
_LOOKS = 5  # at a log that somebody may be writing
PAUSE = 0.2
"""Seconds between two looks: a writer writes a frame in far less."""

Pair = tuple[int, int]


class LogDamage(NamedTuple):
    """What is wrong with a log.

    Attributes:
        header: the log's first 32 bytes, which are new whenever the log starts again.
        text: what is wrong and what SQLite drops for it, in one line.
    """

    header: bytes
    text: str


def log_of(database: Path) -> Path:
    """The log of a database; SQLite keeps it beside the real file, not beside a link to it."""
    real = database.resolve()
    return real.with_name(real.name + "-wal")


def is_empty(log: Path) -> bool:
    """Whether there is nothing in a log: everything is in the database itself."""
    try:
        return log.stat().st_size == 0
    except FileNotFoundError:
        return True


def find_log_damage(log: Path) -> LogDamage | None:
    """Look for committed transactions that SQLite would drop; the file is only read.

    An unfinished transaction at the end, as a killed writer leaves it, is no damage, and frames of
    an earlier cycle behind the last one are not either. Another process may be writing: damage
    counts only where a second look, a moment later, finds the same.

    Args:
        log: the file; it need not exist.
    """
    seen = _look(log)
    for _ in range(_LOOKS):
        if seen is None:
            return None
        time.sleep(PAUSE)
        before, seen = seen, _look(log)
        if seen == before:
            return seen
    return None  # a busy writer: each look found something else


def _look(log: Path) -> LogDamage | None:
    try:
        with log.open("rb") as file:
            return _read(file)
    except FileNotFoundError:
        return None


def _read(file: BinaryIO) -> LogDamage | None:
    header = file.read(_HEADER)
    if len(header) < _HEADER or not (rest := file.read(_FRAME)):
        return None  # nothing was committed yet
    magic, version, page = struct.unpack(">3I", header[:12])
    salts, sums = header[16:24], struct.unpack(">2I", header[24:])
    order = "<" if magic == _MAGIC[0] else ">"
    whole = magic in _MAGIC and _checksum((0, 0), header[:24], order) == sums
    if not whole or version != _VERSION or page not in [2**n for n in range(9, 17)]:
        text = "the header of the log is damaged: SQLite drops all transactions in it"
        return LogDamage(header, text)
    file.seek(-len(rest), 1)
    bad = _first_bad_frame(file, order, salts, sums, page)
    if bad is None:
        return None
    number, commits_itself = bad
    file.seek(_HEADER + number * (_FRAME + page))
    commits, total = int(commits_itself), number
    while len(frame := file.read(_FRAME)) == _FRAME:
        body = file.seek(page, 1)
        if body > _size(file):
            break  # the file ends within this frame
        commits += _is_of_cycle(frame, salts) and frame[4:8] != bytes(4) and total > number
        total += 1
    if not commits:
        return None  # a transaction that was under way when its process ended
    text = (
        f"the log is damaged: the checksum of frame {number + 1} of {total} is wrong, and SQLite "
        f"drops what was committed from there on ({commits} "
        f"transaction{'s' if commits > 1 else ''})"
    )
    return LogDamage(header, text)


def _first_bad_frame(
    file: BinaryIO, order: str, salts: bytes, sums: Pair, page: int
) -> tuple[int, bool] | None:
    """The number of the first frame that SQLite does not take, and whether it is a commit."""
    size, number = _FRAME + page, 0
    words = (8 + page) // 4
    first, second = _coefficients(words)
    jump = _power(words // 2)
    while frames := file.read(max(1, _BLOCK // size) * size):
        count = len(frames) // size  # a frame at the end may be cut off
        rows = np.frombuffer(frames, np.uint8, count * size).reshape(count, size)
        summed = np.concatenate([rows[:, :8], rows[:, _FRAME:]], axis=1)
        data = summed.view(f"{order}u4").astype(np.uint32)
        added = (
            (data * first).sum(1, np.uint32).tolist(),
            (data * second).sum(1, np.uint32).tolist(),
        )
        for row in range(count):
            frame = rows[row, :_FRAME].tobytes()
            wanted = struct.unpack(">2I", frame[16:])
            before = _apply(jump, sums)
            sums = (before[0] + added[0][row]) % 2**32, (before[1] + added[1][row]) % 2**32
            if frame[8:16] == salts and sums == wanted:
                number += 1
                continue
            mark = frame[4:8] != bytes(4)
            if frame[8:16] == salts and not mark:  # was the mark itself what changed?
                mark = _is_mark_lost(words, order, sums, wanted)
            return number, mark and _is_of_cycle(frame, salts)
        if count * size < len(frames):
            break
    return None


def _is_of_cycle(frame: bytes, salts: bytes) -> bool:
    """Whether a frame belongs to the log's present cycle: a changed byte leaves one salt whole."""
    return frame[8:12] == salts[:4] or frame[12:16] == salts[4:]


def _is_mark_lost(words: int, order: str, sums: Pair, wanted: Pair) -> bool:
    """Whether some commit mark in place of zero makes the checksum right."""
    (_, a), (_, b) = _power(words // 2 - 1)[0], _power(words // 2 - 1)[1]
    # The mark is the second word; it enters as M^(n-1) (0, mark). One of two neighbouring
    # Fibonacci numbers is odd, and has an inverse.
    lost = [(want - have) % 2**32 for want, have in zip(wanted, sums, strict=True)]
    i, factor = (0, a) if a % 2 else (1, b)
    mark = lost[i] * pow(factor, -1, 2**32) % 2**32
    return mark > 0 and (a * mark % 2**32, b * mark % 2**32) == (lost[0], lost[1])


# The checksum takes words in pairs: s0 += x0 + s1, s1 += x1 + s0. That is s → M s + (x0, x0 + x1)
# with M = ((1, 1), (1, 2)): n pairs are M^n s plus a sum that NumPy forms for many frames at
# once.
Matrix = tuple[Pair, Pair]


def _apply(matrix: Matrix, pair: Pair) -> Pair:
    (a, b), (c, d) = matrix
    return (a * pair[0] + b * pair[1]) % 2**32, (c * pair[0] + d * pair[1]) % 2**32


def _power(exponent: int) -> Matrix:
    result: Matrix = ((1, 0), (0, 1))
    for _ in range(exponent):
        (a, b), (c, d) = result
        result = ((a + b) % 2**32, (a + 2 * b) % 2**32), ((c + d) % 2**32, (c + 2 * d) % 2**32)
    return result


def _coefficients(words: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """What each word of a frame counts in the two sums, [words] each."""
    rows = np.empty((2, words), np.uint32)
    (a, b), (c, d) = ((1, 0), (0, 1))
    for pair in range(words // 2 - 1, -1, -1):
        rows[:, 2 * pair] = (a + b) % 2**32, (c + d) % 2**32
        rows[:, 2 * pair + 1] = b, d
        a, b, c, d = ((a + b) % 2**32, (a + 2 * b) % 2**32, (c + d) % 2**32, (c + 2 * d) % 2**32)
    return rows[0], rows[1]


def _checksum(sums: Pair, data: bytes, order: str) -> Pair:
    first, second = sums
    for x0, x1 in struct.iter_unpack(f"{order}2I", data):
        first = (first + x0 + second) % 2**32
        second = (second + x1 + first) % 2**32
    return first, second


def _size(file: BinaryIO) -> int:
    here = file.tell()
    size = file.seek(0, 2)
    file.seek(here)
    return size
