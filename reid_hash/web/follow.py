"""Following the people of one video or webcam: frames in, frames with boxes and names out."""

import contextlib
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reid_hash.errors import DataError
from reid_hash.video.draw.boxes import draw_scene
from reid_hash.video.events import Events
from reid_hash.video.identity.identify import Identifier, IdentifyOptions
from reid_hash.video.identity.limit import make_limit
from reid_hash.video.identity.recognition import People
from reid_hash.video.sources.address import Address
from reid_hash.video.sources.source import open_source
from reid_hash.video.summary import Person, people_of
from reid_hash.video.types import Frame, Picture
from reid_hash.web.page_gallery import Desk
from reid_hash.web.settings import MOST_PIXELS
from reid_hash.web.unsaved_people import Visitors

_FAR = 0.05  # share of strangers that may be taken for somebody known, as `reid-hash demo` has it
_WIDTH, _HEIGHT = 960, 540  # of the frames that are sent to the browser, at most


class Looked(NamedTuple):
    """A frame that was looked at.

    Attributes:
        picture: [height, width, 3] uint8 BGR, with boxes and names.
        seconds: since the start of its source.
        frames: looked at so far.
    """

    picture: Picture
    seconds: float
    frames: int


class Follower:
    """Follows the people of some sources, one frame at a time.

    Args:
        desk: the gallery, and the network.
        cameras: names of the sources.
        fps: frames a second of each.
        keep: add whoever is seen to the gallery; else it stays as it is.

    Raises:
        GalleryError: people are to be kept, and another program writes to the gallery.
        ReidHashError: network or detector is not to be had.
    """

    def __init__(
        self, desk: Desk, cameras: Sequence[str], fps: Sequence[float], keep: bool
    ) -> None:
        with contextlib.ExitStack() as stack:
            encoder, gallery = desk.encoder, desk.gallery
            if keep:
                gallery = stack.enter_context(desk.writing())
            limit = make_limit(gallery, gallery.bits, _FAR)
            if keep:
                self._people = People(gallery, gallery.bits, limit)
            else:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reid-hash-"))
                visitors = Visitors(gallery, Path(folder) / "seen", gallery.bits, limit)
                stack.callback(visitors.close)
                self._people = visitors
            self._known = {one.id for one in gallery.people.identities()}
            first = desk.detector()
            self._detectors = [first, *(first.another() for _ in cameras[1:])]
            self._cameras = list(cameras)
            self._identifier = Identifier(
                [Address("file", name, name, name) for name in cameras],
                fps,
                encoder,
                self._people,
                Events(None, lambda event: None),
                IdentifyOptions(shapes=first.shapes),
            )
            stack.callback(self._identifier.finish)
            self._kept = stack.pop_all()
        self._numbers = itertools.count()

    def look(self, camera: int, moment: float, picture: Picture) -> Picture:
        """Look at a frame.

        Args:
            camera: index of the source.
            moment: when it was taken, seconds since 1970, UTC.
            picture: [height, width, 3] uint8 BGR.

        Returns:
            [height, width, 3] uint8 BGR, smaller where it was large, with boxes and names.
        """
        found = self._detectors[camera].detect(picture)
        frame = Frame(camera, next(self._numbers), moment, picture)
        scene = self._identifier.update(frame, found)
        height, width = picture.shape[:2]
        scale = min(1.0, _WIDTH / width, _HEIGHT / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return draw_scene(scene, size, self._people.label)

    def people(self) -> list[Person]:
        """Everybody so far who was identified."""
        presences = self._identifier.presences
        return people_of(presences, self._people, self._cameras, self._known)

    def close(self) -> None:
        """End all tracks; where people are kept, everybody seen is in the gallery afterwards."""
        self._kept.close()

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def follow_files(
    desk: Desk, files: Sequence[Path], keep: bool, stop: threading.Event
) -> Iterator[tuple[Looked, Follower]]:
    """Follow the people of video files, one after the other; gives each frame.

    Args:
        desk: the gallery, and the network.
        files: of videos that were checked (`uploads.check_video`).
        keep: see `Follower`.
        stop: ends it before the next frame.

    Raises:
        DataError: one is no video, or its frames are too large.
        ReidHashError: as `Follower`.
    """
    with contextlib.ExitStack() as stack:
        sources = []
        for file in files:
            source = open_source(Address("file", str(file), file.stem, file.name))
            stack.callback(source.close)
            if int(np.prod(source.size)) > MOST_PIXELS:
                raise DataError(f"the frames of {file.name} are too large; scale the video down")
            sources.append(source)
        names = [file.stem for file in files]
        follower = stack.enter_context(
            Follower(desk, names, [source.fps for source in sources], keep)
        )
        count = 0
        for camera, source in enumerate(sources):
            start = time.time()
            for seconds, picture in source.frames(stop, lambda kind, line: None):
                count += 1
                drawn = follower.look(camera, start + seconds, picture)
                yield Looked(drawn, seconds, count), follower
