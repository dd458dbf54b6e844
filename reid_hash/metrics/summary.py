"""The figures that are printed for a ranking."""

from collections.abc import Iterable, Sequence

import numpy as np

from reid_hash.metrics.ranking import (
    RANKS,
    average_precision,
    average_precision_trapezoid,
    cmc,
    inverse_negative_penalty,
)
from reid_hash.metrics.ties import TieGroups


def summarise(
    groups: TieGroups | Iterable[TieGroups], ranks: Sequence[int] = RANKS
) -> dict[str, float]:
    """Means over the queries that have a relevant image.

    Args:
        groups: of all queries, or of a block of queries after another.
        ranks: of the CMC curve.

    Returns:
        `rank<k>` for each of the ranks, `map` (steps), `map_trapezoid` and `minp` as fractions,
        NaN where no query has a relevant image; `queries`, how many have one, and
        `queries_without_match`, how many were left out.

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
