"""SDC, the dense part of eSDC: patch salience learned without labels (Zhao et al., CVPR 2013)."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.patches import COLUMNS, DIMS, ROWS, dense_patches
from reid_hash.errors import DataError

BAND = 2
"""Rows of patches above and below that are searched for a match: adjacency-constrained search."""

WIDTH = 2.8
"""σ of the similarity of two patches."""

PENALTY = 1.0
"""α, added to the difference of saliences. The paper's value is not available."""

Floats = NDArray[np.float32]
Progress = Callable[[int], object]
T = TypeVar("T")


class DenseSalience:
    """Matcher of patches within rows, in which rare patches count more.

    The match of patch p of image A is its nearest patch p' in rows ± `BAND` of image B. The
    salience σ_p is the distance from p to the k-th nearest of its matches in N reference images,
    k = N / 2: half of the people have nothing like it. Then

        sim(A, B) = Σ_p σ_p s(p, p') σ_p' / (α + |σ_p − σ_p'|),   s = exp(−|p − p'|² / 2σ²).

    Args:
        references: N, the number of reference images drawn from the training images.
    """

    def __init__(self, references: int = 100) -> None:
        self.references = references
        self._patches = np.zeros((0, ROWS, COLUMNS, DIMS), np.float32)

    def fit(self, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], seed: int = 0) -> Self:
        """Draw the reference images.

        Args:
            images: [n, height, width, 3] uint8 RGB; no labels are used.
            seed: seed of the draw.

        Raises:
            DataError: there are no images.
        """
        if not len(images):
            raise DataError("eSDC needs training images as its references; there are none")
        chosen = np.random.default_rng(seed).permutation(len(images))[: self.references]
        self._patches = all_patches([images[int(i)] for i in chosen])
        return self

    def describe(
        self, images: NDArray[np.uint8], progress: Progress | None = None
    ) -> tuple[Floats, Floats]:
        """Compute patches [n, 30, 10, 672] and saliences [n, 30, 10] of images.

        Args:
            images: [n, height, width, 3] uint8 RGB.
            progress: called with 1 for each of the 30 rows of patches.

        Raises:
            DataError: `fit` has not been called.
        """
        if not len(self._patches):
            raise DataError("eSDC is not fitted yet: call fit first")
        patches = all_patches(images)
        salience = np.empty(patches.shape[:3], np.float32)
        middle = max(0, (len(self._patches) + 1) // 2 - 1)

        def row(m: int) -> None:
            products, _ = matches(patches, self._patches, None, m)
            nearest = np.partition(_distances(products), middle, axis=2)[..., middle]
            salience[:, m] = np.sqrt(nearest)

        _by_rows(row, progress)
        return patches, salience


def all_patches(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Floats:
    """Compute `dense_patches` of each image on all cores: [n, 30, 10, 672] float32."""
    out = np.empty((len(images), ROWS, COLUMNS, DIMS), np.float32)

    def one(i: int) -> None:
        out[i] = dense_patches(images[i])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(len(images))))
    return out


def similarities(
    first: tuple[Floats, Floats], second: tuple[Floats, Floats], progress: Progress | None = None
) -> Floats:
    """Compute sim(A, B) of each pair on all cores; see `DenseSalience`.

    Args:
        first: patches and saliences of n images A, from `DenseSalience.describe`.
        second: patches and saliences of m images B.
        progress: called with 1 for each of the 30 rows of patches.

    Returns:
        [n, m] float32 ≥ 0, larger is more similar.
    """
    patches, salience = first

    def row(m: int) -> Floats:
        products, theirs = matches(patches, second[0], second[1], m)
        own = salience[:, m, :, None]
        alike = np.exp(-_distances(products) / (2 * WIDTH**2))
        of_row: Floats = (own * alike * theirs / (PENALTY + np.abs(own - theirs))).sum(axis=1)
        return of_row

    total = np.zeros((len(patches), len(second[0])), np.float32)
    for of_row in _by_rows(row, progress):
        total += of_row
    return total


def matches(a: Floats, b: Floats, carried: Floats | None, m: int) -> tuple[Floats, Floats]:
    """Match each patch of row m of each image A with its nearest patch in rows near m of each B.

    Args:
        a: [n, ROWS, COLUMNS, dims] float32, descriptors of equal length.
        b: [m, ROWS, COLUMNS, dims] float32, descriptors of equal length.
        carried: [m, ROWS, COLUMNS], a value for each patch of B, or None.
        m: the row.

    Returns:
        ([n, COLUMNS, m] inner products with the match, [n, COLUMNS, m] the match's value or 0).
    """
    count, columns = len(a), a.shape[2]
    rows = a[:, m].reshape(count * columns, -1)
    best = np.full((len(rows), len(b)), -np.inf, np.float32)
    values = np.zeros_like(best)
    for near in range(max(0, m - BAND), min(a.shape[1], m + BAND + 1)):
        for column in range(columns):
            products = rows @ b[:, near, column].T
            if carried is not None:
                better = products > best
                np.copyto(values, carried[:, near, column], where=better)
            np.maximum(best, products, out=best)
    shape = (count, columns, len(b))
    return best.reshape(shape), values.reshape(shape)


def _distances(products: Floats) -> Floats:
    """Convert inner products to squared distances; descriptors have two parts of length 1."""
    distances: Floats = np.maximum(4 - 2 * products, 0)
    return distances


def _by_rows(row: Callable[[int], T], progress: Progress | None) -> list[T]:
    """Call a function for each row on all cores: NumPy's products release Python's lock."""

    def counted(m: int) -> T:
        found = row(m)
        if progress is not None:
            progress(1)
        return found

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(counted, range(ROWS)))
