"""Choice of the counting method for the labels, camera rule and kind of distance at hand."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.data.labels import check_same_kind
from reid_hash.errors import MetricError
from reid_hash.metrics.packed.counts import BlockCounter, HistogramCounter, SliceCounter, Slices
from reid_hash.metrics.packed.merge import TimesCounter, code_keys, merged
from reid_hash.metrics.packed.weighted import (
    SearchCounter,
    SharedCounter,
    SharedLabels,
    SharedSearchCounter,
)
from reid_hash.metrics.ties import Ints


def counter_without_cameras(
    query: Codes,
    gallery: Codes,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    weighted: bool,
) -> BlockCounter:
    """Make the counter that ranks the whole gallery. Arguments as for `rank_code_blocks`."""
    query.check_comparable(gallery)
    if check_same_kind(query_labels, gallery_labels):
        sets = np.asarray(query_labels), np.asarray(gallery_labels)
        return _for_several_labels(query, gallery, *sets, weighted)
    labels, in_gallery = _matching_numbers(query_labels, gallery_labels, query, gallery, "labels")

    def slices_of(some: Ints) -> Slices:
        cameras = np.zeros(len(labels), np.int64), np.zeros(len(some), np.int64)
        return Slices.find(labels, cameras[0], in_gallery[some], cameras[1]).without_dropped()

    def once(some: Ints) -> HistogramCounter:
        slices = slices_of(some)
        return SliceCounter(query, gallery[some[slices.order]], slices)

    def times(some: Ints, counts: Ints) -> HistogramCounter:
        own = in_gallery[some]
        return TimesCounter(query, gallery[some], counts, lambda row: own == labels[row], 1)

    if weighted:
        slices = slices_of(np.arange(len(gallery)))
        return SearchCounter(query, gallery[slices.order], slices)
    return merged(code_keys(gallery, in_gallery), once, times)


def _for_several_labels(
    query: Codes,
    gallery: Codes,
    query_labels: NDArray[np.bool_],
    gallery_labels: NDArray[np.bool_],
    weighted: bool,
) -> BlockCounter:
    pairs = ((query_labels, query, "query"), (gallery_labels, gallery, "gallery"))
    for labels, codes, name in pairs:
        if len(labels) != len(codes):
            raise MetricError(f"{len(codes)} {name} codes, but {len(labels)} rows of labels")
    shared = SharedLabels(query_labels, gallery_labels)

    def once(some: Ints) -> HistogramCounter:
        return SharedCounter(query, gallery[some], shared.of(some))

    def times(some: Ints, counts: Ints) -> HistogramCounter:
        return TimesCounter(query, gallery[some], counts, shared.of(some), shared.most)

    if weighted:
        return SharedSearchCounter(query, gallery, shared)
    return merged(code_keys(gallery, gallery_labels), once, times)


def counters_with_cameras(
    query: Codes,
    gallery: Codes,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    query_cameras: ArrayLike | None,
    gallery_cameras: ArrayLike | None,
    camera_rule: str,
    weighted: bool,
) -> Iterator[tuple[Ints, BlockCounter]]:
    """Yield indices of some queries, and the counter that ranks their part of the gallery."""
    query.check_comparable(gallery)
    if check_same_kind(query_labels, gallery_labels):
        raise MetricError("images with several labels are ranked with the camera rule none")
    if query_cameras is None or gallery_cameras is None:
        raise MetricError(f"the camera rule {camera_rule} needs the cameras of query and gallery")
    labels, in_gallery = _matching_numbers(query_labels, gallery_labels, query, gallery, "labels")
    cameras, seen_by = _matching_numbers(query_cameras, gallery_cameras, query, gallery, "cameras")
    parts = [(np.arange(len(query)), np.arange(len(gallery)))]
    if camera_rule == "cuhk03":  # queries of one camera share the images of all other cameras
        parts = [
            (np.flatnonzero(cameras == camera), np.flatnonzero(seen_by != camera))
            for camera in np.unique(cameras)
        ]
    by_slices = SearchCounter if weighted else SliceCounter
    for rows, columns in parts:
        slices = Slices.find(labels[rows], cameras[rows], in_gallery[columns], seen_by[columns])
        if camera_rule != "market":
            slices = slices.without_dropped()
        yield rows, by_slices(query[rows], gallery[columns[slices.order]], slices)


def _matching_numbers(
    of_query: ArrayLike, of_gallery: ArrayLike, query: Codes, gallery: Codes, what: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number both arrays' values 0 … n-1 alike, so that two arrays can be joined to one key."""
    a, b = np.asarray(of_query), np.asarray(of_gallery)
    for name, values, codes in (("query", a, query), ("gallery", b, gallery)):
        if values.shape != (len(codes),):
            raise MetricError(
                f"{len(codes)} {name} codes, but {what} of shape {list(values.shape)}"
            )
    if a.dtype != b.dtype and "u" in (a.dtype.kind, b.dtype.kind):
        # int64 and uint64 only share float64, in which different large numbers become equal.
        a, b = a.astype(object), b.astype(object)
    numbers = np.unique(np.concatenate([a, b]), return_inverse=True)[1].astype(np.int64)
    return numbers[: len(a)], numbers[len(a) :]
