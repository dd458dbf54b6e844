"""Graded relevance: how much an image is worth that shares several labels with the query."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reid_hash.metrics.sums import Floats, check_ranks, per_query
from reid_hash.metrics.ties import Ints, TieGroups


def gain(shared: Ints) -> Floats:
    """What an image is worth: 2^shared - 1, so 0 or 1 for single labels.

    Burges et al. ("Learning to rank using gradient descent", ICML 2005); with shared labels as
    grades Zhao et al. (DSRH, CVPR 2015).

    Args:
        shared: [...] labels that an image has in common with the query, ≥ 0.

    Example:
        >>> gain(np.array([0, 1, 3]))
        array([0., 1., 7.])
    """
    gains: Floats = np.exp2(shared.astype(np.float64)) - 1
    return gains


@dataclass(frozen=True, eq=False)
class Gains:
    """The gains that belong to `TieGroups` of G groups and Q queries.

    Attributes:
        sums: [g] float64 > 0, the sum of the gains of a group's images.
        shared: [Q, s + 1] int64, how many valid images of a query share 0 … s labels with it.
    """

    sums: Floats
    shared: Ints

    @classmethod
    def binary(cls, groups: TieGroups) -> "Gains":
        """Gain 1 for each relevant image."""
        others = groups.n_valid - groups.n_relevant
        return cls(
            groups.relevant.astype(np.float64), np.stack([others, groups.n_relevant], axis=1)
        )


def ndcg_at(groups: TieGroups, k: int, gains: Gains | None = None) -> Floats:
    """Normalised discounted cumulative gain of the first k images (Järvelin & Kekäläinen 2002).

    DCG is the sum of gain / log2(1 + position) over positions 1 … k, and NDCG divides it by the
    DCG of the best order of the query's whole gallery. Each place of a group of ties holds the
    mean gain of the group (McSherry & Najork 2008, section 2.6), which makes it exact.

    Args:
        groups: of Q queries.
        k: how many images are returned, ≥ 1.
        gains: of the same groups; 1 for each relevant image when left out.

    Returns:
        [Q] float64 in 0 … 1, NaN where a query has no relevant image.

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
    """[n + 1] sum of 1 / log2(1 + i) over i = 1 … n."""
    table = np.zeros(n + 1)
    table[1:] = np.cumsum(1 / np.log2(np.arange(2, n + 2)))
    table.flags.writeable = False
    return table
