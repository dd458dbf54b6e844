"""Open-set identification: TPIR at an FPIR (ISO/IEC 19795-1), exact under ties.

A query is *mated* if an image of its identity is enrolled, meaning that it is in the gallery and
the camera rule keeps it. The query is a *stranger's* if its identity is not enrolled. The answer to
a query is the nearest image, provided that it is within the threshold:

- FPIR: share of strangers' queries that get an answer,
- TPIR: share of mated queries that get an answer of the right identity (rank 1).

The threshold is the largest at which FPIR does not exceed the allowed share. Strangers at the same
distance are answered together or not at all. If the nearest images of a mated query tie, it counts
with the share of right ones among them, which is the expected value over their orders.
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
    """Answers of a gallery to people who are enrolled and to people who are not.

    Attributes:
        tpir: share of mated queries answered correctly; NaN without a mated query.
        fpir: share of strangers' queries answered, at most the allowed share; NaN without a
            stranger.
        threshold: largest distance that counts as an answer; infinity if every answer is allowed.
        mated: number of mated queries.
        strangers: number of strangers' queries.
    """

    tpir: float
    fpir: float
    threshold: float
    mated: int
    strangers: int


class Nearest(NamedTuple):
    """Distance from each query to the nearest image of each identity.

    Attributes:
        identities: [I] int64, ascending.
        distances: [Q, I] float64; infinity if the camera rule leaves no image of the identity.
        counts: [Q, I] int64, number of the identity's images at that distance.
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
    """Compute TPIR at an FPIR from queries with and without an image in the gallery.

    A query is ignored if the camera rule drops all images of its identity.

    Args:
        distances: [Q, G] real, smaller is nearer.
        query_labels: [Q] int, identity of each query.
        gallery_labels: [G] int, identity of each gallery image.
        fpir: allowed share of strangers' queries that get an answer, 0 … 1.
        valid: [Q, G] bool, False for pairs that a camera rule drops. Default: all True.

    Raises:
        MetricError: the shapes differ, or a distance is NaN or infinite.
        ConfigError: `fpir` is not in 0 … 1.

    Example:
        >>> tpir_at_fpir([[1, 5], [2, 2], [3, 4]], [7, 8, 9], [7, 8], fpir=0.0)
        OpenSet(tpir=0.75, fpir=0.0, threshold=2.0, mated=2, strangers=1)
    """
    nearest = nearest_of_identities(distances, gallery_labels, valid)
    return open_set(nearest, query_labels, nearest.identities, fpir)


def nearest_of_identities(
    distances: ArrayLike, gallery_labels: ArrayLike, valid: NDArray[np.bool_] | None = None
) -> Nearest:
    """Reduce distances to images to distances to identities. Arguments as for `tpir_at_fpir`."""
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
    """Compute TPIR at an FPIR when only some of the identities are enrolled.

    Args:
        nearest: distances to all identities.
        query_labels: [Q] int, identity of each query.
        enrolled: [E] int, the identities in the gallery.
        fpir: allowed share of strangers' queries that get an answer, 0 … 1.

    Raises:
        ConfigError: `fpir` is not in 0 … 1.
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
    # the largest distance below that of the nearest stranger who may not be answered
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
    """Draw open-set problems from a closed-set benchmark, in which everyone is enrolled.

    Each draw enrols a random half of the query identities, rounded up; queries of the other half
    are strangers'. Identities that occur only in the gallery stay in it.

    Args:
        blocks: (rows, [rows, G] distances) of consecutive queries; a single block if single-shot.
        query_labels: [Q] int, identity of each query.
        gallery_labels: [G] int, identity of each gallery image.
        query_cameras: [Q] int.
        gallery_cameras: [G] int.
        camera_rule: one of `rules.CAMERA_RULES`.
        single_shot: also draw one gallery image per identity and camera, the same one that
            `metrics.single_shot` draws for this seed and draw number.
        draws: number of draws, ≥ 1.
        seed: seed of the draws.
        fpir: allowed share of strangers' queries that get an answer.

    Returns:
        The open-set figures of each draw.

    Raises:
        MetricError, ConfigError: as `tpir_at_fpir`.
    """
    labels, cameras = np.asarray(query_labels), np.asarray(query_cameras)
    in_gallery, seen_by = np.asarray(gallery_labels), np.asarray(gallery_cameras)
    identities = np.unique(labels)
    # A separate generator: the images drawn must equal those of the closed-set figures.
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
