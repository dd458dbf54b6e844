"""Principal components of features, without a second copy of a large matrix."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from reid_hash.baselines.function import Floats

_BLOCK = 8192  # rows that are turned into float64 at a time


def principal_components(
    features: NDArray[np.float32], count: int
) -> tuple[Floats, Floats, Floats]:
    """The directions of largest variance.

    Args:
        features: [n, dims] finite.
        count: how many, 1 … dims.

    Returns:
        (mean [dims], directions [dims, count] orthonormal, variances [count] falling, ≥ 0). The
        largest entry of each direction is positive, so that they do not depend on the solver.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(features), _BLOCK):
        centred = features[start : start + _BLOCK] - mean
        covariance += centred.T @ centred
    dims = len(mean)
    values, vectors = eigh(covariance / len(features), subset_by_index=(dims - count, dims - 1))
    directions = vectors[:, ::-1]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(count)])
    return mean, directions, values[::-1].clip(min=0)
