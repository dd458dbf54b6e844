"""Ranking metrics as expected values over all orders of tied images, in closed form.

Each function takes `TieGroups` and returns one number per query, NaN for a query without a relevant
image; `summarise` returns the means. `sums` has the equations for a group of tied images.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from reid_hash.errors import ConfigError
from reid_hash.metrics.sums import (
    Floats,
    found,
    found_at,
    inverse_sum,
    per_query,
    precision_sum,
    slope,
)
from reid_hash.metrics.ties import Ints, TieGroups

RANKS = (1, 5, 10, 20, 30)
"""Ranks that papers on person re-identification report, used throughout the toolkit."""


def cmc(groups: TieGroups, ranks: Sequence[int] = RANKS) -> Floats:
    """Compute the cumulative match characteristic: P(a relevant image is among the first k).

    If m places of a group are among the first k, they hold none of its r relevant images with the
    hypergeometric probability C(t-r, m) / C(t, m).

    Args:
        groups: tie groups of Q queries.
        ranks: the values of k, each ≥ 1.

    Returns:
        [Q, len(ranks)] float64 in 0 … 1; NaN for a query without a relevant image.

    Raises:
        ConfigError: a rank is below 1.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> cmc(tie_groups([[1.0, 1.0, 2.0]], np.array([[True, False, True]])), [1, 2])
        array([[0.5, 1. ]])
    """
    wanted = np.asarray(ranks, np.int64)
    if (wanted < 1).any():
        raise ConfigError(f"ranks start at 1, not at {wanted.min()}")
    first = groups.first
    size, relevant = groups.size[first, None], groups.relevant[first, None]
    places = np.clip(wanted - groups.before[first, None], 0, size)
    # C(t-r, m) / C(t, m) is symmetric in m and r: multiply over the smaller.
    few, many = np.minimum(places, relevant), np.maximum(places, relevant)
    missed = np.ones(few.shape)
    for factor in range(int(few.max(initial=0))):
        ratio = np.maximum(size - many - factor, 0) / np.maximum(size - factor, 1)
        missed *= np.where(factor < few, ratio, 1.0)
    result = np.full((len(groups), len(wanted)), np.nan)
    result[groups.query[first]] = 1.0 - missed
    return result


def average_precision(groups: TieGroups) -> Floats:
    """Compute average precision by steps: the mean of j / position of the j-th relevant image.

    This is the definition of information retrieval, scikit-learn and torchreid.

    Returns:
        [Q] float64 in 0 … 1; NaN for a query without a relevant image.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> average_precision(tie_groups([[1.0, 2.0, 3.0]], np.array([[True, False, True]])))
        array([0.83333333])
    """
    return per_query(groups, precision_sum(groups)) / found(groups)


def average_precision_trapezoid(groups: TieGroups) -> Floats:
    """Compute average precision as the area under straight lines between points of the curve.

    The definition of Market-1501's `compute_AP.m` (Zheng et al., ICCV 2015): the j-th relevant
    image at position p adds the mean of (j-1)/(p-1), taken as 1 at p = 1, and j/p.

    Returns:
        [Q] float64 in 0 … 1; NaN for a query without a relevant image.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> average_precision_trapezoid(tie_groups([[1.0, 2.0]], np.array([[False, True]])))
        array([0.25])
    """
    rise, before = slope(groups), groups.before
    at_least_1 = np.maximum(before, 1)
    inverses = inverse_sum(groups, at_least_1 - 1, before + groups.size - 1)
    left = rise * groups.size + (groups.relevant_before - rise * before) * inverses
    # The group at the start of the list: 1 at position 1 and the slope at t-1 others, together r.
    left = np.where(before == 0, groups.relevant, left) * (groups.relevant / groups.size)
    return per_query(groups, (left + precision_sum(groups)) / 2) / found(groups)


def inverse_negative_penalty(groups: TieGroups) -> Floats:
    """Compute n_relevant / position of the last relevant image; the mean is mINP (Ye et al., 2021).

    Source: Ye et al., TPAMI 2021. The last relevant image is the m-th of its group with probability
    C(m-1, r-1) / C(t, r).

    Returns:
        [Q] float64 in 0 … 1; NaN for a query without a relevant image.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> inverse_negative_penalty(tie_groups([[1.0, 2.0, 3.0]], np.array([[True, False, True]])))
        array([0.66666667])
    """
    last = groups.last
    place, before, relevant = groups.size[last], groups.before[last], groups.relevant[last]
    # A single relevant image is anywhere: the mean of 1/(s+1) … 1/(s+t). Otherwise sum over m.
    inverse = inverse_sum(groups, before, before + place) / place
    several = np.flatnonzero(relevant > 1)
    inverse[several] = _mean_inverse_of_last(before[several], place[several], relevant[several])
    result = np.full(len(groups), np.nan)
    result[groups.query[last]] = inverse
    return result * groups.n_relevant


def _mean_inverse_of_last(before: Ints, size: Ints, relevant: Ints) -> Floats:
    """Compute the mean [n] of 1 / (s + m), m being the last of r relevant among t places."""
    # Longest sums first, so that the queries still being summed are a prefix.
    order = np.argsort(relevant - size, kind="stable")
    end, place, relevant = (before + size)[order], size[order], relevant[order]
    terms = place - relevant + 1
    longest = int(terms.max(initial=0))
    running = np.searchsorted(-terms, -np.arange(longest)).tolist()
    chance = relevant / place  # probability that the group's last place is relevant
    total = np.zeros(len(order))
    for term in range(longest):
        now = slice(0, running[term])
        left = chance[now]  # a view
        total[now] += left / (end[now] - term)
        left *= (place[now] - relevant[now] - term) / (place[now] - 1 - term)
        if term % 64 == 0 and left.max() < 1e-22:  # the remainder cannot change the sum
            break
    result = np.empty(len(order))
    result[order] = total
    return result


def precision_at(groups: TieGroups, k: int) -> Floats:
    """Compute the share of relevant images among the first k; missing images count as irrelevant.

    Returns:
        [Q] float64 in 0 … 1; NaN for a query without a relevant image.

    Raises:
        ConfigError: k is below 1.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> precision_at(tie_groups([[1.0, 1.0, 2.0]], np.array([[True, False, True]])), 1)
        array([0.5])
    """
    return found_at(groups, [k])[:, 0] / k


def recall_at(groups: TieGroups, k: int) -> Floats:
    """Compute the share of the relevant images that are among the first k.

    Returns:
        [Q] float64 in 0 … 1; NaN for a query without a relevant image.

    Raises:
        ConfigError: k is below 1.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> recall_at(tie_groups([[1.0, 1.0, 2.0]], np.array([[True, False, True]])), 2)
        array([0.5])
    """
    return found_at(groups, [k])[:, 0] / found(groups)


def summarise(
    groups: TieGroups | Iterable[TieGroups], ranks: Sequence[int] = RANKS
) -> dict[str, float]:
    """Average the metrics over the queries that have a relevant image.

    Args:
        groups: tie groups of all queries, or an iterable of blocks of queries.
        ranks: ranks of the CMC curve.

    Returns:
        `rank<k>` for each rank, `map` (steps), `map_trapezoid` and `minp` as fractions, NaN if no
        query has a relevant image; `queries`, the number of queries with a relevant image;
        `queries_without_match`, the number of queries without one.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> summarise(tie_groups([[1.0, 1.0]], np.array([[True, False]])), ranks=[1])["rank1"]
        0.5
    """
    blocks = [groups] if isinstance(groups, TieGroups) else groups
    names = [*(f"rank{rank}" for rank in ranks), "map", "map_trapezoid", "minp"]
    tables = [np.zeros((0, len(names)))]
    for block in blocks:
        single = (average_precision, average_precision_trapezoid, inverse_negative_penalty)
        tables.append(np.column_stack([cmc(block, ranks), *(metric(block) for metric in single)]))
    table = np.concatenate(tables)
    matched = table[~np.isnan(table[:, -1])]
    means = matched.mean(axis=0) if len(matched) else np.full(len(names), np.nan)
    return {
        **dict(zip(names, means.tolist(), strict=True)),
        "queries": float(len(matched)),
        "queries_without_match": float(len(table) - len(matched)),
    }
