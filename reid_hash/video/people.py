"""Tracks against the gallery: who is who."""

import uuid
from dataclasses import replace
from typing import NamedTuple

from reid_hash.codes import Codes
from reid_hash.search.gallery_types import AnyGallery
from reid_hash.search.sighting import Match, Sighting
from reid_hash.video.limit import Limit

_DEPTH = 48
"""Sightings that are looked through: those of people who cannot be meant must leave some over."""


class Found(NamedTuple):
    """What a search for a track says.

    Attributes:
        identity: whom the track is taken for; None where nobody is near enough.
        distance: to the nearest sighting of anybody it may be; None where there is none.
        limit: up to which distance it counts.
        matches: the nearest sightings of people it may be, by distance.
    """

    identity: int | None
    distance: float | None
    limit: float
    matches: list[Match]


class People:
    """The identities of a gallery, and their names.

    Args:
        gallery: open for writing; of the encoder's model.
        bits: how many of the bits are compared.
        limit: up to which distance codes are of one person.

    Attributes:
        none: no code, of the gallery's length.
    """

    def __init__(self, gallery: AnyGallery, bits: int, limit: Limit) -> None:
        self.gallery, self.bits, self.limit = gallery, bits, limit
        self._names = {one.id: one.name for one in gallery.identities()}
        self.none, _ = gallery.codes(ids=[])

    def fit(self, codes: Codes) -> Codes:
        """Codes at the gallery's length, where it keeps only their first bits."""
        return codes.prefix(self.gallery.bits) if codes.bits > self.gallery.bits else codes

    def label(self, identity: int) -> str:
        """What an identity is called: its name, or its number as #12."""
        return self._names.get(identity) or f"#{identity}"

    def find(self, code: Codes, taken: set[int]) -> Found:
        """Search for the person of one code.

        Args:
            code: one, of the gallery's length.
            taken: identities that it cannot be, because they were seen beside it.
        """
        size = len(self.gallery)
        limit = self.limit.distance(size)
        (near,) = self.gallery.search(code, _DEPTH, bits=self.bits) if size else ([],)
        free = [match for match in near if match.sighting.identity not in taken]
        if len(near) == _DEPTH and not free:  # all of them of people beside it
            (free,) = self.gallery.search(
                code, _DEPTH, bits=self.bits, exclude_identities=sorted(taken)
            )
        named = [match for match in free if match.sighting.identity is not None]
        if not named:
            return Found(None, None, limit, free)
        nearest = named[0]
        within = nearest.distance <= limit
        return Found(nearest.sighting.identity if within else None, nearest.distance, limit, free)

    def start(self, code: Codes, sighting: Sighting) -> int:
        """Make a new identity of a sighting; gives its number."""
        # the gallery makes identities by name: it is taken away again at once
        name = f"new {uuid.uuid4().hex}"
        (number,) = self.gallery.add(code, [replace(sighting, name=name)])
        (added,) = self.gallery.sightings(ids=[int(number)])
        assert added.identity is not None
        self._names[added.identity] = None
        return self.gallery.name(added.identity, None)

    def keep(self, code: Codes, sighting: Sighting) -> None:
        """Add a sighting of nobody known."""
        self.gallery.add(code, [sighting])

    def join(self, code: Codes, sighting: Sighting, identity: int) -> None:
        """Add a sighting to an identity."""
        self.gallery.add(code, [replace(sighting, identity=identity)])

    def merge(self, kept: int, other: int) -> int:
        """Make two identities one; gives its number."""
        return self.gallery.merge(kept, other)
