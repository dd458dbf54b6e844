"""All codes of an index, as a sequence of immutable segments and a buffer of the newest codes.

Codes arrive in the buffer; when it is full it becomes a segment that fast scan can search, and
segments of similar size are joined, so that n codes make about log n segments and every code is
rewritten about log n times. Joined segments are new ones: a search that began before still has the
old ones, so what a reader sees never changes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from reid_hash.index._engine.hash_tables import HashTables
from reid_hash.index._engine.layout import (
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

TABLED = 2**16
"""Codes from which on a segment may have hash tables: each begins with 65,536 numbers."""

LARGEST = 2**21
"""The most codes in a segment. Larger ones are slower to join, smaller ones cost more calls."""

_SPLIT = 2**19  # from so many codes on, four segments serve several threads better than one
_SHARES = 4
_RANGE = 2**15  # codes whose nibbles are unpacked at a time


class Scanned(NamedTuple):
    """What fast scan reports, nearest first.

    Attributes:
        distances: [queries, fetch] float32, in its own scale (`QueryTables`).
        places: [queries, fetch] int64; -1 where there was nothing more to compare with.
    """

    distances: NDArray[np.float32]
    places: NDArray[np.int64]


class Searchable(ABC):
    """Codes that a search may look at.

    Attributes:
        ids: [n] int64, one a code; ascending but where `order` says otherwise.
        tailed: whether fast scan sees only some of the bits.
        tables: to look near codes up in, where they are kept.
    """

    ids: NDArray[np.int64]
    tailed = False
    tables: HashTables | None = None

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
            vectors: [queries, bits] float32 from `QueryTables`.
            fetch: how many, at most as many as there are.
        """
        return None

    @abstractmethod
    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The nibbles [2 · width, m] of the codes in some places."""

    @abstractmethod
    def ranges(self) -> Iterator[NDArray[np.uint8]]:
        """The nibbles [2 · width, m] of all codes in the order of their ids, m at a time."""


class Segment(Searchable):
    """Codes with their ids: the first `scanned` bytes in fast scan's order, the rest in rows.

    Args:
        blocks: [blocks, scanned, 32] uint8 as `pack_blocks` makes them; copied.
        tail: [n, width - scanned] uint8.
        ids: [n] int64, ascending.
        tables: of the same codes.
    """

    def __init__(
        self,
        blocks: NDArray[np.uint8],
        tail: NDArray[np.uint8],
        ids: NDArray[np.int64],
        tables: HashTables | None = None,
    ) -> None:
        self.ids, self.tail, self.tailed = ids, tail, tail.shape[1] > 0
        self.tables = tables
        self.scanner = make_scanner(blocks, len(ids))
        self.blocks = blocks_of(self.scanner)

    @classmethod
    def build(
        cls, packed: NDArray[np.uint8], ids: NDArray[np.int64], scanned: int, tables: bool = False
    ) -> "Segment":
        """Make a segment of packed codes [n, width]; with tables if wanted and there are many."""
        tail = np.ascontiguousarray(packed[:, scanned:])
        made = HashTables.build(packed) if tables and len(packed) >= TABLED else None
        return cls(pack_blocks(packed[:, :scanned]), tail, ids, made)

    @property
    def nbytes(self) -> int:
        """Bytes that the codes take, without their ids."""
        tables = 0 if self.tables is None else self.tables.nbytes
        return self.blocks.nbytes + self.tail.nbytes + tables

    def scan(self, vectors: NDArray[np.float32], fetch: int) -> Scanned:
        shape = (len(vectors), fetch)
        distances, places = np.empty(shape, np.float32), np.empty(shape, np.int64)
        pointers = map(faiss.swig_ptr, (distances, places))
        # FAISS's own function: its wrapper checks again what is right, for a tenth of a short scan
        self.scanner.search_c(len(vectors), faiss.swig_ptr(vectors), fetch, *pointers)
        return Scanned(distances, places)

    def packed(self) -> NDArray[np.uint8]:
        """The codes, [n, width] uint8."""
        return np.concatenate([unpack_blocks(self.blocks, len(self)), self.tail], axis=1)

    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        width = self.blocks.shape[1]
        lanes = slots % LANES
        scanned = block_nibbles(self.blocks, (slots - lanes) * width, lanes, width)
        if not self.tail.shape[1]:
            return scanned
        return np.concatenate([scanned, row_nibbles(self.tail.take(slots, axis=0))])

    def ranges(self) -> Iterator[NDArray[np.uint8]]:
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

    @property
    def free(self) -> int:
        """How many codes more it has room for."""
        return len(self._rows) - len(self)

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

    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        return row_nibbles(self._rows.take(slots, axis=0))

    def ranges(self) -> Iterator[NDArray[np.uint8]]:
        yield row_nibbles(self.packed())


class Store(NamedTuple):
    """All codes of an index at a moment. Adding and removing make a new store.

    Attributes:
        width: bytes of a code.
        scanned: how many of these fast scan compares.
        segments: ids ascend within them and from one to the next.
        buffer: the newest codes.
        tables: whether large segments have hash tables.
    """

    width: int
    scanned: int
    segments: tuple[Segment, ...]
    buffer: Buffer
    tables: bool = False

    @property
    def size(self) -> int:
        """How many codes there are."""
        return sum(map(len, self.all))

    @property
    def all(self) -> tuple[Segment | Buffer, ...]:
        """The segments, and the buffer if there is anything in it."""
        return (*self.segments, self.buffer) if len(self.buffer) else self.segments

    def add(self, packed: NDArray[np.uint8], ids: NDArray[np.int64]) -> "Store":
        """Append codes [n, width] with ids [n] that lie above all others."""
        if len(ids) <= self.buffer.free:
            return self._replace(buffer=self.buffer.append(packed, ids))
        if len(self.buffer):
            packed = np.concatenate([self.buffer.packed(), packed])
            ids = np.concatenate([self.buffer.ids, ids])
        segments = self.segments
        pieces = -(-len(ids) // LARGEST)
        if len(ids) >= _SPLIT:
            pieces = -(-pieces // _SHARES) * _SHARES
        bounds = np.linspace(0, len(ids), pieces + 1).astype(int) if pieces else [0]
        for start, stop in pairwise(bounds):
            segments = (*segments, self._segment(packed[start:stop], ids[start:stop].copy()))
            if pieces == 1:
                segments = self._join(segments)
        return self._replace(segments=segments, buffer=Buffer.empty(self.width))

    def remove(self, ids: NDArray[np.int64]) -> "Store":
        """Leave out the codes of some ids; segments that hold one of them are made anew."""
        segments: list[Segment] = []
        for segment in self.segments:
            keep = np.isin(segment.ids, ids, invert=True)
            if keep.all():
                segments.append(segment)
            elif keep.any():
                segments.append(self._segment(segment.packed()[keep], segment.ids[keep]))
        keep = np.isin(self.buffer.ids, ids, invert=True)
        buffer = Buffer.empty(self.width)
        buffer = buffer.append(self.buffer.packed()[keep], self.buffer.ids[keep])
        return self._replace(segments=tuple(segments), buffer=buffer)

    def _segment(self, packed: NDArray[np.uint8], ids: NDArray[np.int64]) -> Segment:
        return Segment.build(packed, ids, self.scanned, self.tables)

    def _join(self, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """Join the last segment with those before it that are hardly larger."""
        first = len(segments) - 1
        total = len(segments[first])
        while first:
            size = len(segments[first - 1])
            if size >= 2 * total or total + size > LARGEST:
                break
            first, total = first - 1, total + size
        if first == len(segments) - 1:
            return segments
        packed = np.concatenate([segment.packed() for segment in segments[first:]])
        ids = np.concatenate([segment.ids for segment in segments[first:]])
        return (*segments[:first], self._segment(packed, ids))
