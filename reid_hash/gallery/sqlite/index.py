"""The index of an open gallery: read from its file, kept up with the rows.

One index serves every code length and both distances: a prefix is a view of the same codes, and
weights are a matter of the query.
"""

import contextlib
import sqlite3
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import ReidHashError
from reid_hash.gallery.sqlite import query as select
from reid_hash.gallery.sqlite.cache import Position, delete_indexes, index_files, write_index
from reid_hash.gallery.sqlite.schema import get_count
from reid_hash.index import Matches, WeightedIndex

_MANY = 2**20  # rows from which on an index that is made at once scans no more bits than it must
_NEAREST = 100  # matches that a search is taken to want, for that choice
_LAG = 0.01  # share of the rows that the file may lack: those are read from the database


class GalleryIndex:
    """Searches the codes of a gallery; may be used from several threads.

    Args:
        folder: of the gallery.
        gallery: the gallery's own random name: a file that was copied here is not taken for its.
        template: no code, but with the gallery's length, weights and model.
        mode: permissions of the files that are written.
    """

    def __init__(self, folder: Path, gallery: str, template: Codes, mode: int) -> None:
        self._folder, self._gallery, self._template = folder, gallery, template
        self._mode = mode
        self._width = template.packed.shape[1]
        self._index: WeightedIndex | None = None
        self._at = Position(0, 0)
        self._file: Position | None = None  # of a file that was found good, or written
        self._turn = threading.RLock()

    def search(
        self,
        db: sqlite3.Connection,
        query: Codes | NDArray[np.floating],
        k: int,
        weighted: bool,
        only: NDArray[np.int64] | None,
    ) -> Matches:
        """Search as `CodeIndex.search` does, among the rows that `db` sees, and newer ones.

        Args:
            db: in a transaction.
            query: codes, or real values, of the length to be compared.
            k: how many to find.
            weighted: by weighted Hamming distance.
            only: ids to search among.
        """
        bits = query.bits if isinstance(query, Codes) else query.shape[1]
        view = self._current(db).prefix(bits)
        if not weighted:
            view.set_weights(np.ones(bits))
        return view.search(query, k, only)

    def _current(self, db: sqlite3.Connection) -> WeightedIndex:
        """The index with all rows that `db` sees; another thread may have seen more."""
        with self._turn:
            now = position(db)
            index, at = self._index, self._at
            # one of a later erasure serves an older view as well: what is gone need not be found
            if index is None or at.erasures < now.erasures:
                index, at = self._load(db, now) or (self._empty(), Position(0, now.erasures))
            if at.last < now.last:
                blocks = list(select.codes(db, self._width, after=at.last))
                if blocks:
                    ids, packed = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
                    codes = self._codes(packed)
                    if len(codes) >= _MANY and not len(index):
                        index = self._empty(choose_scan_bits(codes, _NEAREST))
                    index.add(codes, ids)
                at = now
            self._index, self._at = index, at
            return index

    def _empty(self, scan_bits: int | None = None) -> WeightedIndex:
        like = self._template
        return WeightedIndex(like.weights, model=like.model, scan_bits=scan_bits)

    def _codes(self, packed: NDArray[np.uint8]) -> Codes:
        return Codes(packed, self._template.bits, self._template.weights, self._template.model)

    def _load(self, db: sqlite3.Connection, now: Position) -> tuple[WeightedIndex, Position] | None:
        """The newest file whose codes are rows of this database, or None."""
        for file in index_files(self._folder):
            at = file.position
            # later than the database: an older database was put back
            if file.gallery != self._gallery or at.erasures != now.erasures or at.last > now.last:
                continue
            index = file.load()
            if not isinstance(index, str) and self._agrees(db, index, at):
                index.set_weights(self._template.weights)
                self._file = at
                return index, at
        return None

    def _agrees(self, db: sqlite3.Connection, index: WeightedIndex, at: Position) -> bool:
        """Whether the newest code in an index is that of the row: they could part ways after a
        database was put back from a copy and had other rows added."""
        newest = "SELECT id, code FROM sightings WHERE id <= ? ORDER BY id DESC LIMIT 1"
        row = db.execute(newest, (at.last,)).fetchone()
        whole = row is not None and isinstance(row[1], bytes) and len(row[1]) == self._width
        if not whole or index.bits != self._template.bits:
            return row is None and not len(index)
        code = self._codes(np.frombuffer(row[1], np.uint8)[None])
        bit_by_bit = index.prefix(index.bits)
        bit_by_bit.set_weights(np.ones(index.bits))  # the gallery's own may be zero
        found = bit_by_bit.search(code, 1, np.array([row[0]], np.int64))
        return float(found.distances[0, 0]) == 0.0

    def warm(self, db: sqlite3.Connection) -> None:
        """Read the file if there is one that can be used: quicker than all rows later."""
        with self._turn:
            if self._index is None and (loaded := self._load(db, position(db))):
                self._index, self._at = loaded

    def remove(self, ids: NDArray[np.int64], erasures: int) -> None:
        """Follow an erasure of this process.

        Args:
            ids: of the sightings that are gone.
            erasures: how many there have been with this one.
        """
        with self._turn:
            if self._index is not None and self._at.erasures == erasures - 1:
                self._index.remove(ids)
                self._at = Position(self._at.last, erasures)

    def delete(self) -> None:
        """Delete the files; GalleryError where that fails. What is in memory stays."""
        delete_indexes(self._folder)

    def drop(self) -> None:
        """Delete the files and forget what is in memory, which is partly a mapping of them."""
        with self._turn:
            self._index, self._at, self._file = None, Position(0, 0), None
            delete_indexes(self._folder)

    def write(self, db: sqlite3.Connection, lag: int | None = None) -> bool:
        """Write the file if it cannot be used, or is too far behind; for the only writer.

        Args:
            db: in a transaction.
            lag: rows that it may be behind; a hundredth of all when left out.

        Returns:
            Whether it was written: a full disk is no reason to fail, for it is a cache.
        """
        now = position(db)
        if self._file is None or self._file.erasures != now.erasures:
            self._file = Position(0, now.erasures)
            self._load(db, now)
        behind = now.last - self._file.last
        if behind <= (int(_LAG * now.last) if lag is None else lag):
            return False
        index = self._current(db)
        with contextlib.suppress(ReidHashError, OSError):
            write_index(self._folder, self._gallery, self._at, index, self._mode)
            self._file = self._at
            return True
        return False

    def state(self, db: sqlite3.Connection) -> str:
        """The state of the file in words."""
        now, text = position(db), "missing"
        for file in index_files(self._folder):
            if file.gallery != self._gallery or file.position.erasures != now.erasures:
                text = "out of date"
                continue
            loaded = file.load()
            if isinstance(loaded, str):
                return "damaged"
            behind = now.last - file.position.last
            return f"{behind:,} sightings behind" if behind > 0 else "up to date"
        return text


def position(db: sqlite3.Connection) -> Position:
    """What state of the gallery a connection sees."""
    return Position(select.last_id(db), get_count(db, "erasures"))


_QUERIES = 64
_OTHERS = 2**15
# Nanoseconds, on one processor with AVX2: only their ratio matters.
_BIT = 0.0042  # for comparing a bit of a code
_SURVIVOR = 600.0  # for fetching a candidate and computing its distance


def choose_scan_bits(codes: Codes, k: int = 100, threads: int | None = None, seed: int = 0) -> int:
    """Choose `WeightedIndex`'s `scan_bits` for searches among these codes.

    The distance of a prefix is a lower bound of the whole distance. Scanning it is enough to drop
    all codes whose prefix is farther than the whole of the k-th nearest code. It pays where the
    nearest are very near, as in many pictures of the same scene, and hardly ever otherwise.

    Args:
        codes: what will be searched, or a good part of it; the queries are taken from it, too.
        k: how many will be wanted.
        threads: as for `WeightedIndex`.
        seed: of the sample.

    Returns:
        A multiple of 8, or `codes.bits` where a prefix does not pay.
    """
    sample = np.random.default_rng(seed).permutation(len(codes))[: _QUERIES + _OTHERS]
    query, others = codes[np.sort(sample[:_QUERIES])], codes[np.sort(sample[_QUERIES:])]
    if len(others) < _QUERIES:
        return codes.bits
    index = WeightedIndex(codes.weights, threads=threads)
    index.add(codes, np.arange(len(codes)))
    within = index.search(query, k + 1).distances[:, -1]  # itself, and k
    weights = np.zeros(8 * codes.packed.shape[1])
    weights[: codes.bits] = codes.weights
    step = weights.reshape(-1, 4).sum(axis=1).max() / 255  # of fast scan's tables, about
    prefix = np.zeros((len(query), len(others)))
    costs = []
    for byte, part in enumerate(_by_byte(query, others)):
        prefix += part
        margin = 2 * (byte + 1) * step
        # the worst query: those with more candidates than most are scanned for twice, so that too
        # few bits cost far more than too many
        surviving = np.mean(prefix <= within[:, None] + margin, axis=1).max() * len(codes)
        costs.append(8 * (byte + 1) * _BIT * len(codes) + surviving * _SURVIVOR)
    return min(8 * (int(np.argmin(costs)) + 1), codes.bits)


def _by_byte(query: Codes, others: Codes) -> list[NDArray[np.float64]]:
    """What each byte adds to the distances, [queries, others] each."""
    weights = query.weights.astype(np.float64)
    values = np.arange(256, dtype=np.uint8)[:, None]
    parts = []
    for byte in range(query.packed.shape[1]):
        costs = np.zeros(8)
        some = weights[8 * byte : 8 * byte + 8]
        costs[: len(some)] = some
        table = np.unpackbits(values, axis=1, bitorder="little") @ costs
        parts.append(table[query.packed[:, byte, None] ^ others.packed[None, :, byte]])
    return parts
