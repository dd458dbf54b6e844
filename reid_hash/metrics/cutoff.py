"""Average precision over the first k images, and precision at levels of recall."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError
from reid_hash.metrics.sums import (
    Floats,
    check_ranks,
    inverse_sum,
    last_below,
    precision_sum,
)
from reid_hash.metrics.ties import Ints, TieGroups

RECALLS = tuple(level / 20 for level in range(21))
"""Recall levels at which a precision-recall curve is drawn."""


def average_precision_at(groups: TieGroups, k: int) -> Floats:
    """Compute the average precision of the first k images, AP@k of the deep-hashing benchmarks.

    AP@k is the sum of precision(i) over the relevant images at positions i ≤ k, divided by the
    number of relevant images *among the first k* (not by the number of all relevant images, nor by
    k); 0 if there is none among them. HashNet's and DPSH's mAP@5000 is its mean. For k ≥ gallery it
    equals `average_precision`.

    Numerator and denominator both depend on how ties are broken, but only within the group that
    position k cuts: m of its t places are among the first k and hold h of its r relevant images
    with the hypergeometric probability C(r, h) C(t-r, m-h) / C(t, m). Given h, all orders of those
    m places are equally likely, so the group adds T(h) = h a + h (h-1) b to the sum S of the
    groups before it, with

        a = (R+1) H / m,  b = (m - (s+1) H) / (m (m-1)),  H = 1/(s+1) + … + 1/(s+m).

    The result is exactly the expected value over all orders: the sum over h of
    P(h) (S + T(h)) / (R + h).

    Args:
        groups: tie groups of Q queries.
        k: number of returned images, ≥ 1.

    Returns:
        [Q] float64 in 0 … 1; NaN for a query without a relevant image.

    Raises:
        ConfigError: k is below 1.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> groups = tie_groups([[1.0, 2.0, 3.0]], np.array([[False, True, True]]))
        >>> average_precision_at(groups, 2), average_precision_at(groups, 1)
        (array([0.5]), array([0.]))
    """
    cut = last_below(groups, groups.before, check_ranks([k]))[:, 0]
    first, cut = groups.first[cut >= 0], cut[cut >= 0]
    values = precision_sum(groups)
    running = np.cumsum(values) - values
    earlier = running[cut] - running[first]  # S
    before, found = groups.before[cut], groups.relevant_before[cut]
    size, relevant = groups.size[cut], groups.relevant[cut]
    places = np.minimum(k - before, size)
    inverses = inverse_sum(groups, before, before + places)
    single = (found + 1) * inverses / places
    pairs = (places - (before + 1) * inverses) / (places * np.maximum(places - 1, 1))
    pairs[places == 1] = 0.0
    # (S + T(h)) / (R + h) = b h + c + (S - R c) / (R + h) with c = a - b - b R, by long division.
    mean, some = _hypergeometric_inverse(found, size, relevant, places)
    constant = single - pairs * (1 + found)
    expected = pairs * (places * relevant / size) + constant * some
    result = np.where(groups.n_relevant > 0, 0.0, np.nan)
    result[groups.query[cut]] = expected + (earlier - found * constant) * mean
    return result


def _hypergeometric_inverse(
    offset: Ints, size: Ints, relevant: Ints, places: Ints
) -> tuple[Floats, Floats]:
    """Compute means over h, the number of relevant images among some places of a group of `size`.

    The probabilities are summed from the likeliest h outwards in both directions, for all groups
    at once, until the remainder cannot change the sums.

    Returns:
        (inverse, some): [n] mean of 1/(offset + h), where offset + h = 0 counts as 0; [n]
        probability that offset + h > 0.
    """
    others = size - relevant
    mode = (places + 1) * (relevant + 1) // (size + 2)
    mode = np.clip(mode, np.maximum(places - others, 0), np.minimum(places, relevant))
    total, inverse, none = (np.zeros(len(size)) for _ in range(3))
    # The integers are exact as floats, and float arithmetic is vectorised.
    integers = (relevant, places, mode, others - places, offset)
    r, m, start, rest, found = (part.astype(np.float64) for part in integers)

    def add(chance: Floats, h: Floats) -> None:
        nonlocal total, inverse, none
        count = h + found
        total += chance
        inverse += chance / np.maximum(count, 1.0)
        none += chance * (count == 0)

    chance, h = np.ones(len(size)), start
    while chance.max(initial=0.0) > 1e-18:
        add(chance, h)
        rise = (r - h) * (m - h)
        h = h + 1.0
        chance = chance * (rise / np.maximum(h * (rest + h), 1.0))
    chance, h = np.ones(len(size)), start
    while chance.max(initial=0.0) > 1e-18:
        fall = h * (rest + h)
        h = h - 1.0
        chance = chance * (fall / ((r - h) * (m - h)))
        add(chance, h)
    return (inverse - none) / total, 1.0 - none / total


def precision_at_recall(
    groups: TieGroups, recalls: Sequence[float] = RECALLS
) -> NDArray[np.float64]:
    """Compute the precision at given levels of recall: the precision-recall curve.

    For recall x of n relevant images, let j = ceil(x n), at least 1. The precision is j divided by
    the *expected* position of the j-th relevant image (Cooper's expected search length; Raghavan,
    Bollmann & Jung, TOIS 1989): s + (j - R) (t+1) / (r+1) inside a group of ties. Without ties
    this is the textbook's j / position. With ties it differs from the mean of j / position over
    their orders, which has no closed form; the mean position is exact. The curve is not
    interpolated, so it may rise.

    Args:
        groups: tie groups of Q queries.
        recalls: recall levels in 0 … 1.

    Returns:
        [Q, len(recalls)] float64 in 0 … 1; NaN for a query without a relevant image.

    Raises:
        ConfigError: a level is out of range.

    Example:
        >>> from reid_hash.metrics import tie_groups
        >>> groups = tie_groups([[1.0, 2.0, 3.0]], np.array([[False, True, True]]))
        >>> precision_at_recall(groups, [0.5, 1.0])
        array([[0.5       , 0.66666667]])
    """
    levels = np.asarray(recalls, np.float64)
    if not ((levels >= 0) & (levels <= 1)).all():
        raise ConfigError(f"recall is between 0 and 1, not {list(recalls)}")
    result = np.full((len(groups), len(levels)), np.nan)
    query = groups.query[groups.first]
    # 0.15 · 20 is slightly above 3 in floating point and must not be rounded up to 4.
    wanted = np.ceil(groups.n_relevant[query, None] * levels - 1e-9).astype(np.int64)
    wanted = np.maximum(wanted, 1)
    group = last_below(groups, groups.relevant_before, wanted)
    within = wanted - groups.relevant_before[group]
    spread = (groups.size[group] + 1) / (groups.relevant[group] + 1)
    result[query] = wanted / (groups.before[group] + within * spread)
    return result
