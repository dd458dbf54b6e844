"""What FAISS's binary indexes are asked for here, one function for each thing."""

from functools import cache
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CodeError
from reid_hash.index._engine.inverted_lists import default_lists

Kind = Literal["flat", "ivf", "hnsw", "multihash"]

TRAIN = 20_000
"""Codes from which on an index of kind "ivf" has clusters; below, it compares all."""

_PER_LIST = 32  # codes to train on for each cluster
_TABLES = 8
_KEY_BITS = 16  # of a hash table: 65,536 buckets
_LINKS = 32  # of a code in the graph


def make_binary(kind: Kind, packed: NDArray[np.uint8], effort: int) -> Any:
    """A `faiss.IndexBinary` over packed codes, which knows them by their places.

    Args:
        kind: of the index.
        packed: [n, width] uint8.
        effort: as for `HammingIndex`.
    """
    _check_ties()
    width = packed.shape[1]
    if kind == "ivf" and len(packed) >= TRAIN:
        lists = default_lists(len(packed))
        index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(8 * width), 8 * width, lists)
        index.nprobe = min(effort, lists)
        sample = np.random.default_rng(0).permutation(len(packed))[: _PER_LIST * lists]
        index.cp.min_points_per_centroid = 1
        index.train(packed[np.sort(sample)])
    elif kind == "hnsw":
        index = faiss.IndexBinaryHNSW(8 * width, _LINKS)
        index.hnsw.efSearch = effort
    elif kind == "multihash":
        key = min(8 * width, _KEY_BITS)
        index = faiss.IndexBinaryMultiHash(8 * width, min(_TABLES, 8 * width // key), key)
        index.nflip = effort
    else:
        index = faiss.IndexBinaryFlat(8 * width)
    index.add(packed)
    return index


def stored(index: Any) -> NDArray[np.uint8]:
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
    flat = index if isinstance(index, faiss.IndexBinaryFlat) else index.storage
    flat = faiss.downcast_IndexBinary(flat)
    if not flat.ntotal:
        return np.empty((0, flat.code_size), np.uint8)
    rows: NDArray[np.uint8] = faiss.rev_swig_ptr(flat.xb.data(), flat.xb.size())
    return rows.reshape(flat.ntotal, -1)


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
