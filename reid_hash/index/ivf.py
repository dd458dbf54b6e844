"""Approximate search by weighted Hamming distance that compares only a few of the codes."""

import os
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes, exact_weights
from reid_hash.errors import CodeError
from reid_hash.index._engine.engine import Engine
from reid_hash.index._engine.index_file import (
    check_array,
    read_index_file,
    whole_index,
    write_index_file,
)
from reid_hash.index._engine.inverted_lists import (
    Lists,
    assign,
    cluster_arrays,
    default_lists,
    train,
)
from reid_hash.index._engine.segments import Buffer, Searchable, Store
from reid_hash.index._engine.threads import faiss_threads, thread_count
from reid_hash.index.base import Matches, check_ids, described, signed_ids

_TRAIN = 20_000  # codes; clustering fewer does not pay
_GROWN = 4  # clusters are rebuilt once a fourth as many codes have been added since
_LONGEST = 1024  # bits: the sum of 256 8-bit table entries fits into 16 bits


class _Codes(NamedTuple):
    """All codes at one moment: the clustered ones, if any, and those added since."""

    lists: Lists | None
    store: Store

    @property
    def size(self) -> int:
        return self.store.size + (0 if self.lists is None else len(self.lists))

    @property
    def segments(self) -> tuple[Searchable, ...]:
        return self.store.all if self.lists is None else (self.lists, *self.store.all)


class IvfWeightedIndex:
    """Approximate index by weighted Hamming distance over the most promising clusters of codes.

    A near code in a cluster that is not probed is missed. Codes that are found have their exact
    distance, and are those that `WeightedIndex` would find within the probed clusters;
    `bench_search` measures the recall. Below 20,000 codes, a search compares all of them.

    The clusters are in a memory-mapped file, a temporary one until `write`. They are made once
    there are enough codes, and rebuilt when a quarter has been added. Codes added since are all
    compared. A search sees the index as it was when the search began.

    Args:
        weights: [bits] ≥ 0, at most 1024 bits.
        lists: number of clusters. Default: about the square root of the number of codes.
        probes: number of clusters that a query searches. Default: the square root of the number of
            clusters. More probes find more and take longer.
        model: fingerprint of the network that made the codes. Default: that of the first codes
            added.
        threads: number of search threads. Default: this process's processors, at most 8.
        seed: seed of the clustering.

    Raises:
        CodeError: the weights are invalid, or more than 1024.
    """

    def __init__(
        self,
        weights: ArrayLike,
        *,
        lists: int | None = None,
        probes: int | None = None,
        model: str = "",
        threads: int | None = None,
        seed: int = 0,
    ) -> None:
        exact = exact_weights(weights)
        if len(exact) > _LONGEST:
            raise CodeError(f"this index takes codes of up to {_LONGEST} bits, not {len(exact)}")
        self.bits = len(exact)
        self._like = Codes.empty(self.bits, exact, model)
        self._settings = (lists, probes, seed)
        self._engine = Engine(thread_count(threads))
        width = -(-len(exact) // 8)
        self._codes = _Codes(None, Store(width, width, (), Buffer.empty(width)))
        self._last = -1
        self._writing = threading.Lock()

    def __len__(self) -> int:
        """Number of codes in the index."""
        return self._codes.size

    def __repr__(self) -> str:
        lists = self._codes.lists
        clusters = "no clusters yet" if lists is None else f"{lists.clusters:,} clusters"
        return described(self, self._like.model, clusters)

    @property
    def nbytes(self) -> int:
        """Memory used by the codes, without their ids, in bytes."""
        return sum(segment.nbytes for segment in self._codes.segments)

    def add(self, codes: Codes, ids: NDArray[np.int64]) -> None:
        """Append codes as `WeightedIndex.add` does; make clusters once there are enough codes."""
        with self._writing:
            codes.check_comparable(self._like)
            ids = check_ids(ids, len(codes), self._last)
            if codes.model and not self._like.model:
                self._like = Codes.empty(self.bits, self._like.weights, codes.model)
            lists, store = self._codes
            store = store.add(codes.packed, ids)
            self._last = int(ids[-1]) if len(ids) else self._last
            self._codes = _Codes(lists, store)
            if store.size >= max(_TRAIN, 0 if lists is None else len(lists) // _GROWN):
                self._codes = self._clustered()

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove codes and return how many were removed; ids not in the index are skipped.

        Removing clustered codes rewrites the clusters, which takes about a second for a million
        codes.
        """
        with self._writing:
            before = len(self)
            lists, store = self._codes
            store = store.remove(signed_ids(ids))
            if lists is not None and np.isin(ids, lists.ids).any():
                lists = self._without(lists, ids)
            self._codes = _Codes(lists, store)
            return before - len(self)

    def search(
        self,
        query: Codes | NDArray[np.floating],
        k: int,
        only: NDArray[np.int64] | None = None,
    ) -> Matches:
        """Find k near codes of each query. Arguments are those of `WeightedIndex.search`.

        If `only` leaves fewer than a sixteenth of the codes, all of these are compared.
        """
        codes = self._codes
        width = codes.store.width
        return self._engine.search(codes.segments, self._like, width, width, query, k, only)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file atomically.

        Raises:
            ReidHashError: the file could not be written.
        """
        with self._writing:
            lists, store = self._codes
            header = {
                "kind": "weighted-ivf",
                "model": self._like.model,
                "settings": self._settings,
                "last": self._last,
            }
            new: dict[str, NDArray[Any]] = {
                "weights": self._like.weights,
                "new_packed": _joined([segment.packed() for segment in store.all], store.width),
                "new_ids": np.concatenate([np.empty(0, np.int64), *(p.ids for p in store.all)]),
            }
            write_index_file(path, header, new | _arrays_of(lists))

    @classmethod
    def read(cls, path: str | os.PathLike[str], threads: int | None = None) -> "IvfWeightedIndex":
        """Read an index that `write` wrote; its clusters are searched in the file itself.

        Raises:
            CodeError: the file is missing, damaged or holds an index of another kind.
        """
        header, arrays = read_index_file(path, "weighted-ivf")
        with whole_index(path):
            number, probes, seed = header["settings"]
            index = cls(
                check_array(arrays, "weights", np.float32, None),
                lists=number,
                probes=probes,
                model=str(header["model"]),
                threads=threads,
                seed=seed,
            )
            store = index._codes.store
            ids = check_array(arrays, "new_ids", np.int64, None)
            packed = check_array(arrays, "new_packed", np.uint8, len(ids), store.width)
            store = store.add(packed, ids)
            lists = Lists(path, probes) if "region" in arrays else None
            if lists is not None and lists.width != store.width:
                raise ValueError(f"lists of {lists.width} bytes a code in place of {store.width}")
            index._codes = _Codes(lists, store)
            index._last = int(header["last"])
            return index

    def _clustered(self) -> _Codes:
        """Put all codes into new clusters."""
        lists, store = self._codes
        held = [] if lists is None else [(lists.packed(), lists.ids[lists.order])]
        held += [(segment.packed(), segment.ids) for segment in store.all]
        packed = np.concatenate([packed for packed, _ in held])
        ids = np.concatenate([ids for _, ids in held])
        codes = Codes(packed, self.bits, self._like.weights, self._like.model)
        wanted, _, seed = self._settings
        number = max(2, min(wanted or default_lists(len(codes)), len(codes) // 2))
        with faiss_threads(self._engine.threads):
            owner = assign(codes, train(codes, number, seed))
        made = self._mapped(cluster_arrays(codes, ids, owner, number))
        return _Codes(made, store._replace(segments=(), buffer=Buffer.empty(store.width)))

    def _without(self, lists: Lists, ids: NDArray[np.int64]) -> Lists | None:
        """Copy the clusters without the codes of the given ids."""
        kept = ~np.isin(lists.ids[lists.order], ids)
        if not kept.any():
            return None
        codes = Codes(lists.packed()[kept], self.bits, self._like.weights, self._like.model)
        sizes = lists.arrays["sizes"]
        owner = np.repeat(np.arange(len(sizes)), sizes)[lists.order][kept]
        return self._mapped(cluster_arrays(codes, lists.ids[lists.order][kept], owner, len(sizes)))

    def _mapped(self, arrays: dict[str, NDArray[Any]]) -> Lists:
        """Put clusters into a temporary file that goes away with its last user."""
        with tempfile.TemporaryDirectory(prefix="reid_hash-") as folder:
            path = Path(folder) / "lists"
            write_index_file(path, {"kind": "weighted-ivf"}, arrays)
            return Lists(path, self._settings[1])


def _joined(packed: list[NDArray[np.uint8]], width: int) -> NDArray[np.uint8]:
    return np.concatenate([np.empty((0, width), np.uint8), *packed])


def _arrays_of(lists: Lists | None) -> dict[str, NDArray[Any]]:
    if lists is None:
        return {}
    return {name: lists.arrays[name] for name in ("means", "sizes", "ids", "region")}
