"""How this process takes memory from the system."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

# of malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Have freed memory kept by this process for its next allocation, until it ends.

    The C library of GNU systems takes every large block from the kernel and hands it back at
    once. Each layer of each batch then writes to pages that the kernel has to clear first: half of
    the time of encoding many images (tools/bench_allocator.py measures it for training). The
    process holds its peak afterwards.

    Returns:
        Whether it was done: elsewhere than on GNU systems nothing happens.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    done = [mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, 2**31 - 1), mallopt(_TOP_PAD, 2**28)]
    return all(done)


def memory_limit() -> int:
    """Bytes that this machine, or the container around this process, has in all."""
    limit = 2**40
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on Windows
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max" is no limit
            limit = min(limit, int(Path(file).read_text(encoding="ascii")))
    return limit
