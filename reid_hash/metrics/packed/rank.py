"""The fast path: rank packed codes without sorting the gallery and without a distance matrix.

Unweighted distances are few different numbers, so a histogram of a query's distances holds all that
`TieGroups` asks for. Weighted distances are many, but only those of the relevant images matter. The
gallery is put in order of label and camera once; the images of a label, or of a label and camera,
are then neighbours, and a query's relevant and dropped ones are slices. Where images have several
labels, histograms count distance and number of shared labels together (`packed.shared_labels`).
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
"""Bytes of codes compared in some tenths of a second. Below, threads that hand the interpreter's
lock to each other on a busy machine can cost more than they save."""


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
    """Rank as `rank_code_blocks`, which has the arguments, and join the blocks.

    Returns:
        The same as `tie_groups` of the distance matrix.

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

    Weighted distances hardly tie: the groups of 10,000 queries with 5,000 relevant images each take
    2 GB. `summarise` takes the blocks one by one.

    Args:
        query: Q codes.
        gallery: G codes of the same length and model; its weights count.
        query_labels: [Q] int, identity or class of each query, or [Q, classes] bool.
        gallery_labels: [G] int, or [G, classes] bool; of the same kind.
        query_cameras: [Q] int; not needed for the rule "none".
        gallery_cameras: [G] int; not needed for the rule "none".
        camera_rule: one of `rules.CAMERA_RULES`; "none" where images have several labels.
        weighted: weighted Hamming distances instead of plain ones.
        threads: that work at a time; when left out, the processors this process may use, 8 at
            most, or 1 where the work is too small to be worth it.
        block_bytes: memory, in bytes, for the working arrays of all threads together. Weighted
            distances take the unpacked gallery (8 · bits bytes for each code) on top.

    Yields:
        (rows, groups): [q] int64, indices of the queries, ascending, and their groups. With the
        rule "cuhk03" the blocks come camera by camera.

    Raises:
        ConfigError: the rule is unknown.
        CodeError: the codes are not comparable.
        MetricError: there are more or fewer labels or cameras than codes, or the labels are of
            different kinds, or a camera rule meets images with several labels.

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
    """The number of threads to work with, as `rank_code_blocks` says."""
    if threads is None:
        few = not weighted and len(query) * gallery.packed.size < _FEW_BYTES
        threads = 1 if few else min(_processors(), 8)
    return max(1, threads)


def parallel(
    work: Callable[[slice], _T], queries: int, limit: int, threads: int
) -> Iterator[tuple[slice, _T]]:
    """Do work on blocks of at most `limit` queries in threads; results come in order."""
    # Four blocks a thread at least: none waits long for the last one.
    step = min(limit, -(-queries // (4 * threads)))
    # OpenCV takes its histogram from Intel's IPP, which is half as fast here as its own. The switch
    # is one for each thread, so it is set in threads of our own even where one is enough.
    with ThreadPoolExecutor(threads, initializer=cv2.ipp.setUseIPP, initargs=(False,)) as pool:
        waiting: deque[tuple[slice, Future[_T]]] = deque()
        for start in range(0, queries, max(1, step)):
            block = slice(start, min(start + step, queries))
            waiting.append((block, pool.submit(work, block)))
            if len(waiting) > 2 * threads:  # so few results wait, however slow their taker is
                block, future = waiting.popleft()
                yield block, future.result()
        for block, future in waiting:
            yield block, future.result()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
