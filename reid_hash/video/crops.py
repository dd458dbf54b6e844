"""Boxes → crops that a network is shown, each with a measure of how much it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.data.images import resize
from reid_hash.video.types import BgrFrame, Boxes, areas, overlaps

_SHARPNESS = 150.0  # variance of the Laplacian at which a crop counts as half sharp
_EDGE = 2.0  # pixels from the frame's edge within which a person is taken to be cut off
_CUT_OFF = 0.3  # what such a crop counts


@dataclass(frozen=True)
class CropOptions:
    """Which boxes become crops.

    Attributes:
        padding: margin added on each side, as a share of the box's width and height: networks are
            trained on boxes with a margin.
        least_height: of a box, in pixels.
        most_covered: share of a box that may lie in the box of somebody else (crowding).
        most_width: of a box, as a share of its height: wider ones hold two people, or none.
    """

    padding: float = 0.05
    least_height: float = 40.0
    most_covered: float = 0.4
    most_width: float = 0.75


class Crop(NamedTuple):
    """A crop of a frame.

    Attributes:
        row: which of the boxes.
        picture: [height, width, 3] uint8 BGR, a view of the frame.
        quality: in 0 … 1; only crops of one track are compared by it.
    """

    row: int
    picture: BgrFrame
    quality: float

    def __repr__(self) -> str:
        return (
            f"Crop(row={self.row}, {self.picture.shape[1]} × {self.picture.shape[0]} pixels, "
            f"quality={self.quality:.3f})"
        )


def cut(
    picture: BgrFrame,
    boxes: Boxes,
    crowd: Boxes,
    options: CropOptions,
    rows: Sequence[int] | None = None,
) -> list[Crop]:
    """Crops of the boxes that are big, free and slim enough.

    Args:
        picture: the frame.
        boxes: [n, 4] of the people to cut out.
        crowd: [m, 4] of all people in the frame, these included.
        options: which.
        rows: only these of the boxes; all when left out.

    Returns:
        At most n crops. Quality is the product of the height in units of 128 pixels, at most 1;
        sharpness; how free the box is of others; and less where the frame's edge cuts it off.
    """
    wanted: Sequence[int] = range(len(boxes)) if rows is None else rows
    if not len(wanted):
        return []
    height, width = picture.shape[:2]
    sides = boxes[:, 2:] - boxes[:, :2]
    covered = covered_shares(boxes, crowd)
    inside = (boxes[:, :2] > _EDGE).all(axis=1)
    inside &= (boxes[:, 2] < width - _EDGE) & (boxes[:, 3] < height - _EDGE)
    margin = sides * options.padding
    outer = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
    outer = np.clip(np.round(outer), 0, [width, height] * 2).astype(int)
    crops = []
    for row in wanted:
        left, top, right, bottom = outer[row]
        wide, high = sides[row]
        if high < options.least_height or wide > options.most_width * high:
            continue
        if covered[row] > options.most_covered:
            continue
        crop = picture[top:bottom, left:right]
        quality = min(1.0, float(high) / 128) * _sharpness(crop) * float(1 - covered[row]) ** 2
        crops.append(Crop(row, crop, quality if inside[row] else quality * _CUT_OFF))
    return crops


def covered_shares(boxes: Boxes, crowd: Boxes) -> NDArray[np.float32]:
    """Share of each box that lies in the one other box that covers it most, [n] float32."""
    common = overlaps(boxes, crowd)
    own = (np.abs(boxes[:, None] - crowd[None]) < 0.5).all(axis=2)
    common[own] = 0
    shares: NDArray[np.float32] = common.max(axis=1, initial=0) / np.maximum(areas(boxes), 1)
    return shares


def network_input(
    crops: list[Crop], size: tuple[int, int], growing: Literal["cubic", "linear"] = "cubic"
) -> NDArray[np.uint8]:
    """Crops as a network takes them: [n, height, width, 3] uint8 RGB; see `resize`."""
    pixels = np.empty((len(crops), *size, 3), np.uint8)
    for out, crop in zip(pixels, crops, strict=True):
        out[:] = resize(crop.picture, *size, growing)[:, :, ::-1]
    return pixels


def _sharpness(crop: BgrFrame) -> float:
    """In 0 … 1, measured at one size, so that near people do not count as sharper."""
    grey = cv2.cvtColor(
        cv2.resize(crop, (48, 96), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
    )
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    variance = float(deviation[0, 0]) ** 2
    return variance / (variance + _SHARPNESS)
