"""How this process gets memory from the system."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

# from malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Make this process keep freed memory for later allocations, until it ends.

    The C library of GNU systems requests every large block from the kernel and returns it at once.
    Each layer of each batch then writes to pages that the kernel must clear first, which is half of
    the time of encoding many images (tools/bench_allocator.py measures it for training). In return,
    the process keeps its peak memory.

    Returns:
        Whether it was done; only GNU systems support it.
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
    """Return the total memory of this machine, or of the container around it, in bytes."""
    limit = 2**40
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not available on Windows
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max" means no limit
            limit = min(limit, int(Path(file).read_text(encoding="ascii")))
    return limit
