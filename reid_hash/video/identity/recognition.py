"""Tracks against the gallery: who is who."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, by_certainty, weighted
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Filter, Match, Sighting
from reid_hash.video.identity.limit import Limit
from reid_hash.video.identity.track_code import Look

_DEPTH = 48
"""Sightings that are looked through: those of people who cannot be meant must leave some over."""


class Found(NamedTuple):
    """What a search for a track says.

    Attributes:
        identity: whom the track is taken for; None where nobody is near enough.
        distance: to the nearest sighting of anybody it may be, see `People.distances`; None where
            there is none.
        limit: up to which distance it counts.
        matches: the nearest sightings of people it may be, by such distances.
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
        limit: up to which distance a sighting is of the person who is searched for.

    Attributes:
        none: no code, of the gallery's length.
    """

    def __init__(self, gallery: AnyGallery, bits: int, limit: Limit) -> None:
        self.gallery, self.bits, self.limit = gallery, bits, limit
        self._names = {one.id: one.name for one in gallery.people.identities()}
        self.none, _ = gallery.codes(ids=[])

    def fit(self, codes: Codes) -> Codes:
        """Codes at the gallery's length, where it keeps only their first bits."""
        return codes.prefix(self.gallery.bits) if codes.bits > self.gallery.bits else codes

    def label(self, identity: int) -> str:
        """What an identity is called: its name, or its number as #12."""
        return self._names.get(identity) or f"#{identity}"

    def distances(self, look: Look, codes: Codes) -> NDArray[np.float64]:
        """Distances of somebody to codes, of the kind that the limit is for.

        Args:
            look: of the gallery's length, as are the codes.
            codes: n of them.

        Returns:
            [n] float64, in 0 … sum of the compared bits' weights.
        """
        stored = codes.prefix(self.bits)
        if self.limit.of_codes:
            between: NDArray[np.float64] = weighted(look.code.prefix(self.bits), stored)[0]
            return between
        values = look.values[: self.bits]
        return by_certainty(asymmetric(values[None], stored)[0], values, stored)

    def find(self, look: Look, taken: set[int]) -> Found:
        """Search for somebody.

        Args:
            look: how the person looks, at the gallery's length.
            taken: identities that it cannot be, because they were seen beside it.
        """
        size = len(self.gallery)
        limit = self.limit.distance(size)
        near = self._search(look, set()) if size else []
        free = [match for match in near if match.sighting.identity not in taken]
        if len(near) == _DEPTH and not free:  # all of them of people beside it
            free = self._search(look, taken)
        named = [match for match in free if match.sighting.identity is not None]
        if not named:
            return Found(None, None, limit, free)
        nearest = named[0]
        within = nearest.distance <= limit
        return Found(nearest.sighting.identity if within else None, nearest.distance, limit, free)

    def _search(self, look: Look, taken: set[int]) -> list[Match]:
        """The nearest sightings but those of some identities."""
        where: Filter = {"exclude_identities": sorted(taken)} if taken else {}
        if self.limit.of_codes:
            code = look.code.prefix(self.bits)
            (near,) = self.gallery.search_many(code, _DEPTH, bits=self.bits, **where)
            return near
        values = look.values[: self.bits]
        (near,) = self.gallery.search_many(values[None], _DEPTH, bits=self.bits, **where)
        found = [match.distance for match in near]
        scaled = by_certainty(found, values, self.none.prefix(self.bits)).tolist()
        return [match._replace(distance=one) for match, one in zip(near, scaled, strict=True)]

    def start(self, code: Codes, sighting: Sighting) -> int:
        """Make a new identity of a sighting; gives its number."""
        number = self.gallery.new_identity()
        self.gallery.add(code, [replace(sighting, identity=number)])
        self._names[number] = None
        return number

    def keep(self, code: Codes, sighting: Sighting) -> None:
        """Add a sighting of nobody known."""
        self.gallery.add(code, [sighting])

    def join(self, code: Codes, sighting: Sighting, identity: int) -> None:
        """Add a sighting to an identity."""
        self.gallery.add(code, [replace(sighting, identity=identity)])

    def merge(self, kept: int, other: int) -> int:
        """Make two identities one; gives its number."""
        return self.gallery.people.merge(kept, other)
