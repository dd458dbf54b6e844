"""Detections → tracks: ByteTrack (Zhang et al. 2022) or SORT (Bewley et al. 2016) of `trackers`."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError
from reid_hash.video.detectors.detector import LEAST, SURE
from reid_hash.video.types import Boxes, Detections, areas, overlaps

TRACKERS = ("bytetrack", "sort")
"""What --tracker takes."""

LOST = 1.5
"""Seconds after which somebody who is not seen any more has left. Longer, and a track goes over to
whoever passes by meanwhile; who comes back later is found by the code."""

_OVERLAP = 0.25  # IoU with where a track is expected, below which a box is not of it

# where moving shapes are cut into people
_INSIDE = 0.6  # share of an expected box that must lie in a shape
_BIGGER = 1.2  # how much bigger than each of its people a shape of several is
_TALL = 0.6  # height of each as a share of the shape's: less is a part of one person
_FORGET = 1.0  # seconds after which it is not known any more where somebody is
_BLEND = 0.3  # weight of the last step in a track's speed


class Tracked(NamedTuple):
    """People of one frame who belong to a track.

    Attributes:
        boxes: [n, 4] float32.
        tracks: [n] int64, number of each one's track, from 1, within the source.
        ended: numbers of the tracks that are over.
    """

    boxes: Boxes
    tracks: NDArray[np.int64]
    ended: list[int]

    def __repr__(self) -> str:
        return f"Tracked({self.tracks.tolist()}, ended={self.ended})"


class Tracker:
    """Follows the people before one camera.

    Args:
        fps: frames a second of the source; the times that come with frames count.
        name: one of `TRACKERS`.
        lost: seconds for which somebody may be out of sight.
        shapes: whether detections are shapes that several people may share; see `Splitter`.
    """

    def __init__(
        self, fps: float, name: str = "bytetrack", lost: float = LOST, shapes: bool = False
    ) -> None:
        self._splitter = Splitter() if shapes else None
        self._name, self._tracker = name, _make(name, fps, lost)
        self._alive: set[int] = set()
        self._last = -np.inf

    def __repr__(self) -> str:
        return f"Tracker({self._name}, {len(self._alive)} tracks)"

    def update(self, found: Detections, time: float) -> Tracked:
        """Carry the tracks on by a frame.

        Args:
            found: people in the frame.
            time: of the frame in seconds, later than that of the one before.
        """
        import supervision

        time = max(time, self._last + 1e-4)  # a clock that was set back must not stop it
        self._last = time
        if self._splitter is not None:
            found = self._splitter.split(found, time)
        there = supervision.Detections(found.boxes, confidence=found.scores)
        result: Any = self._tracker.update(there, timestamp=time)
        numbers = np.asarray(result.tracker_id, np.int64)
        known = numbers >= 0
        boxes = np.asarray(result.xyxy, np.float32).reshape(-1, 4)[known]
        alive = {
            int(track.tracker_id) + 1 for track in self._tracker.tracks if track.tracker_id >= 0
        }
        ended = sorted(self._alive - alive)
        self._alive = alive
        if self._splitter is not None:
            self._splitter.see(boxes, numbers[known], time)
            self._splitter.forget([track - 1 for track in ended])
        return Tracked(boxes, numbers[known] + 1, ended)


def _make(name: str, fps: float, lost: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package tells its own maintainers what is deprecated
        import trackers
    frames = round(30 * lost)  # it counts the buffer in frames of 30 a second, whatever the rate
    makers: dict[str, Callable[[], Any]] = {
        "bytetrack": lambda: trackers.ByteTrackTracker(
            lost_track_buffer=frames,
            frame_rate=fps,
            track_activation_threshold=SURE,
            high_conf_det_threshold=SURE - 2 * LEAST,
            minimum_consecutive_frames=3,
            minimum_iou_threshold=_OVERLAP,
        ),
        "sort": lambda: trackers.SORTTracker(
            lost_track_buffer=frames,
            frame_rate=fps,
            track_activation_threshold=SURE,
            minimum_consecutive_frames=3,
            minimum_iou_threshold=_OVERLAP,
        ),
    }
    if name not in makers:
        raise ConfigError(f"there is no tracker {name}; choose {' or '.join(TRACKERS)}")
    return makers[name]()


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
