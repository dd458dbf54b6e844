"""Exact search by weighted Hamming or asymmetric distance, at fast-scan speed."""

import copy
import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes, exact_weights
from reid_hash.errors import CodeError
from reid_hash.index._engine.engine import Engine
from reid_hash.index._engine.hash_tables import VALUES, HashTables
from reid_hash.index._engine.index_file import (
    check_array,
    check_ascending,
    read_index_file,
    whole_index,
    write_index_file,
)
from reid_hash.index._engine.layout import LANES
from reid_hash.index._engine.segments import Buffer, Segment, Store
from reid_hash.index._engine.threads import thread_count
from reid_hash.index.base import Matches, check_ids, described, signed_ids

_MOST_SCANNED = 128  # bytes: the sum of 256 8-bit table entries fits into 16 bits


class _Shelf:
    """The codes that an index and its prefixes share; the store is replaced, never changed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.last = -1  # the highest id ever added
        self.writing = threading.Lock()


class WeightedIndex:
    """Exact index by weighted Hamming distance, with ties broken by id.

    Codes are stored once, in `bits / 8` bytes each, in the order that FAISS's 4-bit fast scan
    reads. Fast scan finds candidates by distances rounded to 8 bits a table. The rounding bounds
    how many candidates are needed; if the first fetch does not reach that bound, more are fetched.
    Exact distances then decide.

    A search sees the index as it was when the search began, and does not wait while another
    thread adds codes.

    Args:
        weights: [bits] ≥ 0, the cost of each differing bit.
        model: fingerprint of the network that made the codes. Default: that of the first codes
            added.
        threads: number of search threads. Default: this process's processors, at most 8.
        scan_bits: number of leading bits that fast scan compares, rounded up to whole bytes. Fewer
            are faster if the remaining bits hardly change which codes are near
            (`choose_scan_bits`); the answers stay exact. Default: all, at most 1024.
        hash_tables: keep a hash table for every two bytes of the code, which costs 6 more bytes
            per two bytes. Queries with k very near codes (other pictures of the same scene) are
            answered from these tables, many times faster; other queries take as long as without.

    Raises:
        CodeError: the weights are invalid.

    Example:
        >>> codes = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], weights=[2, 0.5])
        >>> index = WeightedIndex(codes.weights)
        >>> index.add(codes, np.array([3, 5, 8]))
        >>> index.search(codes[:1], k=2)
        Matches(distances=array([[0. , 0.5]]), ids=array([[3, 5]]))
    """

    def __init__(
        self,
        weights: ArrayLike,
        *,
        model: str = "",
        threads: int | None = None,
        scan_bits: int | None = None,
        hash_tables: bool = False,
    ) -> None:
        exact = exact_weights(weights)
        self.bits = len(exact)
        self._like = Codes.empty(self.bits, exact, model)
        self._engine = Engine(thread_count(threads))
        width = -(-self.bits // 8)
        scanned = -(-max(1, self.bits if scan_bits is None else scan_bits) // 8)
        scanned = min(scanned, width, _MOST_SCANNED)
        self._shelf = _Shelf(Store(width, scanned, (), Buffer.empty(width), hash_tables))
        self._whole = True

    @property
    def weights(self) -> NDArray[np.float32]:
        """Cost of each differing bit, [bits] float32."""
        return self._like.weights

    @property
    def model(self) -> str:
        """Fingerprint of the network that made the codes; empty if unknown."""
        return self._like.model

    def __len__(self) -> int:
        """Number of codes in the index."""
        return self._shelf.store.size

    def __repr__(self) -> str:
        tables = ("hash tables",) if self._shelf.store.tables else ()
        return described(self, self.model, *tables)

    @property
    def nbytes(self) -> int:
        """Memory used by the codes, without their ids, in bytes."""
        return sum(segment.nbytes for segment in self._shelf.store.all)

    def add(self, codes: Codes, ids: NDArray[np.int64]) -> None:
        """Append codes.

        Args:
            codes: codes of the index's length and model. Their weights are ignored.
            ids: [n] int64 ≥ 0, ascending, all above any id ever added.

        Raises:
            CodeError: the codes have another length or model, or the ids are out of order.
        """
        self._check_whole()
        shelf = self._shelf
        with shelf.writing:
            codes.check_comparable(self._like)
            ids = check_ids(ids, len(codes), shelf.last)
            shelf.store = shelf.store.add(codes.packed, ids)
            shelf.last = int(ids[-1]) if len(ids) else shelf.last
            if codes.model and not self.model:
                self._like = Codes.empty(self.bits, self.weights, codes.model)

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove codes and return how many were removed; ids not in the index are skipped."""
        self._check_whole()
        with self._shelf.writing:
            before = len(self)
            self._shelf.store = self._shelf.store.remove(signed_ids(ids))
            return before - len(self)

    def set_weights(self, weights: ArrayLike) -> None:
        """Change the weights. Takes no time: stored codes do not depend on them.

        Raises:
            CodeError: the weights are invalid, or their number is not `bits`.
        """
        exact = exact_weights(weights)
        if len(exact) != self.bits:
            raise CodeError(f"{len(exact)} weights for codes of {self.bits} bits")
        self._like = Codes.empty(self.bits, exact, self.model)

    def prefix(self, bits: int) -> "WeightedIndex":
        """View the first `bits` bits of the same codes, present and future. For searching only.

        Raises:
            CodeError: `bits` is out of range.
        """
        if not 1 <= bits <= self.bits:
            raise CodeError(f"{bits} bits asked of an index of {self.bits}; choose 1 to it")
        view = copy.copy(self)  # shares the codes and the learned fetch sizes
        view.bits, view._whole = bits, False
        view._like = self._like.prefix(bits)
        return view

    def search(
        self,
        query: Codes | NDArray[np.floating],
        k: int,
        only: NDArray[np.int64] | None = None,
    ) -> Matches:
        """Find the k nearest codes of each query.

        Args:
            query: codes, or asymmetric queries [queries, bits] float, clipped to -1 … 1 and
                compared as `distances.asymmetric` does, which costs no more.
            k: number of codes to find, ≥ 1.
            only: [m] int64: ids to search among. Default: all.

        Raises:
            CodeError: the query has another length or model, or k < 1.
        """
        store = self._shelf.store
        return self._engine.search(
            store.all, self._like, store.width, store.scanned, query, k, only
        )

    def write(self, path: str | os.PathLike[str], mode: int | None = None) -> None:
        """Write the index to a file atomically.

        Args:
            path: destination file.
            mode: its permission bits. Default: those of an ordinary `open`.

        Raises:
            ReidHashError: the file could not be written.
        """
        store = self._shelf.store
        header = {
            "kind": "weighted",
            "bits": self.bits,
            "model": self.model,
            "scan_bits": 8 * store.scanned,
            "last": self._shelf.last,
            "parts": len(store.segments),
            "hash_tables": store.tables,
        }
        arrays: dict[str, NDArray[Any]] = {"weights": self.weights}
        for number, segment in enumerate(store.segments):
            arrays[f"blocks{number}"] = segment.blocks
            arrays[f"tail{number}"], arrays[f"ids{number}"] = segment.tail, segment.ids
            if segment.tables is not None:
                arrays |= {
                    f"{name}{number}": array for name, array in segment.tables._asdict().items()
                }
        arrays["rows"], arrays["row_ids"] = store.buffer.packed(), store.buffer.ids
        write_index_file(path, header, arrays, mode)

    @classmethod
    def read(cls, path: str | os.PathLike[str], threads: int | None = None) -> "WeightedIndex":
        """Read an index that `write` wrote. Ids and unscanned bytes stay in the file until needed.

        Raises:
            CodeError: the file is missing, damaged or holds an index of another kind.
        """
        header, arrays = read_index_file(path, "weighted")
        with whole_index(path):
            return cls._from_file(header, arrays, threads)

    @classmethod
    def _from_file(
        cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], threads: int | None
    ) -> "WeightedIndex":
        bits = int(header["bits"])
        index = cls(
            check_array(arrays, "weights", np.float32, bits),
            model=str(header["model"]),
            threads=threads,
            scan_bits=int(header["scan_bits"]),
            hash_tables=bool(header.get("hash_tables", False)),
        )
        shelf, segments = index._shelf, []
        store, last, highest = shelf.store, -1, int(header["last"])
        for n in range(header["parts"]):
            ids = check_array(arrays, f"ids{n}", np.int64, None)
            last = check_ascending(ids, last, highest)
            if not len(ids):
                raise ValueError(f"ids{n} is empty")
            blocks = -(-len(ids) // LANES)
            segment = Segment(
                check_array(arrays, f"blocks{n}", np.uint8, blocks, store.scanned, LANES),
                check_array(arrays, f"tail{n}", np.uint8, len(ids), store.width - store.scanned),
                ids,
                _tables(arrays, n, len(ids), store.width),
            )
            segments.append(segment)
        row_ids = check_array(arrays, "row_ids", np.int64, None)
        check_ascending(row_ids, last, highest)
        rows = check_array(arrays, "rows", np.uint8, len(row_ids), store.width)
        shelf.store = store._replace(
            segments=tuple(segments), buffer=store.buffer.append(rows, row_ids)
        )
        shelf.last = highest
        return index

    def _check_whole(self) -> None:
        if not self._whole:
            raise CodeError("a prefix of an index is for searching; change the index itself")


def _tables(
    arrays: Mapping[str, NDArray[Any]], number: int, codes: int, width: int
) -> HashTables | None:
    if f"starts{number}" not in arrays:
        return None
    chunks = -(-width // 2)
    starts = check_array(arrays, f"starts{number}", np.uint32, chunks, VALUES + 1)
    slots = check_array(arrays, f"slots{number}", np.uint32, chunks, codes)
    rows = check_array(arrays, f"rows{number}", np.uint8, codes, -(-width // 8) * 8)
    if (starts[:, 1:] < starts[:, :-1]).any() or (starts[:, [0, -1]] != [0, codes]).any():
        raise ValueError(f"starts{number} does not ascend to the number of codes")
    if slots.size and slots.max() >= codes:
        raise ValueError(f"slots{number} points behind the codes")
    return HashTables(starts, slots, rows)
