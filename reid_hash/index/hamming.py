"""Search by plain Hamming distance: FAISS's binary indexes behind the toolkit's interface."""

import os
from typing import Any, get_args

import faiss
import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.index._engine.faiss_binary import TRAIN, Kind, make_binary, stored
from reid_hash.index._engine.index_file import (
    check_array,
    check_ascending,
    read_index_file,
    whole_index,
    write_index_file,
)
from reid_hash.index._engine.locks import SharedLock
from reid_hash.index._engine.threads import faiss_threads, processors
from reid_hash.index.base import Matches, check_ids, check_search, no_matches

_EFFORT = {"flat": 0, "ivf": 32, "hnsw": 128, "multihash": 1}
_GROWN = 4  # clusters are made anew when there are so many times as many codes


class HammingIndex:
    """Finds codes by the number of differing bits; weights play no part.

    Args:
        bits: length of a code.
        kind: "flat" compares all codes and is exact, ties by id. The others look at some and are
            approximate: "ivf" at clusters (from 20,000 codes on), "hnsw" along a graph of
            neighbours, which takes ten times the memory and long to build, "multihash" at hash
            buckets, for distances that are small against `bits`.
        effort: how much an approximate search looks at: clusters (32 when left out), candidates
            along the graph (128), or how many bits of a bucket's key may differ (1).
        model: fingerprint of the network whose codes these are; of the first codes when left out.
        threads: that search at a time, each its own queries; when left out, the processors of this
            process, 8 at most.

    Raises:
        CodeError: there is no such kind.

    Example:
        >>> codes = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        >>> index = HammingIndex(2)
        >>> index.add(codes, np.array([3, 5, 8]))
        >>> index.search(codes[:1], k=2)
        Matches(distances=array([[0., 1.]]), ids=array([[3, 5]]))
    """

    def __init__(
        self,
        bits: int,
        kind: Kind = "flat",
        *,
        effort: int | None = None,
        model: str = "",
        threads: int | None = None,
    ) -> None:
        if kind not in get_args(Kind):
            raise CodeError(f"no index of kind {kind}; there are {', '.join(get_args(Kind))}")
        self.bits = bits
        self._like = Codes.empty(bits, model=model)
        self._kind: Kind = kind
        self._effort = _EFFORT[kind] if effort is None else effort
        self._threads = max(1, processors() if threads is None else threads)
        self._lock = SharedLock()
        self._ids = np.empty(0, np.int64)
        self._last = -1
        self._make(self._like.packed)

    def __len__(self) -> int:
        """How many codes there are."""
        return len(self._ids)

    def add(self, codes: Codes, ids: NDArray[np.int64]) -> None:
        """Append codes. Waits for searches that are under way.

        Args:
            codes: of the index's length and model.
            ids: [n] int64 ≥ 0, ascending, all above those that were ever there.

        Raises:
            CodeError: codes of another length or model, or ids out of order.
        """
        with self._lock.alone():
            codes.check_comparable(self._like)
            ids = check_ids(ids, len(codes), self._last)
            if codes.model and not self._like.model:
                self._like = Codes.empty(self.bits, model=codes.model)
            total = len(self) + len(ids)
            if self._kind == "ivf" and total >= max(TRAIN, _GROWN * self._made_of):
                self._make(np.concatenate([stored(self._index), codes.packed]))
            else:
                self._index.add(codes.packed)
            self._ids = _appended(self._ids, ids)
            self._last = int(ids[-1]) if len(ids) else self._last

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Take codes out; ids that are not there are skipped. Returns how many went.

        An index that is not flat is built anew.
        """
        with self._lock.alone():
            gone = np.isin(self._ids, ids)
            if gone.any():
                if self._kind == "flat":
                    self._index.remove_ids(np.flatnonzero(gone))
                else:
                    self._make(stored(self._index)[~gone])
                self._ids = self._ids[~gone]
            return int(gone.sum())

    def search(
        self,
        query: Codes | NDArray[np.floating],
        k: int,
        only: NDArray[np.int64] | None = None,
    ) -> Matches:
        """Find the k nearest codes of each query, those equally far by id.

        Args:
            query: codes of the index's length and model.
            k: how many to find, ≥ 1.
            only: [m] int64: search among these ids only, which is exact with every kind; all when
                left out.

        Raises:
            CodeError: the query is of another length or model, or of real values, or k < 1.
        """
        only = check_search(k, only)
        if not isinstance(query, Codes):
            raise CodeError(
                "real-valued queries have no Hamming distance; search for them with WeightedIndex"
            )
        query.check_comparable(self._like)
        with self._lock.shared(), faiss_threads(self._threads):
            index, ids = self._index, self._ids
            if only is not None:
                kept = np.isin(ids, only)
                index, ids = make_binary("flat", stored(index)[kept], 0), ids[kept]
            matches = no_matches(len(query), k)
            wanted = min(k, len(ids))
            if wanted and len(query):
                graph = isinstance(index, faiss.IndexBinaryHNSW)
                how = faiss.SearchParametersHNSW(efSearch=max(self._effort, k)) if graph else None
                found, places = index.search(query.packed, wanted, params=how)
                matches.distances[:, :wanted] = np.where(places < 0, np.inf, found)
                matches.ids[:, :wanted] = np.where(places < 0, -1, ids[places])
        order = np.lexsort((matches.ids, matches.distances))
        return Matches(
            np.take_along_axis(matches.distances, order, axis=1),
            np.take_along_axis(matches.ids, order, axis=1),
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file, whole or not at all.

        Raises:
            ReidHashError: it could not be written.
        """
        with self._lock.shared():
            header = {
                "kind": "hamming",
                "bits": self.bits,
                "model": self._like.model,
                "method": self._kind,
                "effort": self._effort,
                "last": self._last,
                "made_of": self._made_of,
            }
            index = faiss.serialize_index_binary(self._index)
            write_index_file(path, header, {"index": index, "ids": self._ids})

    @classmethod
    def read(cls, path: str | os.PathLike[str], threads: int | None = None) -> "HammingIndex":
        """Read what `write` wrote.

        Raises:
            CodeError: the file is missing, damaged or of another kind.
        """
        header, arrays = read_index_file(path, "hamming")
        with whole_index(path):
            index = cls(
                int(header["bits"]),
                header["method"],
                effort=int(header["effort"]),
                model=str(header["model"]),
                threads=threads,
            )
            data = check_array(arrays, "index", np.uint8, None)
            index._index = faiss.deserialize_index_binary(data)
            ids = check_array(arrays, "ids", np.int64, index._index.ntotal)
            check_ascending(ids, -1, int(header["last"]))
            if index._index.code_size != -(-index.bits // 8):
                raise ValueError(f"its codes are of {index._index.code_size} bytes")
            index._ids, index._last = ids, int(header["last"])
            index._made_of = int(header["made_of"])
            return index

    def _make(self, packed: NDArray[np.uint8]) -> None:
        self._index: Any = make_binary(self._kind, packed, self._effort)
        self._made_of = len(packed)


def _appended(ids: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ids and new ones, in the same memory if there is room behind them: it grows by halves."""
    total = len(ids) + len(new)
    room = ids.base
    if not isinstance(room, np.ndarray) or len(room) < total or not room.flags.writeable:
        room = np.empty(total + total // 2, np.int64)
        room[: len(ids)] = ids
    room[len(ids) : total] = new
    return room[:total]
