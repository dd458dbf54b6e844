"""All cameras and a side panel in one picture, at a steady rate."""

import math
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Match
from reid_hash.utils.timestamps import format_time
from reid_hash.video.draw import text
from reid_hash.video.draw.blur import Blur, blurred_crop
from reid_hash.video.draw.boxes import ALARM, GROUND, INK, QUIET, draw_scene, identity_colour, tag
from reid_hash.video.identity.recognition import People
from reid_hash.video.identity.tracks import Track
from reid_hash.video.types import BgrFrame, Scene

_ROOM = (1280, 864)  # width and height that the cameras' pictures fill at most
_LEAST = 360  # rows of the whole picture at least: the panel needs them
_LONGEST = 10.0  # seconds without a frame that are still filled with the last picture

_WIDTH = 300  # of the panel, in pixels
_TOP = 5  # matches shown at most
_HOLD = 2.0  # seconds for which one person is shown at least
_MARGIN = 14
_SHOWN, _SMALL = (144, 72), (70, 35)  # height and width of the pictures


class Canvas:
    """Puts the scenes of all cameras together.

    Args:
        cameras: names of the sources.
        sizes: width and height of each source's frames.
        fps: pictures a second.
        people: for the names of identities, and the gallery.
        blur: what of the people is made unrecognisable; None for nothing.

    Attributes:
        size: width and height of the pictures, even.
        fps: pictures a second.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        sizes: Sequence[tuple[int, int]],
        fps: float,
        people: People,
        blur: Blur | None = None,
    ) -> None:
        self.fps, self._blur = fps, blur
        self._names = cameras
        self._columns, self._tile = _tiling(sizes)
        rows = math.ceil(len(cameras) / self._columns)
        height = max(rows * self._tile[1], _LEAST)
        self.size = (self._columns * self._tile[0] + _WIDTH, height + height % 2)
        self._label = people.label
        self._panel = Panel(people.gallery, people.label, cameras, blur)
        self._base: BgrFrame = np.full((self.size[1], self.size[0], 3), GROUND, np.uint8)
        self._now: dict[int, list[Track]] = {}
        self._next: float | None = None
        self._last: BgrFrame | None = None

    def __repr__(self) -> str:
        return f"Canvas({len(self._names)} cameras, {self.size[0]} × {self.size[1]} pixels)"

    def add(self, scene: Scene) -> Iterator[BgrFrame]:
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

    def picture(self, time: float | None = None) -> BgrFrame:
        """The picture as it is now; not to be changed, and good until the next `add`."""
        if self._last is None:
            moment = self._next or 0.0
            people = [one for seen in self._now.values() for one in seen]
            panel = self._panel.draw(people, moment if time is None else time, self.size[1])
            self._base[:, -_WIDTH:] = panel
            self._last = self._base
        return self._last

    def _draw(self, scene: Scene) -> None:
        camera = scene.frame.camera
        row, column = divmod(camera, self._columns)
        wide, high = self._tile
        height, width = scene.frame.picture.shape[:2]
        scale = min(wide / width, high / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        drawn = draw_scene(scene, size, self._label, self._blur)
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


class Panel:
    """Draws the panel. The person is the last one who was identified, for two seconds or more.

    Args:
        gallery: for the thumbnails of the matches.
        label: what an identity is called.
        cameras: names of the sources.
        blur: what of people in the gallery's pictures is made unrecognisable; None for nothing.
    """

    def __init__(
        self,
        gallery: AnyGallery,
        label: Callable[[int], str],
        cameras: Sequence[str],
        blur: Blur | None = None,
    ) -> None:
        self._gallery, self._label, self._cameras = gallery, label, cameras
        self._blur = blur
        self._person: Track | None = None
        self._since = -np.inf
        self._state: tuple[object, ...] = ()
        self._drawn: BgrFrame | None = None

    def draw(self, people: Sequence[Track], time: float, height: int) -> BgrFrame:
        """The panel, [height, _WIDTH, 3] uint8 BGR; not to be changed.

        Args:
            people: who is in view.
            time: of the frame.
            height: in pixels.
        """
        known = [one for one in people if one.identity is not None]
        if known and time - self._since >= _HOLD:
            newest = max(known, key=lambda one: (bool(one.watched), one.first))
            if self._person is None or newest.key != self._person.key:
                self._person, self._since = newest, time
        for one in known:  # what is known of the person by now
            if self._person is not None and one.key == self._person.key:
                self._person = one
        person = self._person
        state: tuple[object, ...] = (height,)
        if person is not None:
            state = (height, person.key, person.identity, person.written, person.watched)
        # drawn anew where something has changed: it is the same for many frames
        if self._drawn is None or state != self._state:
            self._state, self._drawn = state, self._draw(person, height)
        return self._drawn

    def _draw(self, person: Track | None, height: int) -> BgrFrame:
        panel: BgrFrame = np.full((height, _WIDTH, 3), GROUND, np.uint8)
        if person is None or person.identity is None or person.shot is None:
            text.put(panel, "nobody identified yet", _MARGIN, _MARGIN, QUIET)
            return panel
        x, y = _MARGIN, _MARGIN
        _paste(panel, person.shot.picture, x, y, _SHOWN)
        x += _SHOWN[1] + 12
        name = text.fit(self._label(person.identity), _WIDTH - x - _MARGIN - 8, bold=True)
        tag(panel, name, x, y + 22, identity_colour(person.identity))
        camera = self._cameras[person.key[0]]
        room = _WIDTH - x - _MARGIN
        lines = [camera, _clock(person.shot.time), *_verdict(person)]
        for i, line in enumerate(lines):
            text.put(
                panel, text.fit(line, room, 13), x, y + 30 + 19 * i, INK if i < 2 else QUIET, 13
            )
        y += _SHOWN[0] + 10
        if person.watched:
            watched = text.fit(f"watch: {person.watched}", _WIDTH - 2 * _MARGIN - 8, bold=True)
            tag(panel, watched, _MARGIN, y + 21, ALARM)
            y += 28
        rows = _nearest(person.matches)
        if rows:
            text.put(panel, "nearest sightings, distance", _MARGIN, y, QUIET, 13)
            y += 24
        pictures = self._thumbnails(rows)
        limit = person.limit
        widest = max([limit * 1.5, *(match.distance for match in rows)], default=1.0)
        for match in rows:
            if y + _SMALL[0] > height:
                break
            self._row(panel, match, pictures.get(match.sighting.id or 0), y, limit, widest)
            y += _SMALL[0] + 8
        return panel

    def _row(
        self,
        panel: BgrFrame,
        match: Match,
        picture: BgrFrame | None,
        y: int,
        limit: float,
        widest: float,
    ) -> None:
        seen = match.sighting
        if picture is not None:
            _paste(panel, picture, _MARGIN, y, _SMALL)
        x = _MARGIN + _SMALL[1] + 10
        room = _WIDTH - x - _MARGIN
        name = "unnamed" if seen.identity is None else self._label(seen.identity)
        colour = identity_colour(seen.identity)
        tag(panel, text.fit(name, room - 70, bold=True), x, y + 21, colour)
        number = f"{match.distance:.2f}"
        text.put(panel, number, _WIDTH - _MARGIN - text.width(number), y + 2, INK)
        where = f"{seen.camera}  {_clock(seen.time or 0.0)}"
        text.put(panel, text.fit(where, room, 12), x, y + 26, QUIET, 12)
        # how near it is, with a mark where the limit is
        bar, end = y + 50, x + room
        cv2.rectangle(panel, (x, bar), (end, bar + 7), (70, 66, 64), -1)
        reached = x + round(room * match.distance / widest)
        cv2.rectangle(panel, (x, bar), (max(reached, x + 2), bar + 7), colour, -1)
        mark = x + round(room * min(limit / widest, 1.0))
        cv2.line(panel, (mark, bar - 4), (mark, bar + 11), INK, 2)

    def _thumbnails(self, rows: Sequence[Match]) -> dict[int, BgrFrame]:
        ids = [match.sighting.id for match in rows if match.sighting.id is not None]
        found = self._gallery.sightings(ids=ids, thumbnails=True) if ids else []
        decoded = {}
        for seen in found:
            if seen.thumbnail is not None and seen.id is not None:
                picture = cv2.imdecode(np.frombuffer(seen.thumbnail, np.uint8), cv2.IMREAD_COLOR)
                if picture is not None:
                    small: BgrFrame = np.asarray(picture, np.uint8)
                    if self._blur is not None:
                        small = blurred_crop(small, self._blur)
                    decoded[seen.id] = small
        return decoded


def _nearest(matches: Sequence[Match]) -> list[Match]:
    """The nearest sighting of each identity."""
    best: dict[object, Match] = {}
    for match in matches:
        best.setdefault(match.sighting.identity or -(match.sighting.id or 0), match)
    return list(best.values())[:_TOP]


def _verdict(person: Track) -> list[str]:
    if person.started or person.distance is None:
        return ["new: nobody within", f"{person.limit:.2f}"]
    return [f"known: at {person.distance:.2f}", f"within {person.limit:.2f}"]


def _clock(time: float) -> str:
    return format_time(time)[11:19] + " UTC"


def _paste(panel: BgrFrame, picture: BgrFrame, x: int, y: int, size: tuple[int, int]) -> None:
    """A picture, whole, in a field of this height and width."""
    scale = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
    high, wide = (max(1, round(scale * side)) for side in picture.shape[:2])
    small = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA)
    part = panel[y : y + high, x : x + wide]
    part[:] = small[: len(part), : part.shape[1]]
