"""Distances between codes, and of a query that keeps its real values to codes.

Weighted Hamming distance (Zhang et al. 2015): the sum of the weights of the bits that differ. Every
sum is exact in float64 (`codes.exact_weights`), so equal distances are equal in every order of
summation and on every machine, and ties are ties: metrics and searches may rely on it.

Asymmetric ranking: the gallery holds bits, which is what must be small; the query is made afresh
and need not be cut to signs. With look-up tables made for each query the search costs the same
(Jégou et al., PAMI 2011, call it asymmetric distance computation).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes, unpack, weight_quantum
from reid_hash.errors import CodeError

BLOCK_BYTES = 64 * 2**20
"""Memory that a blocked distance computation may hold at a time, in bytes."""


def hamming(query: Codes, gallery: Codes) -> NDArray[np.uint16]:
    """Count the differing bits between every query and every gallery code.

    Args:
        query: one code (`codes[0]`) or many.
        gallery: codes of the same length and model.

    Returns:
        [n_query, n_gallery] uint16, in 0 … bits. `hamming_blocks` gives the same in blocks.

    Raises:
        CodeError: these are no codes, or codes of different lengths or models.

    Example:
        >>> codes = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]])
        >>> hamming(codes, codes)
        array([[0, 1],
               [1, 0]], dtype=uint16)
        >>> hamming(codes[0], codes[1])
        array([[1]], dtype=uint16)
    """
    _check_codes(query, gallery)
    out = np.empty((len(query), len(gallery)), np.uint16)
    for rows, distances in hamming_blocks(query, gallery):
        out[rows] = distances
    return out


def weighted(query: Codes, gallery: Codes) -> NDArray[np.float64]:
    """Sum the weights of the differing bits, exactly, between every query and every gallery code.

    Args:
        query: one code (`codes[0]`) or many; their weights do not matter.
        gallery: codes of the same length and model; their weights count.

    Returns:
        [n_query, n_gallery] float64, in 0 … sum of the weights. `weighted_blocks` gives the same
        in blocks.

    Raises:
        CodeError: these are no codes, or codes of different lengths or models, or the gallery's
            weights are all 0.

    Example:
        >>> codes = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]], weights=[2.0, 0.5])
        >>> weighted(codes, codes)
        array([[0. , 0.5],
               [0.5, 0. ]])
    """
    _check_codes(query, gallery)
    out = np.empty((len(query), len(gallery)), np.float64)
    for rows, distances in weighted_blocks(query, gallery):
        out[rows] = distances
    return out


def hamming_blocks(
    query: Codes, gallery: Codes, block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[slice, NDArray[np.uint16]]]:
    """Hamming distances, a block of queries at a time.

    Args:
        query: the codes that rows stand for.
        gallery: the codes that columns stand for; same length and model.
        block_bytes: memory, in bytes, for the block and what it takes to compute it. At least one
            query is computed at a time, which takes about 19 bytes for each gallery code.

    Yields:
        (rows, distances): a slice of the queries and [rows, n_gallery] uint16.
    """
    _check_codes(query, gallery)
    query_words, gallery_words = _words(query.packed), _words(gallery.packed)
    for rows in _row_blocks(len(query), bytes_per_row=19 * len(gallery), block_bytes=block_bytes):
        distances = np.zeros((rows.stop - rows.start, len(gallery)), np.uint16)
        for word in range(query_words.shape[1]):
            differing = query_words[rows, word, None] ^ gallery_words[None, :, word]
            distances += np.bitwise_count(differing)
        yield rows, distances


def weighted_blocks(
    query: Codes, gallery: Codes, block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Weighted Hamming distances, a block of queries at a time. The gallery's weights count.

    With x, y in {0, 1}: sum_k w_k (x_k + y_k - 2 x_k y_k), one matrix product a block.

    Args:
        query: the codes that rows stand for.
        gallery: the codes that columns stand for; same length and model.
        block_bytes: memory, in bytes, for the block; the unpacked gallery (8 · bits bytes for each
            code) comes on top.

    Yields:
        (rows, distances): a slice of the queries and [rows, n_gallery] float64.
    """
    _check_codes(query, gallery)
    gallery.check_weighted()
    weights = gallery.weights.astype(np.float64)
    gallery_bits = gallery.unpack().astype(np.float64)
    gallery_sum = gallery_bits @ weights
    for rows in _row_blocks(len(query), bytes_per_row=16 * len(gallery), block_bytes=block_bytes):
        query_bits = unpack(query.packed[rows], query.bits) * weights
        distances = query_bits @ gallery_bits.T
        distances *= -2.0
        distances += query_bits.sum(axis=1, keepdims=True)
        distances += gallery_sum
        yield rows, distances


def query_values(outputs: ArrayLike) -> NDArray[np.float32]:
    """Real values of a query, of its network's outputs v: o(v) = 2 / (1 + exp(-v)) - 1.

    The tanh-like layer with slope 1: the slope at the end of training is nearly a sign, and ranks
    worse (held-out CUHK03 identities, 64 bits, rank-1 .42 against .44).

    Args:
        outputs: [n, bits] real; their signs are the code.

    Returns:
        [n, bits] float32 in (-1, 1), of the same signs.
    """
    return np.tanh(np.asarray(outputs, np.float32) / 2)


def asymmetric(values: ArrayLike, gallery: Codes) -> NDArray[np.float64]:
    """Distance of real values q in [-1, 1] to signs s: the sum over the bits of w (q - s)² / 4.

    For q = ±1 it is the weighted Hamming distance. Each bit's part is rounded as the weights are
    (`codes.exact_weights`), so that sums are exact and equal codes are exactly tied.

    Args:
        values: [n_query, bits] real; what is outside [-1, 1] is taken to its ends.
        gallery: codes of that length; their weights count.

    Returns:
        [n_query, n_gallery] float64, in 0 … sum of the weights.

    Raises:
        CodeError: the values are not [n, bits] finite numbers, or the weights are all 0.

    Example:
        >>> gallery = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]], weights=[2.0, 0.5])
        >>> asymmetric([[0.0, 1.0]], gallery)
        array([[1. , 0.5]])
    """
    given = np.asarray(values, np.float64)
    if given.ndim != 2 or given.shape[1] != gallery.bits or not np.isfinite(given).all():
        raise CodeError(
            f"a query of real values is [n, {gallery.bits}] finite numbers for codes of "
            f"{gallery.bits} bits, not {list(given.shape)}"
        )
    gallery.check_weighted()
    query = np.clip(given, -1, 1)
    weights = gallery.weights.astype(np.float64)
    quantum = weight_quantum(weights)
    # where the bit is 0, and what a 1 takes off: w (q + 1)² / 4 - w (q - 1)² / 4 = w q
    of_zeros = (np.round((query + 1) ** 2 / 4 * weights / quantum) * quantum).sum(1)
    of_ones = np.round(query * weights / quantum) * quantum
    distances: NDArray[np.float64] = of_ones @ gallery.unpack().T.astype(np.float64)
    np.subtract(of_zeros[:, None], distances, out=distances)
    return distances


def by_certainty(distances: ArrayLike, values: ArrayLike, like: Codes) -> NDArray[np.float64]:
    """Asymmetric distances of one query on the scale of Hamming distances.

    A differing bit counts w |q|, how sure the query is of it, times what makes all bits together
    count the sum of the weights. An asymmetric distance has a part that no code avoids, w (1 -
    |q|)² / 4 a bit, and which differs from query to query: without it, one limit serves them all.

    Args:
        distances: [n] from `asymmetric`.
        values: [bits] real, the query that they are of.
        like: codes of that length; their weights count.

    Returns:
        [n] float64, in 0 … sum of the weights. Half of that, as far as strangers are, for a query
        that is sure of nothing (mean |q| up to 1e-4), which rounding would decide.

    Example:
        >>> gallery = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]], weights=[2.0, 0.5])
        >>> query = [0.5, 1.0]
        >>> by_certainty(asymmetric([query], gallery)[0], query, gallery).round(3)
        array([0.833, 0.   ])
    """
    sure = np.minimum(np.abs(np.asarray(values, np.float64)), 1)
    weights = like.weights.astype(np.float64)
    total, most = float(weights.sum()), float(sure @ weights)
    given = np.asarray(distances, np.float64)
    if most <= 1e-4 * total:
        return np.full_like(given, total / 2)
    least = float(((1 - sure) ** 2 / 4) @ weights)
    above: NDArray[np.float64] = np.maximum(given - least, 0) * (total / most)
    return above


def from_certainty(threshold: float, values: ArrayLike, like: Codes) -> float:
    """The asymmetric distance of one query that `by_certainty` takes to `threshold`.

    Args:
        threshold: on the scale of Hamming distances; below 0 where nothing is near enough.
        values: [bits] real, the query.
        like: codes of that length; their weights count.

    Example:
        >>> gallery = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]], weights=[2.0, 0.5])
        >>> asymmetric([[0.5, 1.0]], gallery)[0, 0], from_certainty(0.8333, [0.5, 1.0], gallery)
        True
    """
    sure = np.minimum(np.abs(np.asarray(values, np.float64)), 1)
    weights = like.weights.astype(np.float64)
    total, most = float(weights.sum()), float(sure @ weights)
    if threshold < 0 or (most <= 1e-4 * total and threshold < total / 2):
        return -1.0
    if most <= 1e-4 * total:
        return float("inf")
    return float(((1 - sure) ** 2 / 4) @ weights + threshold * (most / total))


def _check_codes(query: Codes, gallery: Codes) -> None:
    for given in (query, gallery):
        if not isinstance(given, Codes):
            raise CodeError(
                f"distances are between Codes, not {type(given).__name__}; make them with "
                "Codes(packed, bits) or, of real outputs, Codes.from_outputs"
            )
    query.check_comparable(gallery)


def _words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """[n, bytes] uint8 → [n, words] uint64, zero-padded: popcount counts 8 bytes at a time."""
    width = -(-packed.shape[1] // 8) * 8
    padded = np.zeros((len(packed), width), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def _row_blocks(rows: int, bytes_per_row: int, block_bytes: int) -> Iterator[slice]:
    step = max(1, block_bytes // max(1, bytes_per_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
