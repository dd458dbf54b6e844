"""A frame with the people in it."""

from typing import NamedTuple

from reid_hash.video.identity.tracks import Track
from reid_hash.video.types import Boxes, Frame


class Scene(NamedTuple):
    """A frame with the people in it.

    Attributes:
        frame: the frame.
        boxes: [n, 4] float32.
        people: [n], as they were then.
    """

    frame: Frame
    boxes: Boxes
    people: list[Track]
