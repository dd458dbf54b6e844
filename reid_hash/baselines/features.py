"""Features of images that hash functions and metrics start from: pixels, HOG, a network's."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from reid_hash.errors import DataError
from reid_hash.nn.hashnet import HashNet

Images = NDArray[np.uint8]
"""[n, height, width, 3] uint8 RGB."""


def is_grey(images: Images) -> bool:
    """Whether the three channels of all images are equal."""
    return bool(
        (images[..., 0] == images[..., 1]).all() and (images[..., 1] == images[..., 2]).all()
    )


def pixel_features(images: Images, grey: bool = False) -> NDArray[np.float32]:
    """Raw pixels.

    Args:
        images: [n, height, width, 3] uint8 RGB.
        grey: take one channel alone, where all are equal; see `is_grey`.

    Returns:
        [n, height · width · 3] float32 in 0 … 1; with `grey` a third of that.
    """
    chosen = images[..., :1] if grey else images
    features = chosen.reshape(len(images), -1).astype(np.float32)
    features /= 255
    return features


def hog_features(images: Images, cell: int | None = None) -> NDArray[np.float32]:
    """Histograms of oriented gradients (Dalal & Triggs, CVPR 2005), by OpenCV.

    Blocks of 2 × 2 cells, one cell apart, of 9 unsigned orientations each; of the colours, each
    pixel counts with the one of the largest gradient. What is left over of whole cells is cut off
    at the borders.

    Args:
        images: [n, height, width, 3] uint8 RGB.
        cell: side of a cell in pixels; a quarter of the shorter side when left out.

    Returns:
        [n, (rows − 1) · (columns − 1) · 36] float32 in 0 … 1, for rows × columns cells.

    Raises:
        DataError: the images have fewer than 2 × 2 cells.
    """
    height, width = images.shape[1:3]
    side = cell if cell is not None else max(1, min(height, width) // 4)
    rows, columns = height // side, width // side
    if rows < 2 or columns < 2:
        raise DataError(f"images of {height} × {width} pixels have no 2 × 2 cells of {side} pixels")
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    shape = (columns * side, rows * side)
    descriptor = cv2.HOGDescriptor(shape, (2 * side, 2 * side), (side, side), (side, side), 9)
    out = np.empty((len(images), descriptor.getDescriptorSize()), np.float32)
    for i, image in enumerate(images):
        cut = image[top : top + rows * side, left : left + columns * side]
        out[i] = np.asarray(descriptor.compute(np.ascontiguousarray(cut))).reshape(-1)
    return out


def network_features(
    net: HashNet,
    images: Images,
    device: torch.device | str = "cpu",
    batch: int = 128,
    progress: Callable[[int], object] | None = None,
) -> NDArray[np.float32]:
    """What a network's backbone gives: the penultimate layer of one trained for classification.

    Args:
        net: the network; it is set to evaluation mode.
        images: [n, height, width, 3] uint8 RGB of the network's input size.
        device: where to compute.
        batch: images at a time.
        progress: called with the number of images of each batch.

    Returns:
        [n, features] float32; the mean with the mirror image's where the network's
        `model.flip_average` says so.
    """
    net.eval().to(device)
    out = np.empty((len(images), int(net.backbone.features)), np.float32)  # type: ignore[arg-type]
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            rows = slice(start, min(start + batch, len(images)))
            pixels = net.normalise(torch.from_numpy(np.ascontiguousarray(images[rows])).to(device))
            features = net.features(pixels)
            if net.config.model.flip_average:
                features = (features + net.features(pixels.flip(3))) / 2
            out[rows] = features.float().cpu().numpy()
            if progress is not None:
                progress(rows.stop - rows.start)
    return out
