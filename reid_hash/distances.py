"""Distance of a query that keeps its real values to codes: asymmetric ranking.

The gallery holds bits, which is what must be small; the query is made afresh and need not be cut to
signs. With look-up tables made for each query the search costs the same (Jégou et al., PAMI 2011,
call it asymmetric distance computation).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes, weight_quantum
from reid_hash.errors import CodeError


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
        CodeError: the values are not [n, bits] finite numbers.

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
    query = np.clip(given, -1, 1)
    weights = gallery.weights.astype(np.float64)
    quantum = weight_quantum(weights)
    # where the bit is 0, and what a 1 takes off: w (q + 1)² / 4 - w (q - 1)² / 4 = w q
    of_zeros = (np.round((query + 1) ** 2 / 4 * weights / quantum) * quantum).sum(1)
    of_ones = np.round(query * weights / quantum) * quantum
    distances: NDArray[np.float64] = of_ones @ gallery.unpack().T.astype(np.float64)
    np.subtract(of_zeros[:, None], distances, out=distances)
    return distances
