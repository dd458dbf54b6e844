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

from reid_hash.app.demo.options import DemoOptions
from reid_hash.codes import Codes
from reid_hash.errors import DataError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.open import create_gallery
from reid_hash.gallery.sighting import Sighting
from reid_hash.video.draw.boxes import draw_scene
from reid_hash.video.events import Events
from reid_hash.video.identity.identify import Identifier, IdentifyOptions
from reid_hash.video.identity.recognition import Found, Limit, People, make_limit
from reid_hash.video.source import Address, open_source
from reid_hash.video.summary import Person, people_of
from reid_hash.video.track_code import TrackDescriptor
from reid_hash.video.types import BgrFrame, Frame
from reid_hash.web.page_gallery import PageGallery
from reid_hash.web.settings import MOST_PIXELS

_WIDTH, _HEIGHT = 960, 540  # of the frames that are sent to the browser, at most


class UnsavedPeople(People):
    """Finds people in a gallery, and those it does not know among themselves.

    Whoever the gallery does not know gets a negative number, and lives in a gallery of its own that
    is thrown away.

    Args:
        gallery: the gallery that is looked into; nothing is written to it.
        folder: for the gallery that is thrown away.
        bits: how many of the bits are compared.
        limit: see `People`.
    """

    def __init__(self, gallery: AnyGallery, folder: Path, bits: int, limit: Limit) -> None:
        super().__init__(gallery, bits, limit)
        like = Codes.empty(gallery.bits, gallery.weights, gallery.model)
        made = create_gallery(folder, like)
        self._new = People(made, bits, limit)

    def label(self, identity: int) -> str:
        """See `People`: newcomers are "new 1" and so on."""
        return super().label(identity) if identity > 0 else f"new {-identity}"

    def find(self, descriptor: TrackDescriptor, taken: set[int]) -> Found:
        """See `People`."""
        known = super().find(descriptor, {one for one in taken if one > 0})
        new = self._new.find(descriptor, {-one for one in taken if one < 0})
        if new.distance is None:
            return known
        if known.distance is not None and known.distance <= new.distance:
            return known
        identity = None if new.identity is None else -new.identity
        return Found(identity, new.distance, known.limit, [])

    def start(self, code: Codes, sighting: Sighting) -> int:
        """See `People`."""
        return -self._new.start(code, sighting)

    def keep(self, code: Codes, sighting: Sighting) -> None:
        """See `People`."""
        self._new.keep(code, sighting)

    def join(self, code: Codes, sighting: Sighting, identity: int) -> None:
        """See `People`; whom the gallery knows it knows well enough."""
        if identity < 0:
            self._new.join(code, sighting, -identity)

    def merge(self, kept: int, other: int) -> int:
        """See `People`; `other` is a newcomer."""
        if kept < 0:
            return -self._new.merge(-kept, -other)
        self._new.gallery.forget(identities=[-other])
        return kept

    def close(self) -> None:
        """Close the gallery that is thrown away."""
        self._new.gallery.close()


class FollowedFrame(NamedTuple):
    """A frame in which people were followed.

    Attributes:
        picture: [height, width, 3] uint8 BGR, with boxes and names.
        seconds: since the start of its source.
        frames: followed so far.
    """

    picture: BgrFrame
    seconds: float
    frames: int

    def __repr__(self) -> str:
        return f"FollowedFrame(frame {self.frames}, {self.seconds:.3f} s)"


class Follower:
    """Follows the people of some sources, one frame at a time.

    Args:
        page_gallery: the gallery, and the network.
        cameras: names of the sources.
        fps: frames a second of each.
        keep: add whoever is seen to the gallery; else it stays as it is.

    Raises:
        GalleryError: people are to be kept, and another program writes to the gallery.
        ReidHashError: network or detector is not to be had.
    """

    def __init__(
        self, page_gallery: PageGallery, cameras: Sequence[str], fps: Sequence[float], keep: bool
    ) -> None:
        with contextlib.ExitStack() as stack:
            encoder, gallery = page_gallery.encoder, page_gallery.gallery
            if keep:
                gallery = stack.enter_context(page_gallery.writing())
            limit = make_limit(gallery, gallery.bits, DemoOptions.far)
            if keep:
                self._people = People(gallery, gallery.bits, limit)
            else:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reid-hash-"))
                unsaved = UnsavedPeople(gallery, Path(folder) / "seen", gallery.bits, limit)
                stack.callback(unsaved.close)
                self._people = unsaved
            self._known = {one.id for one in gallery.people.identities()}
            first = page_gallery.detector()
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

    def __repr__(self) -> str:
        return f"Follower({self._cameras}, {self._identifier.tracks!r})"

    def update(self, camera: int, moment: float, picture: BgrFrame) -> BgrFrame:
        """Follow the people of the next frame.

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
        tracks = self._identifier.tracks
        return people_of(tracks, self._people, self._cameras, self._known)

    def close(self) -> None:
        """End all tracks; where people are kept, everybody seen is in the gallery afterwards."""
        self._kept.close()

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def follow_files(
    page_gallery: PageGallery, files: Sequence[Path], keep: bool, stop: threading.Event
) -> Iterator[tuple[FollowedFrame, Follower]]:
    """Follow the people of video files, one after the other; gives each frame.

    Args:
        page_gallery: the gallery, and the network.
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
            Follower(page_gallery, names, [source.fps for source in sources], keep)
        )
        count = 0
        for camera, source in enumerate(sources):
            start = time.time()
            for seconds, picture in source.frames(stop, lambda kind, line: None):
                count += 1
                drawn = follower.update(camera, start + seconds, picture)
                yield FollowedFrame(drawn, seconds, count), follower
