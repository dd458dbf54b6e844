"""Stored codes as a sequence of immutable parts: a reader's view of them never changes.

Codes arrive in a small buffer; when it is full it becomes a part that fast scan can search, and
parts of similar size are joined, so that n codes make about log n parts and every code is rewritten
about log n times. Joined parts are new parts: a search that began before still has the old ones.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.search.layout import (
    LANES,
    block_nibbles,
    blocks_of,
    make_scanner,
    pack_blocks,
    row_nibbles,
    unpack_blocks,
)

BUFFER = 512
"""Codes that are kept in plain order; all of them are compared exactly with every query."""

PART = 2**21
"""The most codes in a part. Larger ones are slower to join, smaller ones cost more calls."""

_SPLIT = 2**17  # from so many codes on, four parts serve several threads better than one
_SHARES = 4
_RANGE = 2**15  # codes whose nibbles are unpacked at a time


class Scanned(NamedTuple):
    """What fast scan reports, nearest first.

    Attributes:
        distances: [queries, fetch] float32, in its own scale (`Costs`).
        places: [queries, fetch] int64; -1 where there was nothing more to compare with.
    """

    distances: NDArray[np.float32]
    places: NDArray[np.int64]


class Searchable(ABC):
    """Codes that a search may look at.

    Attributes:
        ids: [n] int64, one a code; ascending but where `order` says otherwise.
        tailed: whether fast scan sees only some of the bits.
    """

    ids: NDArray[np.int64]
    tailed = False

    @property
    def order(self) -> NDArray[np.int64] | None:
        """[n] int64: the codes' places in the order of their ids; None where they lie in it."""
        return None

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that the codes take, without ids."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def work(self) -> int:
        """How many codes a query is compared with."""
        return len(self)

    def places(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where those of some ids (ascending) lie that are here, in their order."""
        ids = self.ids if self.order is None else self.ids[self.order]
        first, last = np.searchsorted(wanted, ids[[0, -1]])
        some = wanted[first : last + 1]
        places: NDArray[np.int64] = np.minimum(np.searchsorted(ids, some), len(ids) - 1)
        places = places[ids[places] == some]
        return places if self.order is None else self.order[places]

    def scan(self, vectors: NDArray[np.float32], fetch: int) -> Scanned | None:
        """Fast scan's `fetch` nearest codes; None where all had better be compared exactly.

        Args:
            vectors: [queries, bits] float32 from `Costs`.
            fetch: how many, at most as many as there are.
        """
        return None

    @abstractmethod
    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The nibbles [2 · width, m] of the codes in some places."""

    @abstractmethod
    def ranges(self) -> Iterator[NDArray[np.uint8]]:
        """The nibbles [2 · width, m] of all codes in the order of their ids, m at a time."""


class Part(Searchable):
    """Codes with their ids: the first `scanned` bytes in fast scan's order, the rest in rows.

    Args:
        blocks: [blocks, scanned, 32] uint8 as `pack_blocks` makes them; copied.
        tail: [n, width - scanned] uint8.
        ids: [n] int64, ascending.
    """

    def __init__(
        self, blocks: NDArray[np.uint8], tail: NDArray[np.uint8], ids: NDArray[np.int64]
    ) -> None:
        self.ids, self.tail, self.tailed = ids, tail, tail.shape[1] > 0
        self.scanner = make_scanner(blocks, len(ids))
        self.blocks = blocks_of(self.scanner)

    @classmethod
    def build(cls, packed: NDArray[np.uint8], ids: NDArray[np.int64], scanned: int) -> "Part":
        """Make a part of packed codes [n, width]."""
        return cls(pack_blocks(packed[:, :scanned]), np.ascontiguousarray(packed[:, scanned:]), ids)

    @property
    def nbytes(self) -> int:
        """Bytes that the codes take, without their ids."""
        return self.blocks.nbytes + self.tail.nbytes

    def scan(self, vectors: NDArray[np.float32], fetch: int) -> Scanned:  # noqa: D102
        return Scanned(*self.scanner.search(vectors, fetch))

    def packed(self) -> NDArray[np.uint8]:
        """The codes, [n, width] uint8."""
        return np.concatenate([unpack_blocks(self.blocks, len(self)), self.tail], axis=1)

    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:  # noqa: D102
        width = self.blocks.shape[1]
        lanes = slots % LANES
        scanned = block_nibbles(self.blocks, (slots - lanes) * width, lanes, width)
        if not self.tail.shape[1]:
            return scanned
        return np.concatenate([scanned, row_nibbles(self.tail[slots])])

    def ranges(self) -> Iterator[NDArray[np.uint8]]:  # noqa: D102
        for start in range(0, len(self), _RANGE):
            stop = min(start + _RANGE, len(self))
            blocks = self.blocks[start // LANES : -(-stop // LANES)]
            scanned = unpack_blocks(blocks, stop - start)
            yield row_nibbles(np.concatenate([scanned, self.tail[start:stop]], axis=1))


class Buffer(Searchable):
    """Codes in plain order. Appending makes a new buffer in the same memory, behind this one.

    Args:
        rows: [BUFFER, width] uint8, shared; those from `count` on belong to later buffers.
        row_ids: [BUFFER] int64, shared.
        count: how many of the rows are this buffer's.
    """

    def __init__(self, rows: NDArray[np.uint8], row_ids: NDArray[np.int64], count: int) -> None:
        self._rows, self._row_ids = rows, row_ids
        self.ids = row_ids[:count]

    @classmethod
    def empty(cls, width: int) -> "Buffer":
        """A buffer without codes."""
        return cls(np.zeros((BUFFER, width), np.uint8), np.zeros(BUFFER, np.int64), 0)

    @property
    def nbytes(self) -> int:
        """Bytes that the codes take, without their ids."""
        return self._rows.nbytes if len(self) else 0

    def append(self, packed: NDArray[np.uint8], ids: NDArray[np.int64]) -> "Buffer":
        """A buffer that holds these as well. May be called once for each buffer."""
        end = len(self) + len(ids)
        self._rows[len(self) : end] = packed
        self._row_ids[len(self) : end] = ids
        return Buffer(self._rows, self._row_ids, end)

    def packed(self) -> NDArray[np.uint8]:
        """The codes, [n, width] uint8."""
        return self._rows[: len(self)]

    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:  # noqa: D102
        return row_nibbles(self._rows[slots])

    def ranges(self) -> Iterator[NDArray[np.uint8]]:  # noqa: D102
        yield row_nibbles(self.packed())


class Store(NamedTuple):
    """All codes of an index at a moment. Adding and removing make a new store.

    Attributes:
        width: bytes of a code.
        scanned: how many of these fast scan compares.
        parts: ids ascend within them and from one to the next.
        buffer: the newest codes.
    """

    width: int
    scanned: int
    parts: tuple[Part, ...]
    buffer: Buffer

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
        if len(self.buffer) + len(ids) <= BUFFER:
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
            parts = (*parts, Part.build(packed[start:stop], ids[start:stop].copy(), self.scanned))
            if pieces == 1:
                parts = _join(parts, self.scanned)
        return self._replace(parts=parts, buffer=Buffer.empty(self.width))

    def remove(self, ids: NDArray[np.int64]) -> "Store":
        """Leave out the codes of some ids; parts that hold one of them are made anew."""
        parts: list[Part] = []
        for part in self.parts:
            keep = np.isin(part.ids, ids, invert=True)
            if keep.all():
                parts.append(part)
            elif keep.any():
                parts.append(Part.build(part.packed()[keep], part.ids[keep], self.scanned))
        keep = np.isin(self.buffer.ids, ids, invert=True)
        buffer = Buffer.empty(self.width)
        buffer = buffer.append(self.buffer.packed()[keep], self.buffer.ids[keep])
        return self._replace(parts=tuple(parts), buffer=buffer)


def _join(parts: tuple[Part, ...], scanned: int) -> tuple[Part, ...]:
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
    return (*parts[:first], Part.build(packed, ids, scanned))
