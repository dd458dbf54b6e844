"""All codes of an index: a sequence of immutable segments and a buffer of the newest codes.

New codes go to the buffer. A full buffer becomes a segment that fast scan can search, and segments
of similar size are merged, so n codes make about log n segments and every code is rewritten about
log n times. Merging makes a new segment; a search already running keeps the old ones, so what a
reader sees never changes.
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
"""Capacity of the buffer in codes; every query is compared exactly with all of them."""

TABLED = 2**16
"""Least codes of a segment with hash tables: each table begins with 65,536 numbers."""

LARGEST = 2**21
"""Most codes in a segment. Larger segments are slower to merge, smaller ones cost more calls."""

_SPLIT = 2**19  # codes; from here on, four segments serve several threads better than one
_SHARES = 4
_RANGE = 2**15  # codes whose nibbles are unpacked at a time


class Scanned(NamedTuple):
    """Result of fast scan, nearest first.

    Attributes:
        distances: [queries, fetch] float32, in fast scan's own scale (`QueryTables`).
        places: [queries, fetch] int64 positions; -1 if there were fewer codes.
    """

    distances: NDArray[np.float32]
    places: NDArray[np.int64]


class Searchable(ABC):
    """Codes that can be searched.

    Attributes:
        ids: [n] int64, one per code, ascending unless `order` says otherwise.
        tailed: whether fast scan sees only some of the bits.
        tables: hash tables for looking up near codes, or None.
    """

    ids: NDArray[np.int64]
    tailed = False
    tables: HashTables | None = None

    @property
    def order(self) -> NDArray[np.int64] | None:
        """Positions of the codes sorted by id, [n] int64; None if they are stored in that order."""
        return None

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Memory used by the codes, without ids, in bytes."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def work(self) -> int:
        """Number of codes that a query is compared with."""
        return len(self)

    def places(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of the given ids (ascending) in this segment; ids not stored are skipped."""
        ids = self.ids if self.order is None else self.ids[self.order]
        first, last = np.searchsorted(wanted, ids[[0, -1]])
        some = wanted[first : last + 1]
        places: NDArray[np.int64] = np.minimum(np.searchsorted(ids, some), len(ids) - 1)
        places = places[ids[places] == some]
        return places if self.order is None else self.order[places]

    def scan(self, vectors: NDArray[np.float32], fetch: int) -> Scanned | None:
        """Return fast scan's `fetch` nearest codes, or None if comparing all exactly is better.

        Args:
            vectors: [queries, bits] float32 from `QueryTables`.
            fetch: number of codes to report, at most as many as there are.
        """
        return None

    @abstractmethod
    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the nibbles [2 · width, m] of the codes at the given positions."""

    @abstractmethod
    def ranges(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the nibbles [2 · width, m] of all codes in order of id, m codes at a time."""


class Segment(Searchable):
    """Immutable codes with their ids: `scanned` bytes in fast scan's order, the rest in rows.

    Args:
        blocks: [blocks, scanned, 32] uint8 from `pack_blocks`; copied.
        tail: [n, width - scanned] uint8, the bytes that are not scanned.
        ids: [n] int64, ascending.
        tables: hash tables of the same codes, or None.
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
        """Build a segment from packed codes [n, width]; only large ones get hash tables."""
        tail = np.ascontiguousarray(packed[:, scanned:])
        made = HashTables.build(packed) if tables and len(packed) >= TABLED else None
        return cls(pack_blocks(packed[:, :scanned]), tail, ids, made)

    @property
    def nbytes(self) -> int:
        """Memory used by the codes, without their ids, in bytes."""
        tables = 0 if self.tables is None else self.tables.nbytes
        return self.blocks.nbytes + self.tail.nbytes + tables

    def scan(self, vectors: NDArray[np.float32], fetch: int) -> Scanned:
        shape = (len(vectors), fetch)
        distances, places = np.empty(shape, np.float32), np.empty(shape, np.int64)
        pointers = map(faiss.swig_ptr, (distances, places))
        # FAISS's own function: its wrapper repeats our checks, a tenth of the time of a short scan
        self.scanner.search_c(len(vectors), faiss.swig_ptr(vectors), fetch, *pointers)
        return Scanned(distances, places)

    def packed(self) -> NDArray[np.uint8]:
        """Codes, [n, width] uint8."""
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
    """Codes in plain order. Appending makes a new buffer that extends this one's memory.

    Args:
        rows: [BUFFER, width] uint8, shared; rows from `count` on belong to later buffers.
        row_ids: [BUFFER] int64, shared.
        count: number of rows in this buffer.
    """

    def __init__(self, rows: NDArray[np.uint8], row_ids: NDArray[np.int64], count: int) -> None:
        self._rows, self._row_ids = rows, row_ids
        self.ids = row_ids[:count]

    @property
    def free(self) -> int:
        """Number of codes that still fit."""
        return len(self._rows) - len(self)

    @classmethod
    def empty(cls, width: int) -> "Buffer":
        """Make a buffer without codes."""
        return cls(np.zeros((BUFFER, width), np.uint8), np.zeros(BUFFER, np.int64), 0)

    @property
    def nbytes(self) -> int:
        """Memory used by the codes, without their ids, in bytes."""
        return self._rows.nbytes if len(self) else 0

    def append(self, packed: NDArray[np.uint8], ids: NDArray[np.int64]) -> "Buffer":
        """Return a buffer with these codes appended. Call at most once per buffer."""
        end = len(self) + len(ids)
        self._rows[len(self) : end] = packed
        self._row_ids[len(self) : end] = ids
        return Buffer(self._rows, self._row_ids, end)

    def packed(self) -> NDArray[np.uint8]:
        """Codes, [n, width] uint8."""
        return self._rows[: len(self)]

    def nibbles(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        return row_nibbles(self._rows.take(slots, axis=0))

    def ranges(self) -> Iterator[NDArray[np.uint8]]:
        yield row_nibbles(self.packed())


class Store(NamedTuple):
    """All codes of an index at one moment. Adding and removing make a new store.

    Attributes:
        width: bytes per code.
        scanned: number of leading bytes that fast scan compares.
        segments: the segments; ids ascend within each and from one to the next.
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
        """Number of codes."""
        return sum(map(len, self.all))

    @property
    def all(self) -> tuple[Segment | Buffer, ...]:
        """The segments, and the buffer unless it is empty."""
        return (*self.segments, self.buffer) if len(self.buffer) else self.segments

    def add(self, packed: NDArray[np.uint8], ids: NDArray[np.int64]) -> "Store":
        """Append codes [n, width] with ids [n] above all others."""
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
        """Drop the codes of the given ids; segments that held any of them are rebuilt."""
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
        """Merge the last segment with preceding ones less than twice its size."""
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
