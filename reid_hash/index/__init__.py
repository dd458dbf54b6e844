"""Indexes over packed codes: weighted, plain Hamming and IVF. The search code is in `_engine`.

>>> import numpy as np
>>> from reid_hash.codes import Codes
>>> codes = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], weights=[2.0, 0.5])
>>> index = make_index("weighted", codes)
>>> index.add(codes, np.array([3, 5, 8]))
>>> index.search(codes[0], k=2).ids
array([[3, 5]])
"""

from reid_hash.index.base import CodeIndex, Matches
from reid_hash.index.factory import IndexName, make_index, read_index
from reid_hash.index.hamming import HammingIndex
from reid_hash.index.ivf import IvfWeightedIndex
from reid_hash.index.weighted import WeightedIndex

__all__ = [
    "CodeIndex",
    "HammingIndex",
    "IndexName",
    "IvfWeightedIndex",
    "Matches",
    "WeightedIndex",
    "make_index",
    "read_index",
]
