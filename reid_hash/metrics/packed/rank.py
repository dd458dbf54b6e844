"""The fast path: rank packed codes without sorting the gallery and without a distance matrix.

Unweighted distances take few values, so a histogram of a query's distances contains all that
`TieGroups` needs. Weighted distances take many values, but only those of relevant images matter.
The gallery is sorted once by label and camera, so that a query's relevant images, and those that
the camera rule drops, are slices. If images have several labels, a histogram counts distance and
number of shared labels together (`packed.weighted.SharedCounter`).
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypedDict, TypeVar, Unpack

import cv2
import numpy as np
from numpy.typing import ArrayLike

from reid_hash.codes import Codes
from reid_hash.distances import BLOCK_BYTES
from reid_hash.metrics.packed.counters import counter_without_cameras, counters_with_cameras
from reid_hash.metrics.packed.counts import BlockCounter
from reid_hash.metrics.rules import check_camera_rule
from reid_hash.metrics.ties import Ints, TieGroups

_T = TypeVar("_T")
_FEW_BYTES = 2**31
"""Bytes of codes compared in a few tenths of a second. Below this, handing the interpreter's lock
between threads on a busy machine can cost more than threads save."""


class RankOptions(TypedDict, total=False):
    """The last arguments of `rank_code_blocks`."""

    weighted: bool
    threads: int | None
    block_bytes: int


def rank_codes(
    query: Codes,
    gallery: Codes,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    query_cameras: ArrayLike | None = None,
    gallery_cameras: ArrayLike | None = None,
    camera_rule: str = "none",
    **options: Unpack[RankOptions],
) -> TieGroups:
    """Rank codes with `rank_code_blocks`, which documents the arguments, and join the blocks.

    Returns:
        The same groups as `tie_groups` of the distance matrix.

    Raises:
        ConfigError, CodeError, MetricError: as `rank_code_blocks`.

    Example:
        >>> codes = Codes.from_outputs([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> groups = rank_codes(codes[:1], codes, [0], [1, 0, 0], [0], [0, 1, 2], "market")
        >>> groups.before, groups.size
        (array([1, 2]), array([1, 1]))
    """
    cameras = (query_cameras, gallery_cameras, camera_rule)
    blocks = rank_code_blocks(query, gallery, query_labels, gallery_labels, *cameras, **options)
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
    query_cameras: ArrayLike | None = None,
    gallery_cameras: ArrayLike | None = None,
    camera_rule: str = "none",
    *,
    weighted: bool = False,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[Ints, TieGroups]]:
    """Rank a gallery of codes for each query code, a block of queries at a time.

    Weighted distances rarely tie: the groups of 10,000 queries with 5,000 relevant images each take
    2 GB. `summarise` takes the blocks one by one.

    Args:
        query: Q codes.
        gallery: G codes of the same length and model; its weights are used.
        query_labels: [Q] int, identity or class of each query, or [Q, classes] bool.
        gallery_labels: [G] int or [G, classes] bool, like `query_labels`.
        query_cameras: [Q] int; not needed for the rule "none".
        gallery_cameras: [G] int; not needed for the rule "none".
        camera_rule: one of `rules.CAMERA_RULES`; must be "none" if images have several labels.
        weighted: rank by weighted instead of plain Hamming distance.
        threads: number of worker threads. Default: this process's processors, at most 8, or 1 if
            the work is too small to share.
        block_bytes: memory for the working arrays of all threads together, in bytes. Weighted
            distances also need the unpacked gallery (8 · bits bytes per code).

    Yields:
        (rows, groups): [q] int64 indices of the queries, ascending, and their groups. With the
        rule "cuhk03" the blocks come camera by camera.

    Raises:
        ConfigError: the rule is unknown.
        CodeError: the codes are not comparable.
        MetricError: the number of labels or cameras differs from the number of codes, the labels
            are of different kinds, or a camera rule meets images with several labels.

    Example:
        >>> codes = Codes.from_outputs([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> blocks = rank_code_blocks(codes, codes, [0, 1, 0], [0, 1, 0])
        >>> sum(len(groups) for rows, groups in blocks)
        3
    """
    check_camera_rule(camera_rule)
    threads = choose_threads(query, gallery, weighted, threads)
    everything = (query, gallery, query_labels, gallery_labels)
    counters: Iterator[tuple[Ints, BlockCounter]]
    if camera_rule == "none":
        counters = iter([(np.arange(len(query)), counter_without_cameras(*everything, weighted))])
    else:
        cameras = (query_cameras, gallery_cameras, camera_rule)
        counters = counters_with_cameras(*everything, *cameras, weighted)
    for rows, counter in counters:
        work = partial(_groups, counter)
        limit = counter.rows_within(block_bytes // threads)
        for block, groups in parallel(work, len(rows), limit, threads):
            yield rows[block], groups


def _groups(counter: BlockCounter, rows: slice) -> TieGroups:
    return counter.count(rows).groups


def choose_threads(query: Codes, gallery: Codes, weighted: bool, threads: int | None) -> int:
    """Return the number of threads to use, as `rank_code_blocks` documents."""
    if threads is None:
        few = not weighted and len(query) * gallery.packed.size < _FEW_BYTES
        threads = 1 if few else min(_processors(), 8)
    return max(1, threads)


def parallel(
    work: Callable[[slice], _T], queries: int, limit: int, threads: int
) -> Iterator[tuple[slice, _T]]:
    """Process blocks of at most `limit` queries in threads; yield the results in order."""
    # At least four blocks per thread, so that no thread waits long for the last block.
    step = min(limit, -(-queries // (4 * threads)))
    # OpenCV takes its histogram from Intel's IPP, which is half as fast here as OpenCV's own. The
    # switch is per thread, so it is set in our own threads, even if there is only one.
    with ThreadPoolExecutor(threads, initializer=cv2.ipp.setUseIPP, initargs=(False,)) as pool:
        waiting: deque[tuple[slice, Future[_T]]] = deque()
        for start in range(0, queries, max(1, step)):
            block = slice(start, min(start + step, queries))
            waiting.append((block, pool.submit(work, block)))
            if len(waiting) > 2 * threads:  # bounds the waiting results, however slow the consumer
                block, future = waiting.popleft()
                yield block, future.result()
        for block, future in waiting:
            yield block, future.result()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
