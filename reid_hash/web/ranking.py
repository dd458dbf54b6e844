"""What is searched for on the page, and the ranking list that answers it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Filter, Sighting
from reid_hash.utils.timestamps import parse_since
from reid_hash.web.page_gallery import Desk


@dataclass(frozen=True, eq=False)
class Question:
    """What is searched for: the code is made once, every setting of the page asks it again.

    Attributes:
        code: one, of the gallery's length.
        name: what the query is called.
        thumbnail: of it, as JPEG; None where there is none.
        sighting: the sighting that it is, or None for a picture from outside.
    """

    code: Codes
    name: str
    thumbnail: bytes | None = None
    sighting: Sighting | None = None

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


class Hit(NamedTuple):
    """A sighting of the ranking list.

    Attributes:
        sighting: with its thumbnail, if it has one.
        thumbnail: as JPEG, or None.
        distance: to the query.
        right: whether it shows whom the query shows; None where that is not known of both.
    """

    sighting: Sighting
    thumbnail: bytes | None
    distance: float
    right: bool | None


class Ranking(NamedTuple):
    """The answer to a question.

    Attributes:
        hits: by (distance, id).
        searched: number of sightings searched.
        of_person: how many of these are of the person of the query; None where that is not known.
        farthest: the largest distance that codes of this length can have.
        seconds: what the search took on the server.
    """

    hits: list[Hit]
    searched: int
    of_person: int | None
    farthest: float
    seconds: float


def question_of(desk: Desk, number: int) -> Question:
    """The question for what looks like a sighting; GalleryError where that is gone."""
    sighting, code = desk.sighting(number), desk.code_of(number)
    if sighting is None or code is None:
        raise GalleryError(f"there is no sighting {number} in the gallery any more")
    return Question(code, f"sighting {number}", sighting.thumbnail, sighting)


def rank(desk: Desk, question: Question, view: View) -> Ranking:
    """Search the gallery.

    Raises:
        ConfigError: a time is none.
        CodeError: more bits than the gallery has.
        GalleryError: the gallery cannot be read.
    """
    began = time.perf_counter()
    where = view.where(time.time())
    own = question.sighting
    if own is not None and own.id is not None:
        where["exclude_ids"] = [own.id]
        if view.others:
            where["exclude_cameras"] = [own.camera]
    found = desk.gallery.search_many(
        question.code, view.top, bits=view.bits, weighted=view.weighted, **where
    )[0]
    thumbnails = desk.thumbnails([match.sighting.id or 0 for match in found])
    who = question.identity
    hits = [
        Hit(seen, thumbnails.get(seen.id or 0), distance, _right(who, seen))
        for seen, distance in found
    ]
    searched = desk.gallery.count(**where)
    of_person = None
    if who is not None:
        theirs: Filter = {**where, "identities": [who]}
        try:
            of_person = desk.gallery.count(**theirs)
        except GalleryError:  # whoever was searched for was forgotten meanwhile
            of_person = 0
    weights = desk.gallery.weights[: view.bits]
    farthest = float(weights.sum(dtype=float)) if view.weighted else float(view.bits)
    return Ranking(hits, searched, of_person, farthest, time.perf_counter() - began)


def _right(who: int | None, seen: Sighting) -> bool | None:
    return None if who is None or seen.identity is None else seen.identity == who
