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

_TRAIN = 20_000  # codes from which on an index of kind "ivf" has clusters; below, it compares all
_PER_LIST = 32  # codes to train on for each cluster
_PROBES = 32
_GROWN = 4  # clusters are made anew when there are so many times as many codes


class _SharedLock:
    """Searches share it, changes hold it alone; a waiting change goes before later searches."""

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._readers = 0
        self._writers = 0  # that hold it or wait for it
        self._turn = threading.Lock()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it beside others; not within `shared` itself."""
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
        """Hold it alone."""
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
    """Finds codes by the number of differing bits; weights play no part.

    Args:
        bits: length of a code.
        kind: "flat" compares all codes and is exact, ties by id. "ivf" looks at the most promising
            clusters of codes, from 20,000 codes on, and is approximate.
        probes: how many clusters a query looks at, 32 when left out.
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
        """How many codes there are."""
        return len(self._ids)

    def __repr__(self) -> str:
        return described(self, self._like.model, self._kind)

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
            if self._kind == "ivf" and total >= max(_TRAIN, _GROWN * self._made_of):
                self._make(np.concatenate([_stored(self._index), codes.packed]))
            else:
                self._index.add(codes.packed)
            self._ids = _appended(self._ids, ids)
            self._last = int(ids[-1]) if len(ids) else self._last

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Take codes out; ids that are not there are skipped. Returns how many went.

        An index with clusters is built anew.
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
                "effort": self._probes,
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
    """Ids and new ones, in the same memory if there is room behind them: it grows by halves."""
    total = len(ids) + len(new)
    room = ids.base
    if not isinstance(room, np.ndarray) or len(room) < total or not room.flags.writeable:
        room = np.empty(total + total // 2, np.int64)
        room[: len(ids)] = ids
    room[len(ids) : total] = new
    return room[:total]


def _make_binary(kind: Kind, packed: NDArray[np.uint8], probes: int) -> Any:
    """A `faiss.IndexBinary` over packed codes, which knows them by their places.

    Args:
        kind: of the index.
        packed: [n, width] uint8.
        probes: as for `HammingIndex`.
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
    """The packed codes of a binary index, [n, width] uint8; a view where they lie in order."""
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
    """Whether `IndexBinaryFlat` keeps, of codes equally far, those that came first.

    It does so since its heap orders by distance and place; tried once a process on 300 codes.
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
