"""Thread pools for FAISS and NumPy, both of which release Python's lock while they compute."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import faiss

_MOST = 8  # beyond this many threads, memory is the limit
_MOST_ASKED = 1024  # OpenMP aborts the process if it cannot create as many threads as asked


def processors() -> int:
    """Return the default number of threads: the processors available to this process, at most 8."""
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        available = os.cpu_count() or 1
    return min(available, _MOST)


def thread_count(asked: int | None) -> int:
    """Return the requested number of threads, kept within limits; default: `processors`."""
    return processors() if asked is None else max(1, min(asked, _MOST_ASKED))


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Return a cached pool of worker threads; each runs FAISS on one thread."""
    return ThreadPoolExecutor(threads, "search", faiss.omp_set_num_threads, (1,))


@contextmanager
def faiss_threads(threads: int) -> Iterator[None]:
    """Let FAISS use this many threads for the calling thread within the block."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=pool.cache_clear)
