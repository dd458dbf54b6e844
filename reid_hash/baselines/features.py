"""Image features that hash functions and metrics start from: pixels, HOG, a network's."""

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
    """Check whether the three channels of all images are equal."""
    return bool(
        (images[..., 0] == images[..., 1]).all() and (images[..., 1] == images[..., 2]).all()
    )


def pixel_features(images: Images, grey: bool = False) -> NDArray[np.float32]:
    """Use raw pixels as features.

    Args:
        images: [n, height, width, 3] uint8 RGB.
        grey: use a single channel, as all are equal; see `is_grey`.

    Returns:
        [n, height · width · 3] float32 in 0 … 1, or a third of that with `grey`.
    """
    chosen = images[..., :1] if grey else images
    features = chosen.reshape(len(images), -1).astype(np.float32)
    features /= 255
    return features


def hog_features(images: Images, cell: int | None = None) -> NDArray[np.float32]:
    """Compute histograms of oriented gradients (Dalal & Triggs, CVPR 2005) with OpenCV.

    Blocks are 2 × 2 cells, one cell apart, with 9 unsigned orientations per cell. Each pixel uses
    the colour channel with the largest gradient. Pixels beyond the last whole cell are cropped.

    Args:
        images: [n, height, width, 3] uint8 RGB.
        cell: cell side in pixels. Default: a quarter of the shorter image side.

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
    """Compute backbone outputs of a network, the penultimate layer if trained as a classifier.

    Args:
        net: the network; set to evaluation mode.
        images: [n, height, width, 3] uint8 RGB at the network's input size.
        device: device to compute on.
        batch: images per batch.
        progress: called with the number of images in each batch.

    Returns:
        [n, features] float32, averaged with the mirrored image's if the network's
        `model.flip_average` is set.
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
