"""The order in which FAISS's fast scan stores 4-bit codes, read and written here.

Fast scan compares 32 codes at a time. A block stores them one sub-quantizer after another, and our
sub-quantizers are the half bytes (nibbles) of the packed codes. Each nibble takes 16 bytes: their
lower halves hold the first 16 codes of the block and their upper halves the other 16, both in the
order `_ORDER`. Blocks take as many bytes as the packed codes, and single codes can be read back
from them, so exact distances need no second copy.
"""

import ctypes
import sys
from functools import cache
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CodeError

LANES = 32
"""Codes per block."""

PATTERNS = (np.arange(16)[:, None] >> np.arange(4)) & 1
"""[16, 4]: the bits of each nibble value, lowest bit first."""

_ORDER = np.array([0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15])
_PLACE = np.argsort(_ORDER)
_PACK_ROWS = 2**15  # codes packed at a time; temporary arrays then stay in the cache
# Groups of queries that share a pass over the blocks, one hex digit per group: 8 groups, since one
# pass reads all codes. Larger groups read each block less often; smaller ones keep more in
# registers, which helps short codes. Fastest measured for codes up to 8 bytes, and for longer ones.
_QUERIES_AT_ONCE = (0x11111111, 0x22222222)
_SHORT = 8
_PAGE = 4096
_HUGE = 14  # MADV_HUGEPAGE of <linux/mman.h>


def pack_blocks(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rearrange packed codes into fast scan's order.

    Args:
        packed: [n, width] uint8.

    Returns:
        [ceil(n / 32), width, 32] uint8; unused lanes of the last block are zero.
    """
    count, width = packed.shape
    blocks = np.empty((-(-count // LANES), width, LANES), np.uint8)
    for start in range(0, count, _PACK_ROWS):
        rows = packed[start : start + _PACK_ROWS]
        if missing := -len(rows) % LANES:
            rows = np.concatenate([rows, np.zeros((missing, width), np.uint8)])
        by_byte = rows.reshape(-1, LANES, width).transpose(0, 2, 1)
        first, other = by_byte[:, :, _ORDER], by_byte[:, :, _ORDER + 16]
        part = blocks[start // LANES : start // LANES + len(by_byte)]
        part[:, :, :16] = (first & 15) | (other << 4)
        part[:, :, 16:] = (first >> 4) | (other & 0xF0)
    return blocks


def unpack_blocks(blocks: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Undo `pack_blocks`.

    Args:
        blocks: [blocks, width, 32] uint8.
        count: number of codes; the remaining lanes are padding.

    Returns:
        [count, width] uint8.
    """
    packed = np.empty((len(blocks), LANES, blocks.shape[1]), np.uint8)
    step = _PACK_ROWS // LANES
    for start in range(0, len(blocks), step):
        part = blocks[start : start + step].transpose(0, 2, 1)
        low, high = part[:, _PLACE], part[:, 16 + _PLACE]
        out = packed[start : start + step]
        out[:, :16] = (low & 15) | (high << 4)
        out[:, 16:] = (low >> 4) | (high & 0xF0)
    rows: NDArray[np.uint8] = packed.reshape(-1, blocks.shape[1])[:count]
    return rows


def block_nibbles(
    blocks: NDArray[np.uint8], begins: NDArray[np.int64], lanes: NDArray[np.int64], width: int
) -> NDArray[np.uint8]:
    """Extract the nibbles of single codes.

    Args:
        blocks: bytes of the blocks, of any shape, C-contiguous.
        begins: [m] int64, byte offset of each code's block.
        lanes: [m] int64, position of each code within its block, 0 … 31.
        width: bytes per code.

    Returns:
        [2 · width, m] uint8 in 0 … 15; nibble 2b is the lower half of byte b.
    """
    first = begins + _PLACE[lanes & 15]
    both: NDArray[np.uint8] = blocks.reshape(-1).take(first + 16 * np.arange(2 * width)[:, None])
    both >>= ((lanes >> 4) * 4).astype(np.uint8)
    both &= 15
    return both


def row_nibbles(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Extract the nibbles of packed codes, [n, width] → [2 · width, n] uint8."""
    nibbles = np.empty((2 * packed.shape[1], len(packed)), np.uint8)
    nibbles[0::2] = packed.T & 15
    nibbles[1::2] = packed.T >> 4
    return nibbles


def make_scanner(blocks: NDArray[np.uint8], count: int) -> Any:
    """Make a `faiss.IndexPQFastScan` that owns a copy of the blocks (see `blocks_of`).

    Its sub-quantizers' 16 centroids are the unweighted bit patterns. The L2 distance from a
    component x to a bit c in {0, 1} is x² + c (1 - 2x), so x = (1 - d) / 2 makes a one cost d more
    than a zero, for any d. Weights and asymmetric queries therefore only change the query vector,
    and one index serves all weights.

    Args:
        blocks: [ceil(count / 32), width, 32] uint8 from `pack_blocks`; copied.
        count: number of codes.
    """
    _check_layout()
    return _make_scanner(blocks, count)


def blocks_of(scanner: Any) -> NDArray[np.uint8]:
    """View a scanner's blocks, [blocks, width, 32] uint8; valid as long as the scanner."""
    width = scanner.M2 // 2
    if not scanner.codes.size():
        return np.empty((0, width, LANES), np.uint8)
    flat: NDArray[np.uint8] = faiss.rev_swig_ptr(scanner.codes.get(), scanner.codes.size())
    return flat.reshape(-1, width, LANES)


def unit_centroids(width: int) -> NDArray[np.float32]:
    """Return product-quantizer centroids for codes of `width` bytes: the bit patterns."""
    return np.tile(PATTERNS.astype(np.float32).ravel(), 2 * width)


def _quantizer(width: int) -> Any:
    quantizer = faiss.IndexPQ(8 * width, 2 * width, 4)
    faiss.copy_array_to_vector(unit_centroids(width), quantizer.pq.centroids)
    quantizer.is_trained = True
    return quantizer


def _make_scanner(blocks: NDArray[np.uint8], count: int) -> Any:
    scanner = faiss.IndexPQFastScan(_quantizer(blocks.shape[1]))
    scanner.qbs = _QUERIES_AT_ONCE[blocks.shape[1] > _SHORT]
    scanner.codes.resize(blocks.size)
    memory = blocks_of(scanner)
    _use_huge_pages(memory)
    memory[:] = blocks
    scanner.ntotal = count
    scanner.ntotal2 = LANES * len(blocks)
    return scanner


def _use_huge_pages(memory: NDArray[np.uint8]) -> None:
    """Ask for huge pages before the memory is first written to; a no-op where unsupported.

    A single query is limited by memory bandwidth, and pages of 2 MiB instead of 4 KiB make it a
    tenth faster (measured, `docs/search.md`). NumPy asks for huge pages itself, FAISS does not.

    Args:
        memory: contiguous array.
    """
    if sys.platform != "linux" or memory.nbytes < 2**21:
        return
    start = -(-memory.ctypes.data // _PAGE) * _PAGE
    stop = (memory.ctypes.data + memory.nbytes) // _PAGE * _PAGE
    # Only a hint: ignore whether the system took it.
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), _HUGE)


@cache
def _check_layout() -> None:
    """Compare our layout with FAISS's own packing, once a process."""
    packed = np.random.default_rng(0).integers(0, 256, (70, 3), np.uint8)
    quantizer = _quantizer(3)
    quantizer.add_sa_codes(packed)
    theirs = faiss.IndexPQFastScan(quantizer)
    ours = _make_scanner(pack_blocks(packed), 70)
    if ours.codes.size() != theirs.codes.size() or (blocks_of(ours) != blocks_of(theirs)).any():
        raise CodeError(
            f"FAISS {faiss.__version__} keeps fast-scan codes in an order that is not known here; "
            "install faiss-cpu 1.15"
        )
