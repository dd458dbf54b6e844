"""Huge memory pages for arrays that are read from one end to the other again and again."""

import ctypes
import sys

import numpy as np
from numpy.typing import NDArray

_PAGE = 4096
_HUGE = 14  # MADV_HUGEPAGE of <linux/mman.h>


def use_huge_pages(memory: NDArray[np.uint8]) -> None:
    """Ask for huge pages, before the memory is first written to; does nothing where there are none.

    One query reads codes as fast as they come from memory; with pages of 2 MiB in place of 4 KiB
    they come a tenth faster (measured, `docs/search.md`). NumPy asks for them itself, FAISS does
    not.

    Args:
        memory: contiguous.
    """
    if sys.platform != "linux" or memory.nbytes < 2**21:
        return
    start = -(-memory.ctypes.data // _PAGE) * _PAGE
    stop = (memory.ctypes.data + memory.nbytes) // _PAGE * _PAGE
    # A hint: whether it was taken does not matter.
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), _HUGE)
