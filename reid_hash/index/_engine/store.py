"""All codes of an index, as a sequence of immutable parts: a reader's view of them never changes.

Codes arrive in a small buffer; when it is full it becomes a part that fast scan can search, and
parts of similar size are joined, so that n codes make about log n parts and every code is rewritten
about log n times. Joined parts are new parts: a search that began before still has the old ones.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.index._engine.segments import Buffer, Part

PART = 2**21
"""The most codes in a part. Larger ones are slower to join, smaller ones cost more calls."""

_SPLIT = 2**17  # from so many codes on, four parts serve several threads better than one
_SHARES = 4


class Store(NamedTuple):
    """All codes of an index at a moment. Adding and removing make a new store.

    Attributes:
        width: bytes of a code.
        scanned: how many of these fast scan compares.
        parts: ids ascend within them and from one to the next.
        buffer: the newest codes.
        tables: whether large parts have hash tables.
    """

    width: int
    scanned: int
    parts: tuple[Part, ...]
    buffer: Buffer
    tables: bool = False

    @property
    def size(self) -> int:
        """How many codes there are."""
        return sum(map(len, self.all))

    @property
    def all(self) -> tuple[Part | Buffer, ...]:
        """The parts, and the buffer if there is anything in it."""
        return (*self.parts, self.buffer) if len(self.buffer) else self.parts

    def add(self, packed: NDArray[np.uint8], ids: NDArray[np.int64]) -> "Store":
        """Append codes [n, width] with ids [n] that lie above all others."""
        if len(ids) <= self.buffer.free:
            return self._replace(buffer=self.buffer.append(packed, ids))
        if len(self.buffer):
            packed = np.concatenate([self.buffer.packed(), packed])
            ids = np.concatenate([self.buffer.ids, ids])
        parts = self.parts
        pieces = -(-len(ids) // PART)
        if len(ids) >= _SPLIT:
            pieces = -(-pieces // _SHARES) * _SHARES
        bounds = np.linspace(0, len(ids), pieces + 1).astype(int) if pieces else [0]
        for start, stop in pairwise(bounds):
            parts = (*parts, self._part(packed[start:stop], ids[start:stop].copy()))
            if pieces == 1:
                parts = self._join(parts)
        return self._replace(parts=parts, buffer=Buffer.empty(self.width))

    def remove(self, ids: NDArray[np.int64]) -> "Store":
        """Leave out the codes of some ids; parts that hold one of them are made anew."""
        parts: list[Part] = []
        for part in self.parts:
            keep = np.isin(part.ids, ids, invert=True)
            if keep.all():
                parts.append(part)
            elif keep.any():
                parts.append(self._part(part.packed()[keep], part.ids[keep]))
        keep = np.isin(self.buffer.ids, ids, invert=True)
        buffer = Buffer.empty(self.width)
        buffer = buffer.append(self.buffer.packed()[keep], self.buffer.ids[keep])
        return self._replace(parts=tuple(parts), buffer=buffer)

    def _part(self, packed: NDArray[np.uint8], ids: NDArray[np.int64]) -> Part:
        return Part.build(packed, ids, self.scanned, self.tables)

    def _join(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Join the last part with those before it that are hardly larger."""
        first = len(parts) - 1
        total = len(parts[first])
        while first and len(parts[first - 1]) < 2 * total and total + len(parts[first - 1]) <= PART:
            first -= 1
            total += len(parts[first])
        if first == len(parts) - 1:
            return parts
        packed = np.concatenate([part.packed() for part in parts[first:]])
        ids = np.concatenate([part.ids for part in parts[first:]])
        return (*parts[:first], self._part(packed, ids))
