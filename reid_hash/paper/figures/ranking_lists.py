"""Figure 6: ranking lists of some queries, one method beside another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.distances import hamming, weighted
from reid_hash.evaluation.encoded import Encoded, ranking_row
from reid_hash.paper.methods import catalogue
from reid_hash.paper.methods.catalogue import METHODS
from reid_hash.paper.methods.sources import Hashing, Plan
from reid_hash.report.grid import RankingRow

QUERIES = 10
TOP = 10
"""Images of a list."""

CHOSEN = "the first query of each class"
NOTE = (
    f"The queries are {CHOSEN} (of more than {QUERIES} classes, evenly spread ones), not chosen by "
    "their result. Images at equal distance stand in an order drawn once, the same for all methods."
)


def chosen_queries(labels: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first query of each class, of up to `QUERIES` classes spread evenly.

    Args:
        labels: [n] int64, or [n, classes] bool.

    Returns:
        [≤ QUERIES] int64, each index once.
    """
    if labels.ndim == 2:
        firsts = [int(np.flatnonzero(column)[0]) for column in labels.T if column.any()]
    else:
        firsts = np.unique(labels, return_index=True)[1].tolist()
    spread = np.linspace(0, len(firsts) - 1, min(QUERIES, len(firsts))).round().astype(np.int64)
    return np.array(list(dict.fromkeys(firsts[i] for i in spread)), np.int64)


def ranking_lists(encoded: Encoded, bits: int, by_weight: bool) -> list[RankingRow]:
    """The nearest images of the chosen queries.

    Args:
        encoded: queries and database.
        bits: length of the codes, the first bits of those given.
        by_weight: rank by weighted Hamming distance.
    """
    picked = chosen_queries(encoded.query_pixels.labels)
    distance = weighted if by_weight else hamming
    distances = distance(encoded.query.prefix(bits)[picked], encoded.gallery.prefix(bits))
    return [ranking_row(encoded, int(i), of, TOP) for i, of in zip(picked, distances, strict=True)]


def list_records(rows: Sequence[RankingRow]) -> list[dict[str, Any]]:
    """A flat record for each image of the lists."""
    return [
        {
            "query": row.query_name,
            "rank": rank,
            "image": name,
            "right": match,
            "distance": distance,
        }
        for row in rows
        for rank, (name, match, distance) in enumerate(
            zip(row.names, row.matches, row.distances, strict=True), start=1
        )
    ]


def figures(rows: Sequence[RankingRow]) -> Mapping[str, float]:
    """Share of right images in the lists, by name."""
    top = max(len(row.matches) for row in rows)
    return {f"precision_at_{top}": float(np.mean([np.mean(row.matches) for row in rows]))}


def block_title(name: str, plan: Plan, bits: int) -> str:
    """What stands above a method's lists."""
    source = plan[name][bits]
    if isinstance(source, Hashing):
        return f"{catalogue.title(name, plan)}, {bits} bits"
    trained = source.bits
    return f"{METHODS[name].short}, {trained}-bit network" + (
        f" cut to {bits} bits" if bits < trained else ""
    )
