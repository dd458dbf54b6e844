"""Open-set identification: TPIR at an FPIR (ISO/IEC 19795-1), exact under ties.

A query is *mated* where an image of its identity is enrolled, that is in the gallery and left by
the camera rule; it is a stranger's where its identity is not enrolled. The answer to a query is
the nearest image, if that is within the threshold:

- FPIR: share of strangers' queries that are answered at all,
- TPIR: share of mated queries that are answered, and with the right identity (rank 1).

The threshold is the largest at which FPIR does not exceed what is allowed. Strangers at the same
distance are answered together or not at all. Where the nearest images of a mated query tie, the
answer is right with the share of the right ones among them: the expected value over their orders.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.errors import ConfigError, MetricError
from reid_hash.metrics.rules import valid_mask
from reid_hash.metrics.single_shot import draw_images
from reid_hash.metrics.ties import Ints

Floats = NDArray[np.float64]


class OpenSet(NamedTuple):
    """What a gallery answers to people who are in it and to people who are not.

    Attributes:
        tpir: share of mated queries answered rightly, NaN where there is no mated query.
        fpir: share of strangers' queries answered, at most the allowed one; NaN where there is no
            stranger.
        threshold: a nearest image farther than this is no answer; infinity where every answer is
            allowed.
        mated: number of mated queries.
        strangers: number of strangers' queries.
    """

    tpir: float
    fpir: float
    threshold: float
    mated: int
    strangers: int


class Nearest(NamedTuple):
    """The nearest image of each identity, for each query.

    Attributes:
        identities: [I] int64, ascending.
        distances: [Q, I] float64, infinity where the camera rule leaves none.
        counts: [Q, I] int64, images of the identity at that distance.
    """

    identities: Ints
    distances: Floats
    counts: Ints


def tpir_at_fpir(
    distances: ArrayLike,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    fpir: float = 0.01,
    valid: NDArray[np.bool_] | None = None,
) -> OpenSet:
    """TPIR at an FPIR, of queries of which some have an image in the gallery and others none.

    Queries of which the camera rule drops all images of the same identity count as neither.

    Args:
        distances: [Q, G] real, smaller is nearer.
        query_labels: [Q] int, identity of each query.
        gallery_labels: [G] int.
        fpir: allowed share of strangers' queries that are answered, 0 … 1.
        valid: [Q, G] bool, False where a camera rule drops the pair; all True when left out.

    Raises:
        MetricError: shapes differ, or a distance is NaN or infinite.
        ConfigError: `fpir` is no share.

    Example:
        >>> tpir_at_fpir([[1, 5], [2, 2], [3, 4]], [7, 8, 9], [7, 8], fpir=0.0)
        OpenSet(tpir=0.75, fpir=0.0, threshold=2.0, mated=2, strangers=1)
    """
    nearest = nearest_of_identities(distances, gallery_labels, valid)
    return open_set(nearest, query_labels, nearest.identities, fpir)


def nearest_of_identities(
    distances: ArrayLike, gallery_labels: ArrayLike, valid: NDArray[np.bool_] | None = None
) -> Nearest:
    """Reduce distances to images to distances to identities; see `tpir_at_fpir`."""
    matrix, labels = np.array(distances, np.float64), np.asarray(gallery_labels)
    if matrix.ndim != 2 or labels.shape != matrix.shape[1:]:
        raise MetricError(f"labels {list(labels.shape)} do not fit distances {list(matrix.shape)}")
    if not np.isfinite(matrix).all():
        raise MetricError("a distance is NaN or infinite; were the embeddings finite?")
    if valid is not None:
        if valid.shape != matrix.shape:
            raise MetricError(f"valid {list(valid.shape)} differs from {list(matrix.shape)}")
        matrix[~valid] = np.inf
    order = np.argsort(labels, kind="stable")
    identities, starts = np.unique(labels[order], return_index=True)
    if not len(identities):
        none = np.zeros((len(matrix), 0))
        return Nearest(identities, none, none.astype(np.int64))
    matrix = matrix[:, order]
    smallest = np.minimum.reduceat(matrix, starts, axis=1)
    sizes = np.diff(starts, append=len(labels))
    at_smallest = matrix == np.repeat(smallest, sizes, axis=1)
    return Nearest(identities, smallest, np.add.reduceat(at_smallest, starts, axis=1, dtype=int))


def open_set(
    nearest: Nearest, query_labels: ArrayLike, enrolled: ArrayLike, fpir: float = 0.01
) -> OpenSet:
    """TPIR at an FPIR where only some of the identities are enrolled.

    Args:
        nearest: of all identities.
        query_labels: [Q] int.
        enrolled: [E] int, the identities that are in the gallery.
        fpir: allowed share of strangers' queries that are answered, 0 … 1.

    Raises:
        ConfigError: `fpir` is no share.
    """
    if not 0 <= fpir <= 1:
        raise ConfigError(f"an FPIR is a share between 0 and 1, not {fpir}")
    labels = np.asarray(query_labels)
    kept = np.isin(nearest.identities, enrolled)
    identities, counts = nearest.identities[kept], nearest.counts[:, kept]
    distances = np.column_stack([nearest.distances[:, kept], np.full(len(labels), np.inf)])
    first = distances.min(axis=1)
    tied = (distances[:, :-1] == first[:, None]) * counts
    own = np.searchsorted(identities, labels).clip(max=max(len(identities) - 1, 0))
    known = identities[own] == labels if len(identities) else np.zeros(len(labels), np.bool_)
    rows = np.arange(len(labels))
    mated = known & np.isfinite(distances[rows, own])
    strange = np.sort(first[~known])
    allowed = int(np.floor(fpir * len(strange) + 1e-9))  # 0.29 × 100 is 28.999…
    limit = strange[allowed] if allowed < len(strange) else np.inf
    # the largest distance below that of the first stranger who may not be answered
    answered = first < limit
    answered |= np.isinf(limit) & np.isfinite(first)
    share = tied[rows[mated], own[mated]] / tied[mated].sum(axis=1)
    within = first[answered]
    return OpenSet(
        float((share * answered[mated]).mean()) if mated.any() else float("nan"),
        float(answered[~known].mean()) if len(strange) else float("nan"),
        float("inf") if np.isinf(limit) else float(within.max(initial=-np.inf)),
        int(mated.sum()),
        len(strange),
    )


def open_set_draws(
    blocks: Iterable[tuple[slice, ArrayLike]],
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    query_cameras: ArrayLike,
    gallery_cameras: ArrayLike,
    camera_rule: str,
    *,
    single_shot: bool = False,
    draws: int = 100,
    seed: int = 0,
    fpir: float = 0.01,
) -> list[OpenSet]:
    """Open-set figures of a closed-set benchmark, in which everyone is enrolled.

    Each draw enrols a random half of the query identities (rounded up); the queries of the others
    are strangers'. Identities that only the gallery has stay in it.

    Args:
        blocks: (rows, [rows, G] distances) of consecutive queries; in one block for single-shot.
        query_labels: [Q] int, identity of each query.
        gallery_labels: [G] int.
        query_cameras: [Q] int.
        gallery_cameras: [G] int.
        camera_rule: one of `rules.CAMERA_RULES`.
        single_shot: each draw also takes one gallery image of each identity and camera: the same
            that `metrics.single_shot` takes in its draw of the same seed and number.
        draws: how many, ≥ 1.
        seed: of the draws.
        fpir: allowed share of strangers' queries that are answered.

    Returns:
        The figures of each draw.

    Raises:
        MetricError, ConfigError: see `tpir_at_fpir`.
    """
    labels, cameras = np.asarray(query_labels), np.asarray(query_cameras)
    in_gallery, seen_by = np.asarray(gallery_labels), np.asarray(gallery_cameras)
    identities = np.unique(labels)
    # a generator of its own: the images drawn must be those of the closed-set figures
    rng = np.random.default_rng([seed, 1])
    halves = [rng.permutation(identities)[(len(identities) + 1) // 2 :] for _ in range(draws)]

    def reduced(matrix: ArrayLike, rows: slice, columns: Ints) -> Nearest:
        there, theirs = in_gallery[columns], seen_by[columns]
        valid = valid_mask(camera_rule, labels[rows], there, cameras[rows], theirs)
        return nearest_of_identities(matrix, there, valid)

    everything = np.arange(len(in_gallery))
    all_nearest: Iterator[Nearest]
    if single_shot:
        ((rows, matrix),) = blocks
        images = draw_images(in_gallery, seen_by, draws, np.random.default_rng(seed))
        whole = np.asarray(matrix)
        all_nearest = (reduced(whole[:, drawn], rows, drawn) for drawn in images)
    else:
        parts = [reduced(matrix, rows, everything) for rows, matrix in blocks]
        joined = Nearest(
            parts[0].identities,
            np.concatenate([part.distances for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )
        all_nearest = (joined for _ in range(draws))
    return [
        open_set(nearest, labels, np.setdiff1d(nearest.identities, strangers), fpir)
        for nearest, strangers in zip(all_nearest, halves, strict=True)
    ]
