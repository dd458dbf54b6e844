"""What is searched for on the page, and the ranking list that answers it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Filter, Match, Sighting
from reid_hash.utils.timestamps import parse_since
from reid_hash.web.page_gallery import PageGallery


@dataclass(frozen=True, eq=False)
class Query:
    """What is searched for: its code is made once, and searched with at every setting of the page.

    Attributes:
        code: one, of the gallery's length.
        name: what the query is called.
        thumbnail: of it, as JPEG; None where there is none.
        sighting: the sighting that it is, or None for a picture from outside.
    """

    code: Codes = field(repr=False)
    name: str
    thumbnail: bytes | None = field(default=None, repr=False)
    sighting: Sighting | None = field(default=None, repr=False)

    @property
    def identity(self) -> int | None:
        """Whom it shows, where that is known."""
        return None if self.sighting is None else self.sighting.identity


@dataclass(frozen=True)
class View:
    """How the gallery is searched.

    Attributes:
        bits: how many are compared.
        weighted: by weighted Hamming distance, else by the plain one.
        top: how many sightings are shown.
        cameras: only of these; all where there are none.
        since: not before a time in ISO 8601, or an age such as 12h; "" for any.
        until: before a time or an age; "" for any.
        others: leave out the camera of the sighting that is searched for.
    """

    bits: int
    weighted: bool = True
    top: int = 20
    cameras: Sequence[str] = ()
    since: str = ""
    until: str = ""
    others: bool = False

    def where(self, now: float) -> Filter:
        """As a filter of the gallery; ConfigError where a time is none."""
        chosen: Filter = {}
        if self.cameras:
            chosen["cameras"] = list(self.cameras)
        if self.since.strip():
            chosen["since"] = parse_since(self.since, now)
        if self.until.strip():
            chosen["until"] = parse_since(self.until, now)
        return chosen


class Ranking(NamedTuple):
    """The answer to a query.

    Attributes:
        matches: by (distance, id); their sightings have their thumbnails.
        identity: whom the query shows, where that is known.
        searched: number of sightings searched.
        of_person: how many of these are of the person of the query; None where that is not known.
        farthest: the largest distance that codes of this length can have.
        seconds: what the search took on the server.
    """

    matches: list[Match]
    identity: int | None
    searched: int
    of_person: int | None
    farthest: float
    seconds: float

    def __repr__(self) -> str:
        return f"Ranking({len(self.matches)} matches of {self.searched})"

    def right(self, match: Match) -> bool | None:
        """Whether a match shows whom the query shows; None where that is not known of both."""
        if self.identity is None or match.sighting.identity is None:
            return None
        return match.sighting.identity == self.identity


def query_of(page_gallery: PageGallery, number: int) -> Query:
    """The query for what looks like a sighting; GalleryError where that is gone."""
    sighting, code = page_gallery.sighting(number), page_gallery.code_of(number)
    if sighting is None or code is None:
        raise GalleryError(f"there is no sighting {number} in the gallery any more")
    return Query(code, f"sighting {number}", sighting.thumbnail, sighting)


def rank(page_gallery: PageGallery, query: Query, view: View) -> Ranking:
    """Search the gallery.

    Raises:
        ConfigError: a time is none.
        CodeError: more bits than the gallery has.
        GalleryError: the gallery cannot be read.
    """
    began = time.perf_counter()
    where = view.where(time.time())
    own = query.sighting
    if own is not None and own.id is not None:
        where["exclude_ids"] = [own.id]
        if view.others:
            where["exclude_cameras"] = [own.camera]
    found = page_gallery.gallery.search_many(
        query.code, view.top, bits=view.bits, weighted=view.weighted, **where
    )[0]
    thumbnails = page_gallery.thumbnails([match.sighting.id or 0 for match in found])
    who = query.identity
    matches = [
        Match(replace(seen, thumbnail=thumbnails.get(seen.id or 0)), distance)
        for seen, distance in found
    ]
    searched = page_gallery.gallery.count(**where)
    of_person = None
    if who is not None:
        theirs: Filter = {**where, "identities": [who]}
        try:
            of_person = page_gallery.gallery.count(**theirs)
        except GalleryError:  # whoever was searched for was forgotten meanwhile
            of_person = 0
    weights = page_gallery.gallery.weights[: view.bits]
    farthest = float(weights.sum(dtype=float)) if view.weighted else float(view.bits)
    return Ranking(matches, who, searched, of_person, farthest, time.perf_counter() - began)
