"""People of a video who are looked at, not kept: the gallery stays as it is."""

from pathlib import Path

from reid_hash.codes import Codes
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.video.identity.limit import Limit
from reid_hash.video.identity.recognition import Found, People
from reid_hash.video.identity.track_code import TrackDescriptor


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

    def __init__(self, gallery: Gallery, folder: Path, bits: int, limit: Limit) -> None:
        super().__init__(gallery, bits, limit)
        made = Gallery.create(folder, gallery.bits, gallery.weights, gallery.model)
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
