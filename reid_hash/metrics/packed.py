"""The fast path: rank packed codes without sorting the gallery and without a distance matrix.

Unweighted distances are few different numbers, so a histogram of a query's distances holds all that
`TieGroups` asks for. Weighted distances are many, but only those of the relevant images matter. The
gallery is put in order of label and camera once; the images of a label, or of a label and camera,
are then neighbours, and a query's relevant and dropped ones are slices.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import BLOCK_BYTES, Codes
from reid_hash.errors import MetricError
from reid_hash.metrics.packed_counts import BlockCounter, HistogramCounter, SearchCounter, Slices
from reid_hash.metrics.rules import check_camera_rule
from reid_hash.metrics.ties import Ints, TieGroups

_FEW_BYTES = 2**31
"""Bytes of codes compared in some tenths of a second. Below, threads that hand the interpreter's
lock to each other on a busy machine can cost more than they save."""


def rank_codes(
    query: Codes,
    gallery: Codes,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    query_cameras: ArrayLike,
    gallery_cameras: ArrayLike,
    camera_rule: str,
    *,
    weighted: bool = False,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> TieGroups:
    """Rank a gallery of codes for each query code.

    Args:
        query: Q codes.
        gallery: G codes of the same length and model; its weights count.
        query_labels: [Q] int, identity or class of each query.
        gallery_labels: [G] int.
        query_cameras: [Q] int.
        gallery_cameras: [G] int.
        camera_rule: one of `rules.CAMERA_RULES`.
        weighted: weighted Hamming distances instead of plain ones.
        threads: that work at a time; when left out, the processors this process may use, 8 at
            most, or 1 where the work is too small to be worth it.
        block_bytes: memory, in bytes, for the working arrays of all threads together. Weighted
            distances take the unpacked gallery (8 · bits bytes for each code) on top.

    Returns:
        The same as `tie_groups` of the distance matrix.

    Raises:
        ConfigError: the rule is unknown.
        CodeError: the codes are not comparable.
        MetricError: there are more or fewer labels or cameras than codes.

    Example:
        >>> codes = Codes.from_outputs([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> groups = rank_codes(codes[:1], codes, [0], [1, 0, 0], [0], [0, 1, 2], "market")
        >>> groups.before, groups.size
        (array([1, 2]), array([1, 1]))
    """
    blocks = rank_code_blocks(
        query,
        gallery,
        query_labels,
        gallery_labels,
        query_cameras,
        gallery_cameras,
        camera_rule,
        weighted=weighted,
        threads=threads,
        block_bytes=block_bytes,
    )
    rows, parts = [], []
    for block_rows, groups in blocks:
        rows.append(block_rows)
        parts.append(groups)
    joined = TieGroups.concatenate(parts)
    if camera_rule != "cuhk03":
        return joined
    return joined.take(np.argsort(np.concatenate([*rows, np.zeros(0, np.int64)])))


def rank_code_blocks(
    query: Codes,
    gallery: Codes,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    query_cameras: ArrayLike,
    gallery_cameras: ArrayLike,
    camera_rule: str,
    *,
    weighted: bool = False,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[Ints, TieGroups]]:
    """Rank as `rank_codes`, a block of queries at a time, for results too large to be kept.

    Weighted distances hardly tie: the groups of 10,000 queries with 5,000 relevant images each take
    2 GB. `summarise` takes the blocks one by one.

    Yields:
        (rows, groups): [q] int64, indices of the queries, ascending, and their groups. With the
        rule "cuhk03" the blocks come camera by camera.

    Raises:
        ConfigError, CodeError, MetricError: as `rank_codes`.

    Example:
        >>> codes = Codes.from_outputs([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> blocks = rank_code_blocks(codes, codes, [0, 1, 0], [0, 1, 0], [0] * 3, [0] * 3, "none")
        >>> sum(len(groups) for rows, groups in blocks)
        3
    """
    check_camera_rule(camera_rule)
    query.check_comparable(gallery)
    labels, in_gallery = _matching_numbers(query_labels, gallery_labels, query, gallery, "labels")
    cameras, seen_by = _matching_numbers(query_cameras, gallery_cameras, query, gallery, "cameras")
    if threads is None:
        few = not weighted and len(query) * gallery.packed.size < _FEW_BYTES
        threads = 1 if few else min(_processors(), 8)
    threads = max(1, threads)
    counter_type = SearchCounter if weighted else HistogramCounter

    # (queries, their gallery): queries of one camera share the images of all other cameras.
    parts = [(np.arange(len(query)), np.arange(len(gallery)))]
    if camera_rule == "cuhk03":
        parts = [
            (np.flatnonzero(cameras == camera), np.flatnonzero(seen_by != camera))
            for camera in np.unique(cameras)
        ]
    for rows, columns in parts:
        slices = Slices.find(labels[rows], cameras[rows], in_gallery[columns], seen_by[columns])
        if camera_rule != "market":
            slices = slices.without_dropped()
        counter = counter_type(query[rows], gallery[columns[slices.order]], slices)
        for block, groups in _parallel(counter, len(rows), threads, block_bytes):
            yield rows[block], groups


def _parallel(
    counter: BlockCounter, queries: int, threads: int, block_bytes: int
) -> Iterator[tuple[slice, TieGroups]]:
    # Four blocks a thread at least: none waits long for the last one.
    step = min(counter.rows_within(block_bytes // threads), -(-queries // (4 * threads)))
    # OpenCV takes its histogram from Intel's IPP, which is half as fast here as its own. The switch
    # is one for each thread, so it is set in threads of our own even where one is enough.
    with ThreadPoolExecutor(threads, initializer=cv2.ipp.setUseIPP, initargs=(False,)) as pool:
        waiting: deque[tuple[slice, Future[TieGroups]]] = deque()
        for start in range(0, queries, max(1, step)):
            block = slice(start, min(start + step, queries))
            waiting.append((block, pool.submit(counter.count, block)))
            if len(waiting) > 2 * threads:  # so few results wait, however slow their taker is
                block, future = waiting.popleft()
                yield block, future.result()
        for block, future in waiting:
            yield block, future.result()


def _matching_numbers(
    of_query: ArrayLike, of_gallery: ArrayLike, query: Codes, gallery: Codes, what: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both as 0 … n-1, the same number for the same value, so that two can be joined to one key."""
    a, b = np.asarray(of_query), np.asarray(of_gallery)
    for name, values, codes in (("query", a, query), ("gallery", b, gallery)):
        if values.shape != (len(codes),):
            raise MetricError(
                f"{len(codes)} {name} codes, but {what} of shape {list(values.shape)}"
            )
    numbers = np.unique(np.concatenate([a, b]), return_inverse=True)[1].astype(np.int64)
    return numbers[: len(a)], numbers[len(a) :]


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
