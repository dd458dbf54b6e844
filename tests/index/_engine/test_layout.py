import numpy as np
import pytest

from reid_hash.index._engine.layout import (
    LANES,
    block_nibbles,
    blocks_of,
    make_scanner,
    pack_blocks,
    row_nibbles,
    unpack_blocks,
)


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 70_000])
@pytest.mark.parametrize("width", [1, 3, 16])
def test_blocks_hold_what_was_packed(n, width):
    packed = np.random.default_rng(n).integers(0, 256, (n, width), np.uint8)
    blocks = pack_blocks(packed)
    assert blocks.shape == (-(-n // LANES), width, LANES)
    np.testing.assert_array_equal(unpack_blocks(blocks, n), packed)
    slots = np.random.default_rng(1).integers(0, max(n, 1), 40 if n else 0)
    lanes = slots % LANES
    nibbles = block_nibbles(blocks, (slots - lanes) * width, lanes, width)
    np.testing.assert_array_equal(nibbles, row_nibbles(packed[slots]))


def test_nibbles_are_the_halves_of_bytes():
    np.testing.assert_array_equal(
        row_nibbles(np.array([[0x21, 0x43]], np.uint8)), [[1], [2], [3], [4]]
    )


def test_fast_scan_reads_the_blocks_as_faiss_itself_writes_them():
    # `make_scanner` compares with FAISS's own packing, and raises where they differ
    packed = np.random.default_rng(2).integers(0, 256, (100, 5), np.uint8)
    scanner = make_scanner(pack_blocks(packed), 100)
    assert scanner.ntotal == 100
    for place in (0, 31, 32, 99):
        bits = np.unpackbits(packed[place], bitorder="little")
        np.testing.assert_array_equal(scanner.reconstruct(place), bits)
    np.testing.assert_array_equal(unpack_blocks(blocks_of(scanner), 100), packed)
