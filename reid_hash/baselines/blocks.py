"""Hand-crafted pedestrian features: colour and texture histograms in overlapping blocks."""

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import DataError

ROWS, COLUMNS = 20, 4
"""Cells of an image; a block is 2 × 2 cells, and blocks are one cell apart."""

COLOUR_BINS = 8  # per channel, of which there are six
TEXTURE_BINS = 10  # uniform patterns with 0 … 8 set neighbours, and one for all others
_BINS = 6 * COLOUR_BINS + TEXTURE_BINS


def block_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Extract colour and texture of blocks, the features KISSME was evaluated on (Köstinger 2012).

    Blocks are 1/10 of the height and 1/2 of the width and overlap by half. Each has a histogram of
    every channel of HSV and CIE Lab, and one of rotation-invariant uniform local binary patterns
    (Ojala et al. 2002). Each histogram is normalised to sum 1 and square-rooted, which makes the
    Euclidean distance Hellinger's.

    Args:
        images: [n, height, width, 3] uint8 RGB, at least 20 × 4 pixels.

    Returns:
        [n, 3306] float32 in 0 … 1: 19 × 3 blocks of 58 bins.

    Raises:
        DataError: the images are too small.
    """
    height, width = images.shape[1:3]
    if height < ROWS or width < COLUMNS:
        raise DataError(
            f"images of {height} × {width} pixels have no {ROWS} × {COLUMNS} cells for features "
            "of blocks"
        )
    row = np.arange(height) * ROWS // height
    column = np.arange(width) * COLUMNS // width
    cell = (row[:, None] * COLUMNS + column).reshape(-1)
    out = np.empty((len(images), (ROWS - 1) * (COLUMNS - 1) * _BINS), np.float32)
    for i, image in enumerate(images):
        out[i] = _blocks(np.ascontiguousarray(image), cell)
    return out


def _blocks(image: NDArray[np.uint8], cell: NDArray[np.int64]) -> NDArray[np.float64]:
    bins = _bins(image)
    counts = [_counts(cell, bins[..., k], COLOUR_BINS) for k in range(6)]
    counts.append(_counts(cell, texture(image), TEXTURE_BINS))
    roots = []
    for of_cells in counts:
        blocks = of_cells[:-1, :-1] + of_cells[:-1, 1:] + of_cells[1:, :-1] + of_cells[1:, 1:]
        roots.append(np.sqrt(blocks / blocks.sum(axis=2, keepdims=True)))
    return np.concatenate(roots, axis=2).reshape(-1)


def _bins(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Assign each pixel its bin: [height, width, 3] RGB → [height, width, 6]."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    return np.concatenate([hsv, lab], axis=2).astype(np.int64) * COLOUR_BINS // 256


def _counts(cell: NDArray[np.int64], bins: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Count pixels by cell and bin, [rows, columns, count]."""
    flat = np.bincount(cell * count + bins.reshape(-1), minlength=ROWS * COLUMNS * count)
    return flat.reshape(ROWS, COLUMNS, count)


def texture(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Compute rotation-invariant uniform local binary patterns of the lightness.

    Args:
        image: [height, width, 3] uint8 RGB.

    Returns:
        [height, width] int64 in 0 … 9: the number of the 8 neighbours that are at least as light
        as the pixel, if these are adjacent on the circle (at most 2 changes along it); else 9.

    Example:
        >>> int(texture(np.zeros((3, 3, 3), np.uint8))[1, 1])
        8
    """
    grey = np.pad(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.int16), 1, mode="edge")
    height, width = image.shape[:2]
    centre = grey[1:-1, 1:-1]
    circle = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    lit = np.stack([grey[y : y + height, x : x + width] >= centre for y, x in circle])
    changes = (lit != np.roll(lit, 1, axis=0)).sum(axis=0)
    patterns: NDArray[np.int64] = np.where(changes <= 2, lit.sum(axis=0), 9).astype(np.int64)
    return patterns
