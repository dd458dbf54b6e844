"""The open gallery behind the page: searched by many, written to by one at a time."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reid_hash.codes import Codes
from reid_hash.data.dataset import RgbImage
from reid_hash.data.images import resize
from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Identity, Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.settings import Settings

if TYPE_CHECKING:  # torch takes seconds to import
    from reid_hash.models.encoder import Encoder
    from reid_hash.video.detectors.detector import Detector

_FILM = 12.0  # seconds of the walkers' film


class PageGallery:
    """A gallery for the page; may be used from several threads.

    The gallery is opened to write only while something is changed, so that other programs may add
    to it while the page is open.

    Args:
        settings: of the page.

    Attributes:
        gallery: open read-only.
        bits: length of its codes.

    Raises:
        GalleryError: there is no gallery, or it is damaged.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gallery = Gallery.open(settings.gallery, read_only=True)
        self.bits = self.gallery.bits
        self._turn = threading.RLock()
        self._encoding = threading.Lock()
        self._filming = threading.Lock()
        self._films: tempfile.TemporaryDirectory[str] | None = None
        self._writer: Gallery | None = None
        self._writers = 0
        self._encoder: Encoder | None = None
        self._detector: Detector | None = None

    def __repr__(self) -> str:
        return f"PageGallery({self.gallery!r})"

    @property
    def folder(self) -> Path:
        """The gallery's folder."""
        return self.gallery.folder

    @property
    def encoder(self) -> "Encoder":
        """The network that makes the gallery's codes, read when it is first asked for.

        Raises:
            CheckpointError, CodeError: it is not there, or another one.
        """
        # torch takes seconds to import, and searching with a sighting needs none of it
        from reid_hash.app.gallery import gallery_encoder

        with self._encoding:
            if self._encoder is None:
                settings = self.settings
                self._encoder = gallery_encoder(
                    *(self.gallery, settings.model, settings.dataset),
                    *(settings.device, settings.runs),
                )
            return self._encoder

    def encode(self, picture: RgbImage) -> Codes:
        """The code of a crop of one person.

        Args:
            picture: [height, width, 3] uint8 RGB, of any size.

        Returns:
            One code of the gallery's length and model.
        """
        encoder = self.encoder
        with self._encoding:  # a network in evaluation mode is shared: one at a time
            codes = encoder.encode(
                resize(picture, *encoder.size, encoder.growing)[None], progress=False
            )
        return codes.prefix(self.bits) if codes.bits > self.bits else codes

    def detector(self) -> "Detector":
        """A detector for a camera of its own; the network of one that has any is shared.

        Raises:
            ConfigError, DataError: there is none of the name in the settings.
        """
        from reid_hash.video.detectors.detector import open_detector

        with self._encoding:
            if self._detector is None:
                device = "cpu" if self.settings.device == "auto" else self.settings.device
                self._detector = open_detector(
                    self.settings.detector, device, say=lambda line: None
                )
            return self._detector.another()

    def code_of(self, sighting: int) -> Codes | None:
        """The code of a sighting, or None where it is not there any more."""
        codes, _ = self.gallery.codes(ids=[sighting])
        return codes if len(codes) else None

    def sighting(self, number: int) -> Sighting | None:
        """A sighting with its thumbnail, or None where it is not there any more."""
        return next(iter(self.gallery.sightings(ids=[number], thumbnails=True)), None)

    def thumbnails(self, ids: Sequence[int]) -> dict[int, bytes]:
        """The thumbnails of sightings, as JPEG, of those that have one."""
        found = self.gallery.sightings(ids=ids, thumbnails=True)
        return {one.id: one.thumbnail for one in found if one.id is not None and one.thumbnail}

    def some_sighting(self) -> int | None:
        """A sighting drawn at random, of somebody whose identity is known if there are any."""
        people = self.gallery.people.identities()
        random = np.random.default_rng()
        if people:
            person = people[int(random.integers(len(people)))]
            theirs = self.gallery.sightings(identities=[person.id], limit=200)
        else:
            theirs = self.gallery.sightings(newest=True, limit=200)
        return theirs[int(random.integers(len(theirs)))].id if theirs else None

    def person(self, wanted: int | str) -> Identity:
        """A person by number or name.

        Raises:
            GalleryError: there is nobody of that number or name.
        """
        for one in self.gallery.people.identities():
            if wanted in (one.id, one.name):
                return one
        shown = f"#{wanted}" if isinstance(wanted, int) else wanted or "written"
        raise GalleryError(f"there is no person {shown} in the gallery; choose one, or write #12")

    def cameras(self) -> list[str]:
        """Names of the cameras, sorted."""
        return sorted(self.gallery.cameras())

    def film(self) -> list[Path]:
        """Two videos of the drawn walkers, filmed when they are first asked for."""
        from reid_hash.data.walkers import write_video

        with self._filming:
            if self._films is None:
                self._films = tempfile.TemporaryDirectory(prefix="reid-hash-")
            folder = Path(self._films.name)
            if not (folder / "camera2.mp4").exists():
                write_video(folder, seconds=_FILM, identities=8)
            return [folder / "camera1.mp4", folder / "camera2.mp4"]

    @contextlib.contextmanager
    def writing(self) -> Iterator[Gallery]:
        """The gallery, open to write for the length of the block; shared by those who write.

        Raises:
            GalleryError: another program writes to it, or the page may not.
        """
        with self._turn:
            if self._writer is None:
                self._writer = Gallery.open(self.folder)
            self._writers += 1
            writer = self._writer
        try:
            yield writer
        finally:
            with self._turn:
                self._writers -= 1
                if not self._writers:
                    self._writer = None
                    writer.close()

    def close(self) -> None:
        """Close the gallery."""
        self.gallery.close()
        if self._films is not None:
            self._films.cleanup()
