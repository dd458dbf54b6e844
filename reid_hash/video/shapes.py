"""Moving shapes that hold several people, cut along where the people are expected."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.video.types import Boxes, Detections, areas, overlaps

_INSIDE = 0.6  # share of an expected box that must lie in a shape
_BIGGER = 1.2  # how much bigger than each of its people a shape of several is
_TALL = 0.6  # height of each as a share of the shape's: less is a part of one person
_FORGET = 1.0  # seconds after which it is not known any more where somebody is
_BLEND = 0.3  # weight of the last step in a track's speed


class Splitter:
    """Background subtraction sees one shape where two people pass each other.

    A shape that covers where two tracks or more are expected, and is bigger than each, is
    replaced by a box for each of them, of its last size, moved on at its speed into the shape.
    """

    def __init__(self) -> None:
        self._boxes: dict[int, NDArray[np.float32]] = {}
        self._speeds: dict[int, NDArray[np.float32]] = {}
        self._times: dict[int, float] = {}

    def split(self, found: Detections, time: float) -> Detections:
        """Cut shapes of several people.

        Args:
            found: the shapes of a frame.
            time: of the frame, in seconds.
        """
        known = [track for track, seen in self._times.items() if time - seen <= _FORGET]
        if len(known) < 2 or not len(found.boxes):
            return found
        expected = np.stack([self._expected(track, time) for track in known])
        inside = overlaps(expected, found.boxes) / np.maximum(areas(expected), 1)[:, None]
        rows = expected[:, 3] - expected[:, 1]
        boxes, scores = [], []
        for i, shape in enumerate(found.boxes):
            people = expected[(inside[:, i] > _INSIDE) & (rows > _TALL * (shape[3] - shape[1]))]
            several = len(people) > 1 and areas(shape[None])[0] > _BIGGER * areas(people).max()
            parts = [_moved_into(person, shape) for person in people] if several else [shape]
            boxes += parts
            scores += [found.scores[i]] * len(parts)
        return Detections(np.stack(boxes), np.array(scores, np.float32))

    def see(self, boxes: Boxes, tracks: NDArray[np.int64], time: float) -> None:
        """Learn where the tracks are."""
        for box, track in zip(boxes, tracks.tolist(), strict=True):
            if track in self._boxes:
                passed = max(time - self._times[track], 1e-3)
                step = (_middle(box) - _middle(self._boxes[track])) / passed
                speed = self._speeds.get(track, step)
                self._speeds[track] = ((1 - _BLEND) * speed + _BLEND * step).astype(np.float32)
            self._boxes[track], self._times[track] = box, time

    def forget(self, tracks: list[int]) -> None:
        """Drop tracks that are over."""
        for track in tracks:
            for known in (self._boxes, self._speeds, self._times):
                known.pop(track, None)  # type: ignore[attr-defined]

    def _expected(self, track: int, time: float) -> NDArray[np.float32]:
        speed = self._speeds.get(track, np.zeros(2, np.float32))
        moved = self._boxes[track] + np.tile(speed * (time - self._times[track]), 2)
        return np.asarray(moved, np.float32)


def _middle(box: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((box[:2] + box[2:]) / 2, np.float32)


def _moved_into(box: NDArray[np.float32], shape: NDArray[np.float32]) -> NDArray[np.float32]:
    """A box moved as little as possible to lie in a shape, and cut where it is larger."""
    shift = np.maximum(shape[:2] - box[:2], 0) - np.maximum(box[2:] - shape[2:], 0)
    moved = box + np.tile(shift, 2)
    low, high = np.maximum(moved[:2], shape[:2]), np.minimum(moved[2:], shape[2:])
    return np.concatenate([low, high]).astype(np.float32)
