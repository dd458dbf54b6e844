"""What the stages hand to each other."""

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes

if TYPE_CHECKING:
    import supervision

    from reid_hash.video.identity.tracks import Track

BgrFrame = NDArray[np.uint8]
"""A frame or a part of one: [height, width, 3] uint8, BGR, as OpenCV has it."""

Boxes = NDArray[np.float32]
"""[n, 4] float32: left, top, right, bottom in pixels of the frame, from 0."""


class Frame(NamedTuple):
    """A frame of a source.

    Attributes:
        camera: index of the source, from 0.
        number: of the frame within its source, from 0.
        time: when it was taken, seconds since 1970, UTC.
        picture: [height, width, 3] uint8 BGR.
    """

    camera: int
    number: int
    time: float
    picture: BgrFrame

    def __repr__(self) -> str:
        return (
            f"Frame(camera={self.camera}, number={self.number}, time={self.time:.3f}, "
            f"{self.picture.shape[1]} × {self.picture.shape[0]} pixels)"
        )


class Detections(NamedTuple):
    """People that a detector found in a frame.

    Attributes:
        boxes: [n, 4] float32, left, top, right, bottom.
        scores: [n] float32 in 0 … 1, how sure the detector is.
    """

    boxes: Boxes
    scores: NDArray[np.float32]

    def __repr__(self) -> str:
        return f"Detections({len(self.boxes)} people)"

    @classmethod
    def none(cls) -> "Detections":
        """Nobody."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    @classmethod
    def from_supervision(cls, found: "supervision.Detections", people: int | None = None) -> Self:
        """Take over supervision's detections.

        Args:
            found: with or without confidences; those without count as sure.
            people: number of the class of people; None where all are people.
        """
        boxes = np.asarray(found.xyxy, np.float32).reshape(-1, 4)
        scores = np.ones(len(boxes)) if found.confidence is None else found.confidence
        kept = np.ones(len(boxes), bool)
        if people is not None and found.class_id is not None:
            kept = np.asarray(found.class_id) == people
        return cls(boxes[kept], np.asarray(scores, np.float32)[kept])

    def to_supervision(self) -> "supervision.Detections":
        """As supervision's detections, for its trackers, zones and annotators."""
        import supervision

        return supervision.Detections(self.boxes, confidence=self.scores)


class Scene(NamedTuple):
    """A frame with the people in it.

    Attributes:
        frame: the frame.
        boxes: [n, 4] float32.
        people: [n], as they were then.
    """

    frame: Frame
    boxes: Boxes
    people: list["Track"]

    def __repr__(self) -> str:
        return f"Scene({self.frame!r}, {len(self.people)} people)"


class Encodes(Protocol):
    """Images → real outputs → codes: a checkpoint's encoder, or one on another engine."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images that it takes, in pixels."""
        ...

    @property
    def growing(self) -> Literal["cubic", "linear"]:
        """How smaller images are scaled to that size; see `data.images.resize`."""
        ...

    def outputs(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Real outputs [n, bits] and embedding of images [n, height, width, 3] uint8 RGB."""
        ...

    def binarise(self, outputs: NDArray[np.float32]) -> Codes:
        """Codes of real outputs [n, bits]."""
        ...


def box_tuple(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """A box as x, y, width, height, rounded to a tenth of a pixel, as galleries keep it."""
    left, top, right, bottom = (float(value) for value in box)
    return round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)


def overlaps(boxes: Boxes, others: Boxes) -> NDArray[np.float32]:
    """Area that each pair of boxes has in common, [n, m] float32, in square pixels."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common: NDArray[np.float32] = np.clip(high - low, 0, None).prod(axis=2, dtype=np.float32)
    return common


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """[n] float32, in square pixels."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    product: NDArray[np.float32] = sides.prod(axis=1, dtype=np.float32)
    return product


def iou(boxes: Boxes, others: Boxes) -> NDArray[np.float32]:
    """Intersection over union of each pair of boxes, [n, m] float32.

    Example:
        >>> a = np.array([[0, 0, 2, 2]], np.float32)
        >>> iou(a, a + np.float32([1, 0, 1, 0])).round(2)
        array([[0.33]], dtype=float32)
    """
    common = overlaps(boxes, others)
    union = areas(boxes)[:, None] + areas(others)[None] - common
    shares: NDArray[np.float32] = common / np.maximum(union, np.float32(1e-9))
    return shares
