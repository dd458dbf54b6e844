"""Distances between codes, and from asymmetric queries to codes.

Weighted Hamming distance (Zhang et al. 2015) is the sum of the weights of the differing bits. Sums
are exact in float64 (`codes.exact_weights`), hence equal in every order of summation and on every
machine, and ties are true ties. Metrics and searches rely on this.

An asymmetric query keeps its float values instead of being cut to signs, while the gallery, which
must be small, holds bits. With look-up tables made for each query, the search costs the same
(Jégou et al., PAMI 2011: asymmetric distance computation).

These functions define the distances and return whole matrices. Three other places compute the same
numbers in a form of their own, and their tests compare them with this one: `metrics/packed/` counts
ranks without a matrix, `index/_engine/` scans with FAISS, and `gallery/clickhouse/` sums in SQL. A
new distance starts here.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes, unpack, weight_quantum
from reid_hash.errors import CodeError

BLOCK_BYTES = 64 * 2**20
"""Memory that one block of a distance computation may use, in bytes."""


def hamming(query: Codes, gallery: Codes) -> NDArray[np.uint16]:
    """Count the differing bits between every query and every gallery code.

    Args:
        query: one code (`codes[0]`) or several.
        gallery: codes of the same length and model.

    Returns:
        [n_query, n_gallery] uint16, in 0 … bits. `hamming_blocks` yields the same in blocks.

    Raises:
        CodeError: an argument is not codes, or the codes differ in length or model.

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
        query: one code (`codes[0]`) or several; its weights are ignored.
        gallery: codes of the same length and model; its weights are used.

    Returns:
        [n_query, n_gallery] float64, in 0 … sum of the weights. `weighted_blocks` yields the same
        in blocks.

    Raises:
        CodeError: an argument is not codes, the codes differ in length or model, or the gallery's
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
    """Compute Hamming distances, one block of queries at a time.

    Args:
        query: codes, one per row of the distances.
        gallery: codes of the same length and model, one per column.
        block_bytes: memory for a block and its computation, in bytes. A block has at least one
            query, which takes about 19 bytes per gallery code.

    Yields:
        (rows, distances): a slice of the queries, and [rows, n_gallery] uint16.
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
    """Compute weighted Hamming distances by the gallery's weights, one block of queries at a time.

    With x, y in {0, 1}, the distance is sum_k w_k (x_k + y_k - 2 x_k y_k): one matrix product per
    block.

    Args:
        query: codes, one per row of the distances.
        gallery: codes of the same length and model, one per column.
        block_bytes: memory for a block, in bytes, besides the unpacked gallery (8 · bits bytes per
            code).

    Yields:
        (rows, distances): a slice of the queries, and [rows, n_gallery] float64.
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
    """Convert network outputs v to the values of an asymmetric query: 2 / (1 + exp(-v)) - 1.

    This is the tanh-like layer with slope 1. The slope at the end of training is almost a sign
    function and ranks worse (held-out CUHK03 identities, 64 bits, rank-1 .42 against .44).

    Args:
        outputs: [n, bits] float; their signs are the code.

    Returns:
        [n, bits] float32 in (-1, 1), with the same signs.
    """
    return np.tanh(np.asarray(outputs, np.float32) / 2)


def asymmetric(values: ArrayLike, gallery: Codes) -> NDArray[np.float64]:
    """Compute distances from asymmetric queries q to signs s: sum over bits of w (q - s)² / 4.

    For q = ±1 this is the weighted Hamming distance. Each bit's term is rounded like the weights
    (`codes.exact_weights`), so sums are exact and equal codes are exactly tied.

    Args:
        values: [n_query, bits] float, clipped to [-1, 1].
        gallery: codes of that length; its weights are used.

    Returns:
        [n_query, n_gallery] float64, in 0 … sum of the weights.

    Raises:
        CodeError: the values are not a finite [n, bits] matrix, or the weights are all 0.

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
    # cost of a 0, and what a 1 costs less: w (q + 1)² / 4 - w (q - 1)² / 4 = w q
    of_zeros = (np.round((query + 1) ** 2 / 4 * weights / quantum) * quantum).sum(1)
    of_ones = np.round(query * weights / quantum) * quantum
    distances: NDArray[np.float64] = of_ones @ gallery.unpack().T.astype(np.float64)
    np.subtract(of_zeros[:, None], distances, out=distances)
    return distances


def by_certainty(distances: ArrayLike, values: ArrayLike, like: Codes) -> NDArray[np.float64]:
    """Convert one query's asymmetric distances to the scale of Hamming distances.

    An asymmetric distance contains w (1 - |q|)² / 4 per bit, which no code avoids and which varies
    between queries. On this scale, a differing bit costs w |q| (|q| being the query's certainty),
    normalised so that all bits together cost the sum of the weights. One threshold then suits all
    queries.

    Args:
        distances: [n] from `asymmetric`.
        values: [bits] float, the query that the distances belong to.
        like: codes of that length; its weights are used.

    Returns:
        [n] float64, in 0 … sum of the weights. For a query without any certainty (mean |q| up to
        1e-4), which rounding would decide, half the sum: as far as strangers are.

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
    """Convert a threshold on the scale of `by_certainty` to one query's asymmetric distance.

    Args:
        threshold: on the scale of Hamming distances; below 0 if nothing is near enough.
        values: [bits] float, the query.
        like: codes of that length; its weights are used.

    Example:
        >>> gallery = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]], weights=[2.0, 0.5])
        >>> round(from_certainty(0.8333, [0.5, 1.0], gallery), 3)
        0.625
        >>> float(asymmetric([[0.5, 1.0]], gallery)[0, 0])
        0.625
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
    """Pack [n, bytes] uint8 into [n, words] uint64, zero-padded, for popcounts of 8 bytes."""
    width = -(-packed.shape[1] // 8) * 8
    padded = np.zeros((len(packed), width), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def _row_blocks(rows: int, bytes_per_row: int, block_bytes: int) -> Iterator[slice]:
    step = max(1, block_bytes // max(1, bytes_per_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
