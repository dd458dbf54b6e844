"""k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal
Encoding", CVPR 2017)."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from reid_hash.errors import MetricError
from reid_hash.metrics.ties import Ints

Floats = NDArray[np.float64]
_BLOCK_ROWS = 512


def rerank(
    query_query: ArrayLike,
    query_gallery: ArrayLike,
    gallery_gallery: ArrayLike,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
) -> Floats:
    """Re-rank by mixing a distance with the Jaccard distance of reciprocal neighbourhoods.

    Follows the authors' released code: every image of both sets is a neighbour of every other,
    itself included, and each row of distances is divided by its maximum. Equally distant neighbours
    are taken in order of index, queries first (a stable sort), so the result depends on that order
    if neighbours tie at rank k1 or k2. An image without any reciprocal neighbour, not even itself
    because more than k1 others are identical, overlaps with nothing.

    Args:
        query_query: [Q, Q] real ≥ 0, symmetric. The authors pass squared Euclidean distances;
            Hamming distances are those, up to a factor.
        query_gallery: [Q, G] real ≥ 0.
        gallery_gallery: [G, G] real ≥ 0, symmetric.
        k1: number of neighbours of an image, ≥ 1 (section 3.2).
        k2: number of neighbours whose encodings are averaged; 1: none (section 3.4, eq. 11).
        lambda_: weight of the original distance in 0 … 1 (eq. 12).

    Returns:
        [Q, G] float64 in 0 … 1, smaller is nearer.

    Raises:
        MetricError: the shapes do not match, a distance is NaN, or k1 or k2 is below 1.

    Example:
        >>> near, far = 0.1, 1.0
        >>> rerank([[0.0]], [[near, far]], [[0.0, far], [far, 0.0]], k1=1, k2=1).round(2)
        array([[0.1, 1. ]])
    """
    distances = _Distances(query_query, query_gallery, gallery_gallery)
    if k1 < 1 or k2 < 1:
        raise MetricError(f"k1 and k2 start at 1, not at {min(k1, k2)}")
    n_query, n_gallery = distances.query_gallery.shape
    if n_query == 0 or n_gallery == 0:
        return np.zeros((n_query, n_gallery))
    ranking, largest = _nearest(distances, max(k1 + 1, k2))
    near = _reciprocal(ranking[:, : k1 + 1])
    nearer = _reciprocal(ranking[:, : round(k1 / 2) + 1])
    # Eq. 5: a neighbour adds its own closer neighbours if more than two thirds are shared.
    shared = near.multiply(near @ nearer.T).tocoo()
    sizes = np.asarray(nearer.sum(axis=1)).ravel()
    accepted = 3 * shared.data > 2 * sizes[shared.col]
    bringing = _matrix(shared.row[accepted], shared.col[accepted], len(ranking))
    expanded = (near + bringing @ nearer).tocoo()
    rows, columns = expanded.row.astype(np.int64), expanded.col.astype(np.int64)
    # Eq. 7: membership falls with distance; each row sums to 1.
    membership = np.exp(-distances.at(rows, columns) / largest[rows])
    membership /= np.bincount(rows, membership, minlength=len(ranking))[rows]
    encoding = sp.csr_array((membership, (rows, columns)), shape=expanded.shape)
    averaging = _matrix(
        np.repeat(np.arange(len(ranking)), ranking[:, :k2].shape[1]),
        ranking[:, :k2].ravel(),
        len(ranking),
    )
    encoding = (averaging @ encoding).tocsr() / ranking[:, :k2].shape[1]
    jaccard = _jaccard_distance(encoding, n_query)
    original = distances.query_gallery / largest[:n_query, None]
    result: Floats = (1 - lambda_) * jaccard + lambda_ * original
    return result


class _Distances:
    """The square distance matrix over queries and gallery together, never built as a whole."""

    def __init__(self, query: ArrayLike, cross: ArrayLike, gallery: ArrayLike) -> None:
        self.query_query = np.asarray(query)
        self.query_gallery = np.asarray(cross)
        self.gallery_gallery = np.asarray(gallery)
        parts = (self.query_query, self.query_gallery, self.gallery_gallery)
        shapes = [part.shape for part in parts]
        if len(shapes[1]) != 2 or shapes[::2] != [(n, n) for n in shapes[1]]:
            raise MetricError(f"distances of shapes {shapes} are not [Q, Q], [Q, G] and [G, G]")
        if not all(np.isfinite(part).all() for part in parts):
            raise MetricError("a distance is NaN or infinite; were the embeddings finite?")
        self.n_query = shapes[1][0]

    def __len__(self) -> int:
        return sum(self.query_gallery.shape)

    def rows(self, start: int, stop: int) -> Floats:
        """Return some rows of the matrix: [stop - start, Q + G]."""
        split = self.n_query
        upper, lower = slice(start, min(stop, split)), slice(max(start - split, 0), stop - split)
        blocks = []
        if start < split:
            blocks.append([self.query_query[upper], self.query_gallery[upper]])
        if stop > split:
            blocks.append([self.query_gallery[:, lower].T, self.gallery_gallery[lower]])
        return np.block(blocks).astype(np.float64)

    def at(self, rows: Ints, columns: Ints) -> Floats:
        """Return single entries of the matrix: [n]."""
        out = np.empty(len(rows))
        low, high = np.minimum(rows, columns), np.maximum(rows, columns)
        both, neither = high < self.n_query, low >= self.n_query
        cross = ~(both | neither)
        out[both] = self.query_query[rows[both], columns[both]]
        out[cross] = self.query_gallery[low[cross], high[cross] - self.n_query]
        inside = rows[neither] - self.n_query, columns[neither] - self.n_query
        out[neither] = self.gallery_gallery[inside]
        return out


def _nearest(distances: _Distances, k: int) -> tuple[Ints, Floats]:
    """Find the nearest images [n, k] of each image, ties by index, and its largest distance [n].

    A stable sort of whole rows would do the same, but only the first k are wanted, so images within
    the k-th distance are selected first.
    """
    n = len(distances)
    k = min(k, n)
    ranking, largest = np.empty((n, k), np.int64), np.empty(n)
    for start in range(0, n, _BLOCK_ROWS):
        block = distances.rows(start, min(start + _BLOCK_ROWS, n))
        limit = np.partition(block, k - 1, axis=1)[:, k - 1, None]
        rows, columns = np.nonzero(block <= limit)
        order = np.lexsort((block[rows, columns], rows))  # stable; columns are already in order
        firsts = np.searchsorted(rows, np.arange(len(block)))
        ranking[start : start + len(block)] = columns[order[firsts[:, None] + np.arange(k)]]
        largest[start : start + len(block)] = block.max(axis=1)
    largest[largest == 0] = 1.0  # if all are identical, every normalised distance is 0
    return ranking, largest


def _matrix(rows: Ints, columns: Ints, n: int) -> Any:
    return sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))


def _reciprocal(neighbours: Ints) -> Any:
    """Compute R(p, k), eq. 3: [n, n] sparse, 1 if both are among each other's neighbours."""
    n, k = neighbours.shape
    forward = _matrix(np.repeat(np.arange(n), k), neighbours.ravel(), n)
    return forward.multiply(forward.T).tocsr()


def _jaccard_distance(encoding: Any, n_query: int) -> Floats:
    """Compute eq. 10: [Q, G] 1 - sum of minima / sum of maxima; rows sum to 1 (or to 0)."""
    queries, gallery = encoding[:n_query], encoding[n_query:].tocsc()
    sums = np.asarray(encoding.sum(axis=1)).ravel()
    result = np.empty((n_query, gallery.shape[0]))
    for row in range(n_query):
        span = slice(queries.indptr[row], queries.indptr[row + 1])
        columns, values = queries.indices[span].astype(np.int64), queries.data[span]
        starts, sizes = gallery.indptr[columns], np.diff(gallery.indptr)[columns]
        entries = np.arange(sizes.sum()) + np.repeat(starts + sizes - np.cumsum(sizes), sizes)
        smaller = np.minimum(gallery.data[entries], np.repeat(values, sizes))
        overlap = np.bincount(gallery.indices[entries], smaller, minlength=len(result[row]))
        union = sums[row] + sums[n_query:] - overlap
        result[row] = 1 - np.divide(overlap, union, out=np.zeros_like(union), where=union > 0)
    return result
