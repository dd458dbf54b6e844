"""Approximate search by weighted distance that looks at few of the codes."""

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

_TRAIN = 20_000  # codes from which on clusters are worth their making
_GROWN = 4  # clusters are made anew when a fourth as many codes have come since
_LONGEST = 1024  # bits: the sum of 256 tables of 8 bits fits into 16


class _Codes(NamedTuple):
    """All codes at a moment: those in clusters, if there are any yet, and those that came since."""

    lists: Lists | None
    store: Store

    @property
    def size(self) -> int:
        return self.store.size + (0 if self.lists is None else len(self.lists))

    @property
    def segments(self) -> tuple[Searchable, ...]:
        return self.store.all if self.lists is None else (self.lists, *self.store.all)


class IvfWeightedIndex:
    """Finds near codes by weighted Hamming distance among the most promising clusters of codes.

    Approximate by design: a near code in a cluster that is not probed is missed. What is found has
    its exact distance, and is what `WeightedIndex` would find among the codes of the `probes`
    clusters; `bench_search` measures how many of the nearest these hold. Below 20,000 codes all are
    compared.

    Clusters lie in a file that is mapped into memory, a temporary one until `write`. They are made
    when there are enough codes, and made anew when a quarter has been added; codes that came since
    are all compared. A search sees the index as it was when it began.

    Args:
        weights: [bits] ≥ 0, 1024 bits at most.
        lists: how many clusters; when left out, about the square root of the number of codes.
        probes: how many of them a query looks at; when left out, the square root of their number.
            More find more and take longer.
        model: fingerprint of the network whose codes these are; of the first codes when left out.
        threads: that search at a time; when left out, the processors of this process, 8 at most.
        seed: of the clustering.

    Raises:
        CodeError: the weights are no weights, or too many.
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
        """How many codes there are."""
        return self._codes.size

    def __repr__(self) -> str:
        lists = self._codes.lists
        clusters = "no clusters yet" if lists is None else f"{lists.clusters:,} clusters"
        return described(self, self._like.model, clusters)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the codes take, without their ids."""
        return sum(segment.nbytes for segment in self._codes.segments)

    def add(self, codes: Codes, ids: NDArray[np.int64]) -> None:
        """Append codes; see `WeightedIndex.add`. Makes clusters when enough have come."""
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
        """Take codes out; ids that are not there are skipped. Returns how many went.

        Removing codes of clusters writes the clusters anew, which takes about a second for a
        million codes.
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
        """Find k near codes of each query; see `WeightedIndex.search`, which finds the nearest.

        Where fewer than a sixteenth of the codes may be found (`only`), these are all compared.
        """
        codes = self._codes
        width = codes.store.width
        return self._engine.search(codes.segments, self._like, width, width, query, k, only)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file, whole or not at all.

        Raises:
            ReidHashError: it could not be written.
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
        """Read what `write` wrote; clusters are searched in the file itself.

        Raises:
            CodeError: the file is missing, damaged or of another kind.
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
        """All codes in clusters made anew."""
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
        """The same clusters without the codes of some ids."""
        kept = ~np.isin(lists.ids[lists.order], ids)
        if not kept.any():
            return None
        codes = Codes(lists.packed()[kept], self.bits, self._like.weights, self._like.model)
        sizes = lists.arrays["sizes"]
        owner = np.repeat(np.arange(len(sizes)), sizes)[lists.order][kept]
        return self._mapped(cluster_arrays(codes, lists.ids[lists.order][kept], owner, len(sizes)))

    def _mapped(self, arrays: dict[str, NDArray[Any]]) -> Lists:
        """Clusters in a temporary file, which is gone when nobody uses it any more."""
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
