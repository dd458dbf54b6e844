"""All cameras and the side panel in one picture, at a steady rate."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from reid_hash.video.draw import text
from reid_hash.video.draw.boxes import GROUND, INK, draw_scene
from reid_hash.video.draw.panel import WIDTH, Panel
from reid_hash.video.identity.recognition import People
from reid_hash.video.identity.tracks import Track
from reid_hash.video.scene import Scene
from reid_hash.video.types import Picture

_ROOM = (1280, 864)  # width and height that the cameras' pictures fill at most
_LEAST = 360  # rows of the whole picture at least: the panel needs them
_LONGEST = 10.0  # seconds without a frame that are still filled with the last picture


class Canvas:
    """Puts the scenes of all cameras together.

    Args:
        cameras: names of the sources.
        sizes: width and height of each source's frames.
        fps: pictures a second.
        people: for the names of identities, and the gallery.

    Attributes:
        size: width and height of the pictures, even.
        fps: pictures a second.
    """

    def __init__(
        self, cameras: Sequence[str], sizes: Sequence[tuple[int, int]], fps: float, people: People
    ) -> None:
        self.fps = fps
        self._names = cameras
        self._columns, self._tile = _tiling(sizes)
        rows = math.ceil(len(cameras) / self._columns)
        height = max(rows * self._tile[1], _LEAST)
        self.size = (self._columns * self._tile[0] + WIDTH, height + height % 2)
        self._label = people.label
        self._panel = Panel(people.gallery, people.label, cameras)
        self._base: Picture = np.full((self.size[1], self.size[0], 3), GROUND, np.uint8)
        self._now: dict[int, list[Track]] = {}
        self._next: float | None = None
        self._last: Picture | None = None

    def add(self, scene: Scene) -> Iterator[Picture]:
        """Take up a scene; gives the pictures that are complete now.

        A picture is complete when a scene of a later time comes: those of several cameras are
        then in it. Where a camera stays away for some seconds, its last picture is repeated.
        """
        time = scene.frame.time
        if self._next is None:
            self._next = time + 1 / self.fps
        if time - self._next > _LONGEST:
            self._next = time
        while time > self._next - 0.25 / self.fps:
            yield self.picture(self._next)
            self._next += 1 / self.fps
        self._draw(scene)

    def picture(self, time: float | None = None) -> Picture:
        """The picture as it is now; not to be changed, and good until the next `add`."""
        if self._last is None:
            moment = self._next or 0.0
            people = [one for seen in self._now.values() for one in seen]
            panel = self._panel.draw(people, moment if time is None else time, self.size[1])
            self._base[:, -WIDTH:] = panel
            self._last = self._base
        return self._last

    def _draw(self, scene: Scene) -> None:
        camera = scene.frame.camera
        row, column = divmod(camera, self._columns)
        wide, high = self._tile
        height, width = scene.frame.picture.shape[:2]
        scale = min(wide / width, high / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        drawn = draw_scene(scene, size, self._label)
        name = text.fit(self._names[camera], size[0] - 16, bold=True)
        text.put(drawn, name, 9, 7, (0, 0, 0), bold=True)  # a shadow: frames are of any colour
        text.put(drawn, name, 8, 6, INK, bold=True)
        top, left = row * high, column * wide
        tile = self._base[top : top + high, left : left + wide]
        if drawn.shape != tile.shape:
            tile[:] = GROUND
        tile[: size[1], : size[0]] = drawn
        self._now[camera] = scene.people
        self._last = None


def _tiling(sizes: Sequence[tuple[int, int]]) -> tuple[int, tuple[int, int]]:
    """How many columns, and width and height of a tile: as big as the room allows."""
    width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
    best = (0.0, 1)
    for columns in range(1, len(sizes) + 1):
        rows = math.ceil(len(sizes) / columns)
        best = max(best, (min(_ROOM[0] / (columns * width), _ROOM[1] / (rows * height)), -columns))
    scale, columns = min(best[0], 1.0), max(-best[1], 1)
    # even: most video formats want it
    return columns, (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
