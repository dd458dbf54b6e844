"""How many of the bits fast scan had best compare, estimated on some of the codes."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.index import WeightedIndex

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
