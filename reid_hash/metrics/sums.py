"""Sums over the places of tie groups, from which the closed forms of the metrics are built.

Take a group of t images, r of them relevant, behind s images, R of them relevant. Each of its
images is equally likely to be at each of the positions s+1 … s+t. So position s+i holds a relevant
image with probability r/t, preceded then on average by R + (i-1)(r-1)/(t-1) relevant ones (McSherry
& Najork, ECIR 2008, section 2).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError
from reid_hash.metrics.ties import Ints, TieGroups

Floats = NDArray[np.float64]


def found(groups: TieGroups) -> Floats:
    """Count relevant images: [Q], NaN instead of 0, so that dividing marks queries without one."""
    return np.where(groups.n_relevant > 0, groups.n_relevant, np.nan)


def per_query(groups: TieGroups, values: Floats) -> Floats:
    """Sum values [g] over the groups of each query: [Q]."""
    sums: Floats = np.bincount(groups.query, values, minlength=len(groups)).astype(np.float64)
    return sums


def slope(groups: TieGroups) -> Floats:
    """Compute (r-1)/(t-1): [g] the relevant images that each further place of a group brings."""
    return (groups.relevant - 1) / np.maximum(groups.size - 1, 1)


def precision_sum(groups: TieGroups) -> Floats:
    """Compute [g] sum over i = 1 … t of (r/t) (R + 1 + (i-1)(r-1)/(t-1)) / (s+i)."""
    rise, before = slope(groups), groups.before
    inverses = inverse_sum(groups, before, before + groups.size)
    start = groups.relevant_before + 1 - rise * (before + 1)
    return (rise * groups.size + start * inverses) * (groups.relevant / groups.size)


def inverse_sum(groups: TieGroups, low: Ints, high: Ints) -> Floats:
    """Compute [n] 1/(low+1) + … + 1/high for positions in the rankings of `groups`."""
    table = _harmonic(int(groups.n_valid.max(initial=0)))
    return (table[high] - table[low]).astype(np.float64)


@lru_cache(maxsize=2)
def _harmonic(n: int) -> NDArray[np.longdouble]:
    """Compute the harmonic numbers 1 + 1/2 + … + 1/i: [n + 1].

    They are subtracted from nearly equal ones and multiplied by numbers that may be large, so the
    table is long double: 64 binary digits instead of 53 if the machine has them.
    """
    table = np.zeros(n + 1, np.longdouble)
    table[1:] = np.cumsum(1 / np.arange(1, n + 1, dtype=np.longdouble))
    table.flags.writeable = False
    return table


def check_ranks(ks: Sequence[int] | Ints) -> Ints:
    """Return numbers of returned images as [n], or raise ConfigError if one is below 1."""
    wanted = np.asarray(ks, np.int64)
    if (wanted < 1).any():
        raise ConfigError(f"k starts at 1, not at {wanted.min()}")
    return wanted


def last_below(groups: TieGroups, counts: Ints, wanted: Ints) -> Ints:
    """Find each query's farthest group with fewer than `wanted` images before it.

    Args:
        groups: tie groups of Q queries, m of which have a relevant image (`groups.first`).
        counts: [g] `groups.before` or `groups.relevant_before`, rising within a query.
        wanted: [n], or [m, n] if it differs between those queries; each ≥ 1.

    Returns:
        [m, n] index of a group; -1 if even the nearest one has as many images before it.
    """
    # Joining query and count into one sorted key needs only one binary search for all queries.
    span = 1 + max(int(counts.max(initial=0)), int(wanted.max(initial=0)))
    keys = groups.query * span + counts
    first = groups.first[:, None]
    group = np.searchsorted(keys, groups.query[first] * span + wanted) - 1
    return np.where(group >= first, group, -1)


def found_at(groups: TieGroups, ks: Sequence[int] | Ints) -> Floats:
    """Expected numbers [Q, n] of relevant images among the first k; NaN for a query without one."""
    wanted = check_ranks(ks)
    result = np.full((len(groups), len(wanted)), np.nan)
    group = last_below(groups, groups.before, wanted)
    places = np.minimum(wanted - groups.before[group], groups.size[group])
    found = groups.relevant_before[group] + places * (groups.relevant[group] / groups.size[group])
    result[groups.query[groups.first]] = np.where(group >= 0, found, 0.0)
    return result
