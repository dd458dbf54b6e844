"""Names and formats of the figures in a result record."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {
    "map": "mAP",
    "map_trapezoid": "mAP (trapezoid)",
    "minp": "mINP",
    "empty_ball_share": "empty balls",
    "tpir_at_fpir_1": "TPIR at 1 % FPIR",
}

MEANINGS = {
    "rank": "rank-k: share of the queries with a right match among the k nearest images",
    "map": "mAP: mean over the queries of the average precision",
    "map_trapezoid": "mAP (trapezoid): the same, by the trapezoid rule between recall steps",
    "minp": "mINP: mean inverse negative penalty, which is high where the last right match of a "
    "query comes early",
    "precision_at": "precision at k: share of right matches among the k nearest images",
    "precision_radius": "precision in radius r: share of right matches among the images whose "
    "codes differ in at most r bits",
    "map_at": "mAP at k: the same over the k nearest images, divided by the right ones among them",
    "recall_at": "recall at k: share of all right matches that are among the k nearest images",
    "ndcg_at": "NDCG at k: discounted gain of the k nearest images, as a share of the best order's",
    "empty_ball_share": "empty balls: share of the queries with no image in that radius; less is "
    "better",
    "tpir_at_fpir_1": "TPIR at 1 % FPIR: share of the queries of enrolled people whose nearest "
    "image is right and within the threshold at which at most 1 % of strangers' queries are "
    "answered",
}

MISSING = "–"

_FIGURE = re.compile(r"(rank|precision_at_|precision_radius_|map_at_|recall_at_|ndcg_at_)(\d+)")

_PREFIXES = {
    "rank": "rank-",
    "precision_at_": "precision at ",
    "precision_radius_": "precision in radius ",
    "map_at_": "mAP at ",
    "recall_at_": "recall at ",
    "ndcg_at_": "NDCG at ",
}


def is_figure(name: str) -> bool:
    """Check whether a key of a record is a displayed figure in 0 … 1."""
    return name in NAMES or _FIGURE.fullmatch(name) is not None


def figure_name(name: str) -> str:
    """Return the display name of a figure.

    Example:
        >>> figure_name("rank1"), figure_name("map"), figure_name("precision_at_500")
        ('rank-1', 'mAP', 'precision at 500')
    """
    match = _FIGURE.fullmatch(name)
    if match is None:
        return NAMES.get(name, name)
    kind, number = match.groups()
    return _PREFIXES[kind] + number


def figure_columns(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the figures that any record has: rank-k by k, then the others in order."""
    names = dict.fromkeys(
        name for record in records for name in record if is_figure(name) and has(record, name)
    )
    ranks = sorted((name for name in names if name.startswith("rank")), key=lambda n: int(n[4:]))
    return ranks + [name for name in names if not name.startswith("rank")]


def has(record: Mapping[str, Any], name: str) -> bool:
    """Check whether a record has a number by this name that is not None and not NaN."""
    value = record.get(name)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def percent(record: Mapping[str, Any], name: str) -> str:
    """Format a figure in percent with one decimal, with its deviation if the record has one.

    Args:
        record: fractions in 0 … 1; a deviation has the key `NAME_std`.
        name: key of the figure.

    Example:
        >>> percent({"rank1": 0.5234, "rank1_std": 0.012}, "rank1")
        '52.3 ± 1.2'
        >>> percent({}, "rank1")
        '–'
    """
    if not has(record, name):
        return MISSING
    text = f"{100 * record[name]:.1f}"
    if has(record, f"{name}_std"):
        text += f" ± {100 * record[f'{name}_std']:.1f}"
    return text


def number(record: Mapping[str, Any], name: str) -> str:
    """Format a number that is not a share, with three digits.

    Example:
        >>> number({"query_ms": 12.345}, "query_ms"), number({"query_ms": 12345.6}, "query_ms")
        ('12.3', '12,346')
    """
    if not has(record, name):
        return MISSING
    value = record[name]
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def best_text(records: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """Return the best figure of a column as printed, without deviation; None if all are equal.

    Figures that print alike count as equal: a reader could not see why one is marked.
    """
    values = [record[name] for record in records if has(record, name)]
    texts = {f"{100 * value:.1f}" for value in values}
    if len(texts) < 2:
        return None
    best = min(values) if name == "empty_ball_share" else max(values)
    return f"{100 * best:.1f}"


def meanings(columns: Sequence[str]) -> list[str]:
    """Explain the figures of these columns, one sentence each."""
    kinds = dict.fromkeys(
        name if name in MEANINGS else re.sub(r"_?\d+$", "", name) for name in columns
    )
    return [MEANINGS[kind] for kind in kinds if kind in MEANINGS]
