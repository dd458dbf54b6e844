"""Look-ups in a hash table: everything within a Hamming radius is returned, in no order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_hash.metrics.sums import Floats
from reid_hash.metrics.ties import Ints


@dataclass(frozen=True, eq=False)
class Ball:
    """What lies within a radius of each query.

    Attributes:
        size: [Q] int64, images in the ball.
        relevant: [Q] int64, relevant images in it.
        n_relevant: [Q] int64, relevant images of each query anywhere.
    """

    size: Ints
    relevant: Ints
    n_relevant: Ints


def ball(distances: NDArray[np.generic], relevant: NDArray[np.bool_], radius: float = 2) -> Ball:
    """Count the images within a radius, from a matrix of distances.

    Args:
        distances: [Q, G] real, such as `distances.hamming` gives.
        relevant: [Q, G] bool.
        radius: that a distance may be equal to.

    Example:
        >>> ball(np.array([[0, 2, 3]]), np.array([[True, False, True]])).size
        array([2])
    """
    inside = distances <= radius  # type: ignore[operator]
    return Ball(
        np.count_nonzero(inside, axis=1).astype(np.int64),
        np.count_nonzero(inside & relevant, axis=1).astype(np.int64),
        np.count_nonzero(relevant, axis=1).astype(np.int64),
    )


def precision_within_radius(ball: Ball) -> Floats:
    """Share of relevant images in the ball; an empty ball counts as 0, a failed look-up.

    Returns:
        [Q] float64 in 0 … 1, NaN where a query has no relevant image.

    Example:
        >>> precision_within_radius(Ball(*np.array([[4, 0, 3], [1, 0, 0], [9, 9, 0]])))
        array([0.25, 0.  ,  nan])
    """
    precision = ball.relevant / np.maximum(ball.size, 1)
    return np.where(ball.n_relevant > 0, precision, np.nan)
