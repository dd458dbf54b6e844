"""Principal components of features, without copying a large matrix."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from reid_hash.baselines.function import Floats

_BLOCK = 8192  # rows converted to float64 at a time


def principal_components(
    features: NDArray[np.float32], count: int
) -> tuple[Floats, Floats, Floats]:
    """Compute the directions of largest variance.

    Args:
        features: [n, dims] finite.
        count: number of directions, 1 … dims.

    Returns:
        (mean [dims], directions [dims, count] orthonormal, variances [count] descending, ≥ 0).
        Each direction's largest entry is positive, so the result does not depend on the solver.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    if count < len(features) < len(mean):
        return mean, *_of_few(features - mean, count)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(features), _BLOCK):
        centred = features[start : start + _BLOCK] - mean
        covariance += centred.T @ centred
    dims = len(mean)
    values, vectors = eigh(covariance / len(features), subset_by_index=(dims - count, dims - 1))
    return mean, _signed(vectors[:, ::-1]), values[::-1].clip(min=0)


def _of_few(centred: Floats, count: int) -> tuple[Floats, Floats]:
    """Compute directions and variances from the n × n product matrix, if that is smaller."""
    n = len(centred)
    values, vectors = eigh(centred @ centred.T / n, subset_by_index=(n - count, n - 1))
    # orthonormal even if variances vanish and the products do not determine a direction
    directions, _ = np.linalg.qr(centred.T @ vectors[:, ::-1])
    return _signed(directions), values[::-1].clip(min=0)


def _signed(directions: Floats) -> Floats:
    largest = np.abs(directions).argmax(axis=0)
    signed: Floats = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
    return signed
