"""Hash look-ups: all images within a Hamming radius are returned, unordered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_hash.metrics.sums import Floats
from reid_hash.metrics.ties import Ints


@dataclass(frozen=True, eq=False)
class Ball:
    """Number of images within a radius of each query.

    Attributes:
        size: [Q] int64, images in the ball.
        relevant: [Q] int64, relevant images in the ball.
        n_relevant: [Q] int64, relevant images of the query in the whole gallery.
    """

    size: Ints
    relevant: Ints
    n_relevant: Ints


def ball(distances: NDArray[np.generic], relevant: NDArray[np.bool_], radius: float = 2) -> Ball:
    """Count the images within a radius in a distance matrix.

    Args:
        distances: [Q, G] real, for example from `distances.hamming`.
        relevant: [Q, G] bool.
        radius: largest distance inside the ball.

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
    """Compute the share of relevant images in the ball; an empty ball, a failed look-up, gives 0.

    Returns:
        [Q] float64 in 0 … 1; NaN for a query without a relevant image.

    Example:
        >>> precision_within_radius(Ball(*np.array([[4, 0, 3], [1, 0, 0], [9, 9, 0]])))
        array([0.25, 0.  ,  nan])
    """
    precision = ball.relevant / np.maximum(ball.size, 1)
    return np.where(ball.n_relevant > 0, precision, np.nan)
