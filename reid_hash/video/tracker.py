"""Detections → tracks: ByteTrack (Zhang et al. 2022) or SORT (Bewley et al. 2016) of `trackers`."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError
from reid_hash.video.detectors.detector import LEAST, SURE
from reid_hash.video.shapes import Splitter
from reid_hash.video.types import Boxes, Detections

TRACKERS = ("bytetrack", "sort")
"""What --tracker takes."""

LOST = 1.5
"""Seconds after which somebody who is not seen any more has left. Longer, and a track goes over to
whoever passes by meanwhile; who comes back later is found by the code."""

_OVERLAP = 0.25  # IoU with where a track is expected, below which a box is not of it


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


class Tracker:
    """Follows the people before one camera.

    Args:
        fps: frames a second of the source; the times that come with frames count.
        name: one of `TRACKERS`.
        lost: seconds for which somebody may be out of sight.
        shapes: whether detections are shapes that several people may share; see `shapes`.
    """

    def __init__(
        self, fps: float, name: str = "bytetrack", lost: float = LOST, shapes: bool = False
    ) -> None:
        self._splitter = Splitter() if shapes else None
        self._tracker = _make(name, fps, lost)
        self._alive: set[int] = set()
        self._last = -np.inf

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
