"""Dense patches of pedestrians: colour histograms and gradients (Zhao et al., CVPR 2013)."""

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 128, 48
SIDE, STEP = 10, 4
ROWS, COLUMNS = (HEIGHT - SIDE) // STEP + 1, (WIDTH - SIDE) // STEP + 1
COLOUR_BINS, ORIENTATIONS = 32, 8
SCALES = (1.0, 0.75, 0.5)
DIMS = len(SCALES) * 3 * COLOUR_BINS + 3 * 16 * ORIENTATIONS


def dense_patches(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe overlapping patches of 10 × 10 pixels, 4 pixels apart, of the image at 128 × 48.

    A descriptor has colour histograms of the CIE Lab channels of the image and of two smaller
    copies (288 numbers), and orientation histograms of the gradient in 4 × 4 cells of each channel,
    as in SIFT (384). Each part has length 1, so squared distances of descriptors are in 0 … 4.

    Args:
        image: [height, width, 3] uint8 RGB of any size.

    Returns:
        [30, 10, 672] float32 ≥ 0: rows and columns of patches.
    """
    scaled = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    lab = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB), np.uint8)
    colour = np.concatenate([_colours(lab, scale) for scale in SCALES], axis=2)
    parts = [part / _lengths(part) for part in (colour, _gradients(lab))]
    return np.concatenate(parts, axis=2).astype(np.float32)


def _lengths(part: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(part, axis=2, keepdims=True).clip(1e-12)
    return lengths


def _colours(lab: NDArray[np.uint8], scale: float) -> NDArray[np.float64]:
    """Compute the share of pixels per bin in a scaled copy: [ROWS, COLUMNS, 96]."""
    size = (round(WIDTH * scale), round(HEIGHT * scale))
    small = lab if scale == 1 else cv2.resize(lab, size, interpolation=cv2.INTER_AREA)
    bins = small.astype(np.int64) * COLOUR_BINS // 256
    planes = (bins[..., None] == np.arange(COLOUR_BINS)).reshape(size[1], size[0], -1)
    top, left = _starts(ROWS, scale), _starts(COLUMNS, scale)
    side = round(SIDE * scale)
    return _box_sums(planes, top, top + side, left, left + side) / side**2


def _gradients(lab: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sum gradient lengths by cell, channel and orientation: [ROWS, COLUMNS, 384]."""
    values = lab.astype(np.float64)
    y, x = np.gradient(values, axis=(0, 1))
    turn = np.arctan2(y, x) / (2 * np.pi) % 1
    orientation = np.minimum((turn * ORIENTATIONS).astype(np.int64), ORIENTATIONS - 1)
    planes = np.hypot(y, x)[..., None] * (orientation[..., None] == np.arange(ORIENTATIONS))
    planes = planes.reshape(HEIGHT, WIDTH, -1)
    top, left = _starts(ROWS, 1.0), _starts(COLUMNS, 1.0)
    edges = np.linspace(0, SIDE, 5).astype(np.int64)
    cells = [
        _box_sums(planes, top + edges[i], top + edges[i + 1], left + edges[j], left + edges[j + 1])
        for i in range(4)
        for j in range(4)
    ]
    return np.concatenate(cells, axis=2)


def _starts(count: int, scale: float) -> NDArray[np.int64]:
    starts: NDArray[np.int64] = np.floor(STEP * np.arange(count) * scale).astype(np.int64)
    return starts


def _box_sums(
    planes: NDArray[np.generic],
    top: NDArray[np.int64],
    bottom: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Sum planes [height, width, n] over boxes, by differences of running sums."""
    table = np.zeros((planes.shape[0] + 1, planes.shape[1] + 1, planes.shape[2]))
    table[1:, 1:] = planes.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    high, low = table[bottom], table[top]
    sums: NDArray[np.float64] = high[:, right] - high[:, left] - low[:, right] + low[:, left]
    return sums
