"""Make an index by name, or read an index of any kind from its file."""

import os
from collections.abc import Callable
from typing import Literal, get_args

from reid_hash.codes import Codes
from reid_hash.errors import CodeError
from reid_hash.index._engine.index_file import read_index_file
from reid_hash.index.base import CodeIndex
from reid_hash.index.hamming import HammingIndex
from reid_hash.index.ivf import IvfWeightedIndex
from reid_hash.index.weighted import WeightedIndex

IndexName = Literal["weighted", "weighted-multihash", "weighted-ivf", "flat", "ivf"]
"""`weighted`, `weighted-multihash` (with hash tables) and `flat` are exact; `weighted-ivf` and
`ivf` are approximate. `flat` and `ivf` rank by plain Hamming distance."""


def make_index(name: IndexName, codes: Codes, threads: int | None = None) -> CodeIndex:
    """Make an empty index for codes like the given ones.

    Args:
        name: one of `IndexName`.
        codes: any number of codes with the length, weights and model that the index will hold.
        threads: number of search threads. Default: this process's processors, at most 8.

    Raises:
        CodeError: no index has this name.

    Example:
        >>> codes = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]], weights=[2.0, 0.5])
        >>> make_index("weighted", codes)
        WeightedIndex(0 codes of 2 bits)
    """
    if name not in get_args(IndexName):
        raise CodeError(f"no index of kind {name}; there are {', '.join(get_args(IndexName))}")
    if name == "weighted":
        return WeightedIndex(codes.weights, model=codes.model, threads=threads)
    if name == "weighted-multihash":
        weights, model = codes.weights, codes.model
        return WeightedIndex(weights, model=model, threads=threads, hash_tables=True)
    if name == "weighted-ivf":
        return IvfWeightedIndex(codes.weights, model=codes.model, threads=threads)
    return HammingIndex(codes.bits, name, model=codes.model, threads=threads)


def read_index(path: str | os.PathLike[str], threads: int | None = None) -> CodeIndex:
    """Read an index of any kind from a file that its `write` made.

    Raises:
        CodeError: the file is missing, damaged or not an index.
    """
    readers: dict[str, Callable[[str | os.PathLike[str], int | None], CodeIndex]] = {
        "weighted": WeightedIndex.read,
        "weighted-ivf": IvfWeightedIndex.read,
        "hamming": HammingIndex.read,
    }
    header, _ = read_index_file(path)
    if header.get("kind") not in readers:
        raise CodeError(f"{path} is an index of an unknown kind: {header.get('kind')}")
    return readers[header["kind"]](path, threads)
