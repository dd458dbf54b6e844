"""Graded relevance: the gain of an image that shares several labels with the query."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reid_hash.metrics.sums import Floats, check_ranks, per_query
from reid_hash.metrics.ties import Ints, TieGroups


def gain(shared: Ints) -> Floats:
    """Compute an image's gain 2^shared - 1, which is 0 or 1 for single labels.

    Burges et al. ("Learning to rank using gradient descent", ICML 2005); with shared labels as
    grades, Zhao et al. (DSRH, CVPR 2015).

    Args:
        shared: [...] number of labels that an image shares with the query, ≥ 0.

    Example:
        >>> gain(np.array([0, 1, 3]))
        array([0., 1., 7.])
    """
    gains: Floats = np.exp2(shared.astype(np.float64)) - 1
    return gains


@dataclass(frozen=True, eq=False)
class Gains:
    """Gains that belong to `TieGroups` of g groups and Q queries.

    Attributes:
        sums: [g] float64 > 0, sum of the gains of a group's images.
        shared: [Q, s + 1] int64, number of a query's valid images that share 0 … s labels with it.
    """

    sums: Floats
    shared: Ints

    @classmethod
    def binary(cls, groups: TieGroups) -> "Gains":
        """Make gains of 1 for each relevant image."""
        others = groups.n_valid - groups.n_relevant
        return cls(
            groups.relevant.astype(np.float64), np.stack([others, groups.n_relevant], axis=1)
        )


def ndcg_at(groups: TieGroups, k: int, gains: Gains | None = None) -> Floats:
    """Compute normalised discounted cumulative gain at k (Järvelin & Kekäläinen 2002).

    DCG is the sum of gain / log2(1 + position) over positions 1 … k. NDCG divides it by the DCG of
    the best order of the query's whole gallery. Each place of a group of ties holds the mean gain
    of the group (McSherry & Najork 2008, section 2.6), which makes the result exact.

    Args:
        groups: tie groups of Q queries.
        k: number of returned images, ≥ 1.
        gains: gains of the same groups. Default: 1 for each relevant image.

    Returns:
        [Q] float64 in 0 … 1; NaN for a query without a relevant image.

    Raises:
        ConfigError: k is below 1.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> ndcg_at(tie_groups([[1.0, 1.0]], np.array([[False, True]])), 1)
        array([0.5])
    """
    check_ranks([k])
    gains = Gains.binary(groups) if gains is None else gains
    discount = _discounts(int(groups.n_valid.max(initial=0)))
    low, high = np.minimum(groups.before, k), np.minimum(groups.before + groups.size, k)
    expected = per_query(groups, gains.sums / groups.size * (discount[high] - discount[low]))
    up_to = np.cumsum(gains.shared[:, ::-1], axis=1)[:, ::-1]  # the best images come first
    high, low = np.minimum(up_to, k), np.minimum(up_to - gains.shared, k)
    ideal = (discount[high] - discount[low]) @ gain(np.arange(gains.shared.shape[1]))
    return expected / np.where(groups.n_relevant > 0, ideal, np.nan)


@lru_cache(maxsize=2)
def _discounts(n: int) -> Floats:
    """Sum 1 / log2(1 + i) over i = 1 … n for all n at once: [n + 1]."""
    table = np.zeros(n + 1)
    table[1:] = np.cumsum(1 / np.log2(np.arange(2, n + 2)))
    table.flags.writeable = False
    return table
