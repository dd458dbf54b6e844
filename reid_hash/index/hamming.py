"""Search by plain Hamming distance: FAISS's binary indexes behind the toolkit's interface."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, get_args

import faiss
import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.index._engine.index_file import (
    check_array,
    check_ascending,
    read_index_file,
    whole_index,
    write_index_file,
)
from reid_hash.index._engine.inverted_lists import default_lists
from reid_hash.index._engine.threads import faiss_threads, thread_count
from reid_hash.index.base import (
    Matches,
    check_ids,
    check_search,
    described,
    no_matches,
    signed_ids,
)

Kind = Literal["flat", "ivf"]

_TRAIN = 20_000  # codes; an "ivf" index below this size compares all codes, above it makes clusters
_PER_LIST = 32  # training codes per cluster
_PROBES = 32
_GROWN = 4  # clusters are rebuilt when the index has grown by this factor


class _SharedLock:
    """Lock that searches share and changes hold alone; a waiting change precedes later searches."""

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._readers = 0
        self._writers = 0  # changes that hold the lock or wait for it
        self._turn = threading.Lock()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with other searches. Not reentrant."""
        with self._state:
            self._state.wait_for(lambda: not self._writers)
            self._readers += 1
        try:
            yield
        finally:
            with self._state:
                self._readers -= 1
                self._state.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock alone."""
        with self._state:
            self._writers += 1
        try:
            with self._turn:
                with self._state:
                    self._state.wait_for(lambda: not self._readers)
                yield
        finally:
            with self._state:
                self._writers -= 1
                self._state.notify_all()


class HammingIndex:
    """Index by plain Hamming distance: the number of differing bits, unweighted.

    Args:
        bits: code length.
        kind: "flat" compares all codes and is exact, with ties broken by id. "ivf" is approximate:
            from 20,000 codes on it compares only the most promising clusters.
        probes: number of clusters that a query searches. Default: 32.
        model: fingerprint of the network that made the codes. Default: that of the first codes
            added.
        threads: number of search threads, each for its own queries. Default: this process's
            processors, at most 8.

    Raises:
        CodeError: `kind` is unknown.

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
        probes: int | None = None,
        model: str = "",
        threads: int | None = None,
    ) -> None:
        if kind not in get_args(Kind):
            raise CodeError(f"no index of kind {kind}; there are {', '.join(get_args(Kind))}")
        self.bits = bits
        self._like = Codes.empty(bits, model=model)
        self._kind: Kind = kind
        self._probes = _PROBES if probes is None else probes
        self._threads = thread_count(threads)
        self._lock = _SharedLock()
        self._ids = np.empty(0, np.int64)
        self._last = -1
        self._make(self._like.packed)

    def __len__(self) -> int:
        """Number of codes in the index."""
        return len(self._ids)

    def __repr__(self) -> str:
        return described(self, self._like.model, self._kind)

    def add(self, codes: Codes, ids: NDArray[np.int64]) -> None:
        """Append codes, after searches in progress have ended.

        Args:
            codes: codes of the index's length and model.
            ids: [n] int64 ≥ 0, ascending, all above any id ever added.

        Raises:
            CodeError: the codes have another length or model, or the ids are out of order.
        """
        with self._lock.alone():
            codes.check_comparable(self._like)
            ids = check_ids(ids, len(codes), self._last)
            if codes.model and not self._like.model:
                self._like = Codes.empty(self.bits, model=codes.model)
            total = len(self) + len(ids)
            if self._kind == "ivf" and total >= max(_TRAIN, _GROWN * self._made_of):
                self._make(np.concatenate([_stored(self._index), codes.packed]))
            else:
                self._index.add(codes.packed)
            self._ids = _appended(self._ids, ids)
            self._last = int(ids[-1]) if len(ids) else self._last

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove codes and return how many were removed; ids not in the index are skipped.

        An index with clusters is rebuilt.
        """
        with self._lock.alone():
            gone = np.isin(self._ids, signed_ids(ids))
            if gone.any():
                if self._kind == "flat":
                    self._index.remove_ids(np.flatnonzero(gone))
                else:
                    self._make(_stored(self._index)[~gone])
                self._ids = self._ids[~gone]
            return int(gone.sum())

    def search(
        self,
        query: Codes | NDArray[np.floating],
        k: int,
        only: NDArray[np.int64] | None = None,
    ) -> Matches:
        """Find the k nearest codes of each query, with ties broken by id.

        Args:
            query: codes of the index's length and model.
            k: number of codes to find, ≥ 1.
            only: [m] int64: ids to search among, exactly whatever the kind. Default: all.

        Raises:
            CodeError: the query has another length or model, the query is asymmetric (floats), or
                k < 1.
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
                index, ids = _make_binary("flat", _stored(index)[kept], 0), ids[kept]
            wanted = min(k, len(ids))
            matches = no_matches(len(query), wanted)
            if wanted and len(query):
                found, places = index.search(query.packed, wanted)
                matches.distances[:, :wanted] = np.where(places < 0, np.inf, found)
                matches.ids[:, :wanted] = np.where(places < 0, -1, ids[places])
        order = np.lexsort((matches.ids, matches.distances))
        return Matches(
            np.take_along_axis(matches.distances, order, axis=1),
            np.take_along_axis(matches.ids, order, axis=1),
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file atomically.

        Raises:
            ReidHashError: the file could not be written.
        """
        with self._lock.shared():
            header = {
                "kind": "hamming",
                "bits": self.bits,
                "model": self._like.model,
                "method": self._kind,
                "effort": self._probes,
                "last": self._last,
                "made_of": self._made_of,
            }
            index = faiss.serialize_index_binary(self._index)
            write_index_file(path, header, {"index": index, "ids": self._ids})

    @classmethod
    def read(cls, path: str | os.PathLike[str], threads: int | None = None) -> "HammingIndex":
        """Read an index that `write` wrote.

        Raises:
            CodeError: the file is missing, damaged or holds an index of another kind.
        """
        header, arrays = read_index_file(path, "hamming")
        with whole_index(path):
            index = cls(
                int(header["bits"]),
                header["method"],
                probes=int(header["effort"]),
                model=str(header["model"]),
                threads=threads,
            )
            data = check_array(arrays, "index", np.uint8, None)
            index._index = faiss.deserialize_index_binary(data)
            if not isinstance(index._index, faiss.IndexBinaryFlat | faiss.IndexBinaryIVF):
                raise ValueError(f"it holds a {type(index._index).__name__}")
            ids = check_array(arrays, "ids", np.int64, index._index.ntotal)
            check_ascending(ids, -1, int(header["last"]))
            if index._index.code_size != -(-index.bits // 8):
                raise ValueError(f"its codes are of {index._index.code_size} bytes")
            index._ids, index._last = ids, int(header["last"])
            index._made_of = int(header["made_of"])
            return index

    def _make(self, packed: NDArray[np.uint8]) -> None:
        self._index: Any = _make_binary(self._kind, packed, self._probes)
        self._made_of = len(packed)


def _appended(ids: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
    """Append ids in place if their array has spare room; otherwise reallocate with half as much."""
    total = len(ids) + len(new)
    room = ids.base
    if not isinstance(room, np.ndarray) or len(room) < total or not room.flags.writeable:
        room = np.empty(total + total // 2, np.int64)
        room[: len(ids)] = ids
    room[len(ids) : total] = new
    return room[:total]


def _make_binary(kind: Kind, packed: NDArray[np.uint8], probes: int) -> Any:
    """Make a `faiss.IndexBinary` over packed codes, identified by their positions.

    Args:
        kind: kind of the index.
        packed: [n, width] uint8.
        probes: number of clusters to search, as for `HammingIndex`.
    """
    _check_ties()
    width = packed.shape[1]
    if kind == "ivf" and len(packed) >= _TRAIN:
        lists = default_lists(len(packed))
        index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(8 * width), 8 * width, lists)
        index.nprobe = min(probes, lists)
        sample = np.random.default_rng(0).permutation(len(packed))[: _PER_LIST * lists]
        index.cp.min_points_per_centroid = 1
        index.train(packed[np.sort(sample)])
    else:
        index = faiss.IndexBinaryFlat(8 * width)
    index.add(packed)
    return index


def _stored(index: Any) -> NDArray[np.uint8]:
    """Packed codes of a binary index, [n, width] uint8; a view if they are stored in order."""
    if isinstance(index, faiss.IndexBinaryIVF):
        packed = np.empty((index.ntotal, index.code_size), np.uint8)
        for number in range(index.nlist):
            size = index.invlists.list_size(number)
            if size:
                places = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
                codes = faiss.rev_swig_ptr(index.invlists.get_codes(number), size * index.code_size)
                packed[places] = codes.reshape(size, -1)
        return packed
    if not index.ntotal:
        return np.empty((0, index.code_size), np.uint8)
    rows: NDArray[np.uint8] = faiss.rev_swig_ptr(index.xb.data(), index.xb.size())
    return rows.reshape(index.ntotal, -1)


@cache
def _check_ties() -> None:
    """Check that `IndexBinaryFlat` keeps the earliest of several equally distant codes.

    It does, because its heap orders by (distance, position). Tried once a process on 300 codes.
    """
    packed = np.random.default_rng(0).integers(0, 4, (300, 1), np.uint8)
    index = faiss.IndexBinaryFlat(8)
    index.add(packed)
    _, places = index.search(packed[:4], 100)
    distances = np.bitwise_count(packed[:4] ^ packed.T)
    if (np.sort(places) != np.sort(np.argsort(distances, axis=1, kind="stable")[:, :100])).any():
        raise CodeError(
            f"FAISS {faiss.__version__} breaks ties otherwise than is known here; "
            "install faiss-cpu 1.15"
        )
