"""Threads for FAISS and NumPy, both of which let other threads run while they compute."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import faiss

_MOST = 8  # memory is the limit from some number of threads on
_MOST_ASKED = 1024  # OpenMP ends the process where it cannot make as many as it is asked for


def processors() -> int:
    """How many threads to use where nothing is said: the processors this process may use."""
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        available = os.cpu_count() or 1
    return min(available, _MOST)


def thread_count(asked: int | None) -> int:
    """How many threads to use: those asked for, within reason, or `processors`."""
    return processors() if asked is None else max(1, min(asked, _MOST_ASKED))


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Worker threads, kept for the next search; each runs FAISS on its own processor only."""
    return ThreadPoolExecutor(threads, "search", faiss.omp_set_num_threads, (1,))


@contextmanager
def faiss_threads(threads: int) -> Iterator[None]:
    """Let FAISS use so many threads for what the calling thread asks within the block."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=pool.cache_clear)
