"""The open gallery behind page and service: searched by many, written to by one at a time."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reid_hash.codes import Codes
from reid_hash.data.dataset import RgbImage
from reid_hash.data.images import resize
from reid_hash.errors import GalleryError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.open import Place, open_gallery
from reid_hash.gallery.sqlite.files import DATABASE
from reid_hash.models.foreign.network import Network

if TYPE_CHECKING:  # torch takes seconds to import
    from reid_hash.models.encoder import Encoder


class ServedGallery:
    """A gallery that many read and, at times, some write to; may be used from several threads.

    The gallery is opened to write only while something is changed, so that other programs may add
    to it meanwhile.

    Args:
        place: of the gallery.
        model: the network that makes its codes; None for the one it was made with.
        dataset: whose newest run is used where that is not known.
        device: where the network computes.
        runs: folder of all runs; None where there are none.

    Attributes:
        bits: length of its codes.
        empty: no code, of its length, weights and model.

    Raises:
        GalleryError: there is no gallery, or it is damaged.
    """

    def __init__(
        self,
        place: Place,
        model: Path | Network | None = None,
        dataset: str = "",
        device: str = "auto",
        runs: Path | None = None,
    ) -> None:
        self.place = place
        self._stamp = self._file()
        self._network = (model, dataset, device, runs)
        self._gallery = open_gallery(place, read_only=True)
        self.bits = self._gallery.bits
        self.empty = Codes.empty(self.bits, self._gallery.weights, self._gallery.model)
        self._turn = threading.RLock()
        self._encoding = threading.Lock()
        self._writer: AnyGallery | None = None
        self._writers = 0
        self._until = 0.0
        self._closer: threading.Timer | None = None
        self._encoder: Encoder | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._gallery!r})"

    def _file(self) -> tuple[int, int] | None:
        """What tells a folder's database from another one that took its place."""
        if not isinstance(self.place, Path):
            return None
        with contextlib.suppress(OSError):
            facts = (self.place / DATABASE).stat()
            return facts.st_dev, facts.st_ino
        return None

    @property
    def gallery(self) -> AnyGallery:
        """The gallery, open read-only.

        Raises:
            GalleryError: it was deleted meanwhile, or another one is in its place: files that are
                open would go on answering.
        """
        if self._file() != self._stamp:
            raise GalleryError(
                f"gallery {self.place} is not the one that was opened: it was deleted or replaced; "
                "start the server again"
            )
        return self._gallery

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
                self._encoder = gallery_encoder(self.gallery, *self._network)
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

    @contextlib.contextmanager
    def encoding(self) -> Iterator[None]:
        """Have the network for oneself for the length of the block."""
        with self._encoding:
            yield

    @contextlib.contextmanager
    def writing(self, lingering: float = 0.0) -> Iterator[AnyGallery]:
        """The gallery, open to write for the length of the block; shared by those who write.

        Args:
            lingering: seconds for which it then stays open, for changes that follow: opening and
                closing a gallery of 100,000 sightings takes a quarter of a second.

        Raises:
            GalleryError: another program writes to it, or this one may not.
        """
        with self._turn:
            _ = self.gallery  # is it still there?
            if self._writer is None:
                self._writer = open_gallery(self.place)
            self._writers += 1
            writer = self._writer
        try:
            yield writer
        finally:
            with self._turn:
                self._writers -= 1
                self._until = max(self._until, time.monotonic() + lingering)
                if self._closer is None:
                    self._end_or_linger()

    def _end_or_linger(self) -> None:
        with self._turn:
            self._closer = None
            left = self._until - time.monotonic()
            if left > 0 and self._writer is not None:
                self._closer = threading.Timer(left, self._end_or_linger)
                self._closer.daemon = True
                self._closer.start()
            else:
                self._end_writing()

    def _end_writing(self) -> None:
        if self._writer is not None and not self._writers:
            writer, self._writer = self._writer, None
            writer.close()

    def close(self) -> None:
        """Close the gallery."""
        with self._turn:
            if self._closer is not None:
                self._closer.cancel()
            self._end_writing()
        self._gallery.close()
