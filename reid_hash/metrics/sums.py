"""Sums over the places of tie groups: what the closed forms of the metrics are made of.

In a group of t images with r relevant ones, behind s images with R relevant ones, an image stands
at each of the positions s+1 … s+t with the same chance. So position s+i holds a relevant image with
probability r/t and has then, on average, R + (i-1)(r-1)/(t-1) relevant ones before it (McSherry &
Najork, ECIR 2008, section 2).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError
from reid_hash.metrics.ties import Ints, TieGroups

Floats = NDArray[np.float64]


def found(groups: TieGroups) -> Floats:
    """[Q] relevant images, NaN for none: dividing by it marks queries without a match."""
    return np.where(groups.n_relevant > 0, groups.n_relevant, np.nan)


def per_query(groups: TieGroups, values: Floats) -> Floats:
    """[Q] sums of values [g] of the groups."""
    sums: Floats = np.bincount(groups.query, values, minlength=len(groups)).astype(np.float64)
    return sums


def slope(groups: TieGroups) -> Floats:
    """[g] (r-1)/(t-1): how many relevant images each further place of a group brings."""
    return (groups.relevant - 1) / np.maximum(groups.size - 1, 1)


def precision_sum(groups: TieGroups) -> Floats:
    """[g] sum over i = 1 … t of (r/t) (R + 1 + (i-1)(r-1)/(t-1)) / (s+i)."""
    rise, before = slope(groups), groups.before
    inverses = inverse_sum(groups, before, before + groups.size)
    start = groups.relevant_before + 1 - rise * (before + 1)
    return (rise * groups.size + start * inverses) * (groups.relevant / groups.size)


def inverse_sum(groups: TieGroups, low: Ints, high: Ints) -> Floats:
    """[n] 1/(low+1) + … + 1/high for positions in the rankings of `groups`."""
    table = _harmonic(int(groups.n_valid.max(initial=0)))
    return (table[high] - table[low]).astype(np.float64)


@lru_cache(maxsize=2)
def _harmonic(n: int) -> NDArray[np.longdouble]:
    """[n + 1] 1 + 1/2 + … + 1/i.

    The sums are differences of two nearly equal numbers times one that may be large, so the table
    is kept in long double: 64 digits instead of 53 where the machine has them.
    """
    table = np.zeros(n + 1, np.longdouble)
    table[1:] = np.cumsum(1 / np.arange(1, n + 1, dtype=np.longdouble))
    table.flags.writeable = False
    return table


def check_ranks(ks: Sequence[int] | Ints) -> Ints:
    """[n] numbers of returned images, or ConfigError where one is below 1."""
    wanted = np.asarray(ks, np.int64)
    if (wanted < 1).any():
        raise ConfigError(f"k starts at 1, not at {wanted.min()}")
    return wanted


def last_below(groups: TieGroups, counts: Ints, wanted: Ints) -> Ints:
    """The farthest group of each query behind fewer than `wanted` images.

    Args:
        groups: of Q queries, of which m have a relevant image (`groups.first`).
        counts: [g] `groups.before`, or `groups.relevant_before`: rising within a query.
        wanted: [n], or [m, n] where it differs between those queries; each ≥ 1.

    Returns:
        [m, n] index of a group, -1 where even the nearest one is behind as many images.
    """
    # One sorted key for query and count makes it one binary search for all queries.
    span = 1 + max(int(counts.max(initial=0)), int(wanted.max(initial=0)))
    keys = groups.query * span + counts
    first = groups.first[:, None]
    group = np.searchsorted(keys, groups.query[first] * span + wanted) - 1
    return np.where(group >= first, group, -1)


def found_at(groups: TieGroups, ks: Sequence[int] | Ints) -> Floats:
    """[Q, n] expected numbers of relevant images among the first k, NaN without a relevant one."""
    wanted = check_ranks(ks)
    result = np.full((len(groups), len(wanted)), np.nan)
    group = last_below(groups, groups.before, wanted)
    places = np.minimum(wanted - groups.before[group], groups.size[group])
    found = groups.relevant_before[group] + places * (groups.relevant[group] / groups.size[group])
    result[groups.query[groups.first]] = np.where(group >= 0, found, 0.0)
    return result
