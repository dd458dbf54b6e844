"""The metrics as textbooks give them, for one list without ties, and their mean over all orders.

Everything here is a plain loop: slow, and easy to check by eye.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from reid_hash.metrics import TieGroups

FIELDS = ("query", "before", "relevant_before", "size", "relevant", "n_relevant", "n_valid")


def assert_same(a: TieGroups, b: TieGroups) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        assert getattr(a, name).dtype == np.int64


Order = Sequence[bool]  # whether each image is relevant, nearest first


def cmc(order: Order, rank: int) -> float:
    return float(any(order[:rank]))


def average_precision(order: Order) -> float:
    precisions = [sum(order[: i + 1]) / (i + 1) for i, hit in enumerate(order) if hit]
    return sum(precisions) / len(precisions)


def average_precision_trapezoid(order: Order) -> float:
    """Market-1501's compute_AP.m, line by line."""
    area, old_recall, old_precision, hits = 0.0, 0.0, 1.0, 0
    for i, hit in enumerate(order):
        hits += hit
        recall, precision = hits / sum(order), hits / (i + 1)
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def inverse_negative_penalty(order: Order) -> float:
    return sum(order) / (max(i for i, hit in enumerate(order) if hit) + 1)


def precision_at(order: Order, k: int) -> float:
    return sum(order[:k]) / k


def recall_at(order: Order, k: int) -> float:
    return sum(order[:k]) / sum(order)


def average_precision_at(order: Order, k: int) -> float:
    """HashNet's and DPSH's: divided by the relevant images among the first k."""
    return average_precision(order[:k]) if any(order[:k]) else 0.0


def ndcg_at(order: Sequence[int], k: int) -> float:
    """`order` holds the number of labels that each image shares with the query."""

    def dcg(grades: Sequence[int]) -> float:
        return sum((2**g - 1) / math.log2(i + 2) for i, g in enumerate(grades[:k]))

    return dcg(order) / dcg(sorted(order, reverse=True))


def position_at_recall(order: Order, percent: int) -> float:
    """Position of the image that completes a share of the relevant ones, at least one."""
    places = [i + 1 for i, hit in enumerate(order) if hit]
    wanted = max(1, -(-percent * len(places) // 100))
    return places[wanted - 1]


def wanted_at_recall(order: Order, percent: int) -> float:
    return max(1, -(-percent * sum(order) // 100))


def precision_within_radius(distances: Sequence[float], order: Order, radius: int) -> float:
    ball = [hit for d, hit in zip(distances, order, strict=True) if d <= radius]
    return sum(ball) / len(ball) if ball else 0.0


def expected(
    metric: Callable[..., float],
    distances: Sequence[float],
    relevant: Sequence[int],
    valid: Sequence[bool] | None = None,
    *arguments: int,
) -> float:
    """Mean of a metric over all orders of tied images, NaN without a relevant image."""
    valid = [True] * len(distances) if valid is None else valid
    kept = [(d, r) for d, r, v in zip(distances, relevant, valid, strict=True) if v]
    if not any(r for _, r in kept):
        return float("nan")
    groups = [[r for d, r in kept if d == level] for level in sorted({d for d, _ in kept})]
    orders = itertools.product(*(list(itertools.permutations(group)) for group in groups))
    values = [metric([hit for group in order for hit in group], *arguments) for order in orders]
    return sum(values) / len(values)


def column(
    metric: Callable[..., float],
    distances: np.ndarray,
    relevant: np.ndarray,
    valid: np.ndarray | None = None,
    *arguments: int,
) -> np.ndarray:
    """`expected` for every query."""
    valid = np.ones(distances.shape, bool) if valid is None else valid
    rows = zip(distances.tolist(), relevant.tolist(), valid.tolist(), strict=True)
    return np.array([expected(metric, *row, *arguments) for row in rows])
