"""What the page asks of its gallery beside searching and writing."""

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Identity, Sighting
from reid_hash.web.served_gallery import ServedGallery
from reid_hash.web.settings import Settings

if TYPE_CHECKING:
    from reid_hash.video.detectors.detector import Detector

_FILM = 12.0  # seconds of the walkers' film


class PageGallery(ServedGallery):
    """A gallery for the page; may be used from several threads.

    Args:
        settings: of the page.

    Attributes:
        settings: likewise. For the others see `ServedGallery`.

    Raises:
        GalleryError: there is no gallery, or it is damaged.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            *(settings.gallery, settings.model, settings.dataset, settings.device, settings.runs)
        )
        self.settings = settings
        self._finding = threading.Lock()
        self._filming = threading.Lock()
        self._films: tempfile.TemporaryDirectory[str] | None = None
        self._detector: Detector | None = None

    def detector(self) -> "Detector":
        """A detector for a camera of its own; the network of one that has any is shared.

        Raises:
            ConfigError, DataError: there is none of the name in the settings.
        """
        from reid_hash.video.detectors.detector import open_detector

        with self._finding:
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

    def close(self) -> None:
        """Close the gallery."""
        super().close()
        if self._films is not None:
            self._films.cleanup()
