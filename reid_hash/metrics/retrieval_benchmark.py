"""All figures of a retrieval benchmark from packed codes, in one pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.data.labels import check_same_kind
from reid_hash.distances import BLOCK_BYTES
from reid_hash.errors import ConfigError, MetricError
from reid_hash.metrics.cutoff import RECALLS, average_precision_at, precision_at_recall
from reid_hash.metrics.gains import ndcg_at
from reid_hash.metrics.lookup import Ball, precision_within_radius
from reid_hash.metrics.packed.counters import counter_without_cameras
from reid_hash.metrics.packed.counts import BlockCounter, HistogramCounter, Ranking, ranking
from reid_hash.metrics.packed.merge import code_keys, distinct
from reid_hash.metrics.packed.rank import choose_threads, parallel
from reid_hash.metrics.ranking import average_precision
from reid_hash.metrics.sums import Floats, check_ranks, found, found_at
from reid_hash.metrics.ties import Ints

RETURNED = tuple(range(100, 1001, 100))
"""Numbers of returned images at which precision curves are drawn."""


@dataclass(frozen=True, eq=False)
class RetrievalResult:
    """Means over the queries with a relevant image, in 0 … 1; NaN if there is no such query.

    Attributes:
        map: mean of `average_precision`.
        map_at: k → mean of `average_precision_at`.
        precision_at: k → mean of `precision_at`.
        recall_at: k → mean of `recall_at`.
        ndcg_at: k → mean of `ndcg_at`.
        radius: radius of the ball in bits.
        precision_radius: mean of `precision_within_radius`; an empty ball counts as 0. The ball is
            a look-up by plain Hamming distance, so weights do not affect it.
        empty_ball_share: share of queries with an empty ball.
        precision_curve: (returned [n] int64, precision [n] float64).
        pr_curve: (recall [21] float64, precision [21] float64), from `precision_at_recall`.
        queries: number of queries with a relevant image.
        queries_without_match: number of queries without one, which are left out.
    """

    map: float
    map_at: dict[int, float]
    precision_at: dict[int, float]
    recall_at: dict[int, float]
    ndcg_at: dict[int, float]
    radius: int
    precision_radius: float
    empty_ball_share: float
    precision_curve: tuple[Ints, Floats]
    pr_curve: tuple[Floats, Floats]
    queries: int
    queries_without_match: int


def retrieval(
    query: Codes,
    gallery: Codes,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    *,
    weighted: bool = False,
    at: Sequence[int] = (500,),
    radius: int = 2,
    returned: Sequence[int] = RETURNED,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> RetrievalResult:
    """Evaluate retrieval: each query ranks the whole gallery; ties count as their expected value.

    An image that shares a label with the query is relevant. Its gain for NDCG is
    2^(shared labels) - 1. Plain Hamming distances are counted, not sorted.

    Args:
        query: Q codes.
        gallery: G codes of the same length and model; its weights are used.
        query_labels: [Q] int, one class each, or [Q, classes] bool.
        gallery_labels: [G] int or [G, classes] bool, like `query_labels`.
        weighted: rank by weighted instead of plain Hamming distance.
        at: values of k for mAP@k, precision@k, recall@k and NDCG@k, each ≥ 1.
        radius: radius of the look-up in bits, ≥ 0.
        returned: numbers of returned images for the precision curve, each ≥ 1.
        threads: as for `rank_code_blocks`.
        block_bytes: as for `rank_code_blocks`.

    Raises:
        ConfigError: a k, a number of returned images or the radius is out of range.
        CodeError: the codes are not comparable.
        MetricError: the labels do not match the codes, or each other.

    Example:
        >>> codes = Codes.from_outputs([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> result = retrieval(codes[:1], codes, [0], [0, 1, 0], at=[1, 2], radius=0)
        >>> round(result.map, 4), result.map_at[2], result.precision_at, result.precision_radius
        (0.8333, 1.0, {1: 1.0, 2: 0.5}, 1.0)
    """
    ks, numbers = check_ranks(at), check_ranks(returned)
    if radius < 0:
        raise ConfigError(f"the radius is 0 or more, not {radius}")
    labels = np.asarray(query_labels)
    check_same_kind(labels, gallery_labels)
    if len(labels) != len(query):
        raise MetricError(f"{len(query)} query codes, but {len(labels)} rows of labels")
    # Queries with equal codes and labels have equal figures.
    first, inverse, _ = distinct(code_keys(query, labels))
    everything = (query[first], gallery, labels[first], gallery_labels)
    counter = counter_without_cameras(*everything, weighted)
    lookup = counter_without_cameras(*everything, False) if weighted else counter
    assert isinstance(lookup, HistogramCounter)
    threads = choose_threads(query, gallery, weighted, threads)
    limit = counter.rows_within(block_bytes // threads)
    # The first two columns describe the ball, the others the ranking.
    work = partial(_block, counter, lookup, radius, partial(_columns, at=ks, returned=numbers))
    tables = [np.zeros((0, 3 + 4 * len(ks) + len(numbers) + len(RECALLS)))]
    tables += [table for _, table in parallel(work, len(first), limit, threads)]
    return _result(np.concatenate(tables)[inverse], ks, radius, numbers)


def _block(
    counter: BlockCounter,
    lookup: HistogramCounter,
    radius: int,
    columns: Callable[[Ranking], list[Floats]],
    rows: slice,
) -> NDArray[np.float64]:
    """Compute the figures of some queries: [q, columns]."""
    histograms = lookup.histograms(rows)
    ranked = ranking(histograms) if counter is lookup else counter.count(rows)
    near = histograms[:, : radius + 1]
    relevant = ranked.groups.n_relevant
    ball = Ball(near.sum(axis=(1, 2)), near[:, :, 1:].sum(axis=(1, 2)), relevant)
    empty = np.where(relevant > 0, ball.size == 0, np.nan)
    return np.column_stack([precision_within_radius(ball), empty, *columns(ranked)])


def _columns(ranked: Ranking, at: Ints, returned: Ints) -> list[Floats]:
    groups, gains = ranked
    hits = found_at(groups, at)
    return [
        average_precision(groups),
        *(average_precision_at(groups, k) for k in at.tolist()),
        hits / at,
        hits / found(groups)[:, None],
        *(ndcg_at(groups, k, gains) for k in at.tolist()),
        found_at(groups, returned) / returned,
        precision_at_recall(groups, RECALLS),
    ]


def _result(table: NDArray[np.float64], at: Ints, radius: int, returned: Ints) -> RetrievalResult:
    matched = table[~np.isnan(table[:, 0])]
    means = matched.mean(axis=0) if len(matched) else np.full(table.shape[1], np.nan)
    in_ball, empty, area, *rest = means.tolist()
    of_k = [dict(zip(at.tolist(), rest[i * len(at) :], strict=False)) for i in range(4)]
    curves = np.array(rest[4 * len(at) :])
    return RetrievalResult(
        map=area,
        map_at=of_k[0],
        precision_at=of_k[1],
        recall_at=of_k[2],
        ndcg_at=of_k[3],
        radius=radius,
        precision_radius=in_ball,
        empty_ball_share=empty,
        precision_curve=(returned, curves[: len(returned)]),
        pr_curve=(np.array(RECALLS), curves[len(returned) :]),
        queries=len(matched),
        queries_without_match=len(table) - len(matched),
    )
