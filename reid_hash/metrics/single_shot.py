"""CUHK03's classic protocol: galleries of one image per identity and camera, drawn repeatedly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.errors import MetricError
from reid_hash.metrics.ranking import RANKS, summarise
from reid_hash.metrics.ties import Ints, TieGroups, from_counts

MOST_DRAWS = 10_000
"""All draws are in memory at once; their mean is certain to 0.01% long before this many."""


def single_shot(
    distances: ArrayLike,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    query_cameras: ArrayLike,
    gallery_cameras: ArrayLike,
    draws: int = 100,
    seed: int = 0,
    ranks: Sequence[int] = RANKS,
) -> dict[str, NDArray[np.float64]]:
    """Evaluate single-shot (Li et al., "DeepReID", CVPR 2014): means over queries for each draw.

    Each draw takes one random gallery image of every (identity, camera). A query is ranked against
    the drawn images of all cameras but its own (camera rule "cuhk03"). Ties count as their expected
    value.

    Args:
        distances: [Q, G] real, smaller is nearer.
        query_labels: [Q] int, identity or class of each query.
        gallery_labels: [G] int.
        query_cameras: [Q] int.
        gallery_cameras: [G] int.
        draws: number of galleries drawn, 1 … 10,000.
        seed: seed of the draws.
        ranks: ranks of the CMC curve.

    Returns:
        The keys of `summarise`, each with [draws] float64, from which to take the mean and the
        standard deviation over draws.

    Raises:
        MetricError: the shapes do not match, a distance is not finite, or `draws` is out of range.

    Example:
        >>> result = single_shot([[0.1, 0.2]], [7], [7, 8], [1], [2, 2], draws=3)
        >>> result["rank1"]
        array([1., 1., 1.])
    """
    matrix = np.asarray(distances)
    labels, cameras = np.asarray(query_labels), np.asarray(query_cameras)
    in_gallery, seen_by = np.asarray(gallery_labels), np.asarray(gallery_cameras)
    if (
        matrix.shape != (len(labels), len(in_gallery))
        or cameras.shape != labels.shape
        or seen_by.shape != in_gallery.shape
    ):
        raise MetricError(f"labels or cameras do not fit distances of shape {list(matrix.shape)}")
    if not np.isfinite(matrix).all():
        raise MetricError("a distance is NaN or infinite; were the embeddings finite?")
    if draws < 1:
        raise MetricError(f"at least 1 draw is needed, not {draws}")
    if draws > MOST_DRAWS:
        raise MetricError(f"at most {MOST_DRAWS:,} galleries are drawn, not {draws:,}")
    columns = np.ascontiguousarray(matrix.T)  # makes drawn images whole rows
    chosen = draw_images(in_gallery, seen_by, draws, np.random.default_rng(seed))
    by_camera = [np.flatnonzero(cameras == camera) for camera in np.unique(cameras)]
    order = np.argsort(np.argsort(cameras, kind="stable"))
    results = []
    for drawn in chosen:
        parts = []
        for rows in by_camera:
            others = drawn[seen_by[drawn] != cameras[rows[0]]]
            parts.append(_rank(columns[others][:, rows], in_gallery[others], labels[rows]))
        results.append(summarise(TieGroups.concatenate(parts).take(order), ranks))
    return {key: np.array([result[key] for result in results]) for key in results[0]}


def draw_images(labels: Ints, cameras: Ints, draws: int, rng: np.random.Generator) -> Ints:
    """Draw one image of each (label, camera), for every draw: [draws, groups]."""
    order = np.lexsort((cameras, labels))
    labels, cameras = labels[order], cameras[order]
    opens = np.ones(len(order), np.bool_)
    opens[1:] = (labels[1:] != labels[:-1]) | (cameras[1:] != cameras[:-1])
    starts = np.flatnonzero(opens)
    counts = np.diff(starts, append=len(order))
    images: Ints = order[starts + rng.integers(counts, size=(draws, len(counts)))]
    return images


def _rank(distances: NDArray[Any], drawn_labels: Ints, labels: Ints) -> TieGroups:
    """Make groups from distances [drawn, q], all valid; relevant images are few: compare them."""
    query, place = np.nonzero(labels[:, None] == drawn_labels)
    values = distances[place, query]
    order = np.lexsort((values, query))
    query, values = query[order], values[order]
    opens = np.ones(len(query), np.bool_)
    opens[1:] = (query[1:] != query[:-1]) | (values[1:] != values[:-1])
    starts = np.flatnonzero(opens)
    relevant = np.diff(starts, append=len(query))
    query, values = query[starts], values[starts]
    beside = distances[:, query]
    before = np.count_nonzero(beside < values, axis=0).astype(np.int64)
    size = np.count_nonzero(beside == values, axis=0).astype(np.int64)
    return from_counts(query, before, size, relevant, np.full(len(labels), len(drawn_labels)))
