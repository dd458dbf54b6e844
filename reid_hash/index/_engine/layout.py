"""The order in which FAISS's fast scan keeps 4-bit codes, so that we can write and read it.

Fast scan compares 32 codes at a time. A block holds them sub-quantizer by sub-quantizer, and our
sub-quantizers are the half bytes (nibbles) of the packed codes: 16 bytes for each nibble, whose
lower halves belong to the first 16 codes of the block and whose upper halves to the other 16, both
in the order `_ORDER`. Written out of packed codes, blocks take as many bytes as these; read back
for single codes, nothing else need be kept to compute exact distances.
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
"""Codes in a block."""

PATTERNS = (np.arange(16)[:, None] >> np.arange(4)) & 1
"""[16, 4]: the bits of each value of a nibble, the lowest first."""

_ORDER = np.array([0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15])
_PLACE = np.argsort(_ORDER)
_PACK_ROWS = 2**15  # codes packed at a time, so that temporary arrays stay in the cache
# Groups of queries that share a pass over the blocks, a digit each: 8 of them, since a pass reads
# all codes. Larger groups read a block less often, smaller ones keep more in registers, which short
# codes gain from: the fastest measured for codes up to 8 bytes, and for longer ones.
_QUERIES_AT_ONCE = (0x11111111, 0x22222222)
_SHORT = 8
_PAGE = 4096
_HUGE = 14  # MADV_HUGEPAGE of <linux/mman.h>


def pack_blocks(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring packed codes into fast scan's order.

    Args:
        packed: [n, width] uint8.

    Returns:
        [ceil(n / 32), width, 32] uint8; missing codes of the last block are zero.
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
        count: how many codes there are; those behind are padding.

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
    """The nibbles of single codes.

    Args:
        blocks: the bytes of blocks, of any shape, C-contiguous.
        begins: [m] int64, the byte where the block of each code begins.
        lanes: [m] int64, which code of its block each is, 0 … 31.
        width: bytes of a code.

    Returns:
        [2 · width, m] uint8, in 0 … 15: nibble 2b is the lower half of byte b.
    """
    first = begins + _PLACE[lanes & 15]
    both: NDArray[np.uint8] = blocks.reshape(-1).take(first + 16 * np.arange(2 * width)[:, None])
    both >>= ((lanes >> 4) * 4).astype(np.uint8)
    both &= 15
    return both


def row_nibbles(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The nibbles of packed codes, [n, width] → [2 · width, n] uint8, as `block_nibbles`."""
    nibbles = np.empty((2 * packed.shape[1], len(packed)), np.uint8)
    nibbles[0::2] = packed.T & 15
    nibbles[1::2] = packed.T >> 4
    return nibbles


def make_scanner(blocks: NDArray[np.uint8], count: int) -> Any:
    """A `faiss.IndexPQFastScan` over blocks; it holds them itself, `blocks_of` gives them.

    Its sub-quantizers' 16 centroids are the bit patterns themselves, unweighted: L2 distance from
    a component x to a bit c in {0, 1} is x² + c (1 - 2x), so that x = (1 - d) / 2 makes a one cost
    d more than a zero, whatever d is. Weights and real-valued queries are thus matters of the
    query vector, and one index serves all weights.

    Args:
        blocks: [ceil(count / 32), width, 32] uint8 from `pack_blocks`; copied.
        count: how many codes there are.
    """
    _check_layout()
    return _make_scanner(blocks, count)


def blocks_of(scanner: Any) -> NDArray[np.uint8]:
    """The blocks that a scanner holds, [blocks, width, 32] uint8: a view, valid while it lives."""
    width = scanner.M2 // 2
    if not scanner.codes.size():
        return np.empty((0, width, LANES), np.uint8)
    flat: NDArray[np.uint8] = faiss.rev_swig_ptr(scanner.codes.get(), scanner.codes.size())
    return flat.reshape(-1, width, LANES)


def unit_centroids(width: int) -> NDArray[np.float32]:
    """Centroids of product quantizers for packed codes of `width` bytes: the bit patterns."""
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


@cache
def _check_layout() -> None:
    """Compare with what FAISS itself makes of packed codes, once a process."""
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
