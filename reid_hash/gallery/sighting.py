"""What a gallery keeps of each image of a person, and what it answers."""

import math
import operator
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict

from reid_hash.errors import GalleryError
from reid_hash.utils.files import is_elsewhere
from reid_hash.utils.timestamps import TIME_LIMIT

_NUMBER = re.compile(r"#(\d{1,19})")  # how people write the number of an identity

Box = tuple[float, float, float, float]
"""x, y of the upper left corner, width, height, in pixels of the frame."""

Fields = tuple[
    str, float, str, int | None, int | None, float | None, float | None, float | None, float | None
]
"""camera, time, source, track, frame, x, y, w, h as the database holds them."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One image of a person: where and when it was taken, and who it is where that is known.

    Attributes:
        camera: name of the camera; empty where it is unknown.
        time: when, in seconds since 1970, UTC. None stands for the time of adding, so that no
            sighting outlives the time that `Gallery.prune` is given.
        source: the image file, video or stream.
        track: number of the track within its source.
        frame: number of the frame within its source.
        box: where in the frame, or None.
        thumbnail: a small JPEG. When reading it is there only where it was asked for.
        identity: number of the identity, or None where it is unknown.
        name: the identity's name, or None. When adding: an identity of this name, which is made
            where there is none; leave `identity` out then.
        id: number of the sighting in its gallery; None before it is added.
    """

    camera: str = ""
    time: float | None = None
    source: str = ""
    track: int | None = None
    frame: int | None = None
    box: Box | None = None
    thumbnail: bytes | None = None
    identity: int | None = None
    name: str | None = None
    id: int | None = None


class Match(NamedTuple):
    """A sighting that a search found.

    Attributes:
        sighting: without its thumbnail.
        distance: to the query, of the kind that was searched by.
    """

    sighting: Sighting
    distance: float


@dataclass(frozen=True)
class Answer:
    """The answer to one query.

    Attributes:
        matches: the nearest sightings, by (distance, id).
        exact: whether it is certain that no sighting is nearer than the matches.
        query: what the query is called.
        searched: number of sightings searched; 0 where they were not counted.
        threshold: matches up to this distance count; None where no false accept rate was given.
        resolved: whether the calibration saw strangers enough for that rate.
    """

    matches: list[Match]
    exact: bool = True
    query: str = ""
    searched: int = 0
    threshold: float | None = None
    resolved: bool = True

    def within(self, match: Match) -> bool:
        """Whether a match is near enough to count."""
        return self.threshold is None or match.distance <= self.threshold

    @property
    def stranger(self) -> bool | None:
        """Whether nobody near enough was found; None where that was not asked."""
        if self.threshold is None:
            return None
        return not any(self.within(match) for match in self.matches)


class Identity(NamedTuple):
    """A person, as far as a gallery knows.

    Attributes:
        id: number of the identity in its gallery.
        name: or None.
        sightings: how many.
        first: time of the earliest, in seconds since 1970, UTC.
        last: time of the latest.
    """

    id: int
    name: str | None
    sightings: int
    first: float
    last: float


class Filter(TypedDict, total=False):
    """Which sightings; what is left out does not restrict.

    Keys:
        ids, cameras, sources, tracks: one of these; a source that is a file, by any path of it.
        identities: one of these: numbers, or names.
        since: at this time or later, seconds since 1970, UTC.
        until: before this time.
        exclude_ids, exclude_cameras, exclude_sources, exclude_identities: none of these.
    """

    ids: Sequence[int]
    cameras: Sequence[str]
    sources: Sequence[str]
    tracks: Sequence[int]
    identities: Sequence[int | str]
    since: float | None
    until: float | None
    exclude_ids: Sequence[int]
    exclude_cameras: Sequence[str]
    exclude_sources: Sequence[str]
    exclude_identities: Sequence[int | str]


def source_of_file(path: str | os.PathLike[str]) -> str:
    """The source of what a file shows: its real path, the same by whatever path it is named.

    A name that is no UTF-8 becomes a file: address, so that two of them stay apart in text.
    """
    real = os.path.realpath(path)
    return real if is_text(real) else Path(real).as_uri()


def any_names(sources: Iterable[str]) -> list[str]:
    """Sources as they are given, and each as the real path of a file.

    Galleries hold the real path; those that are older, and those of other programs, what was typed.
    """
    names: dict[str, None] = {}
    for source in sources:
        if is_text(source):
            names[source] = None
        if source and "\0" not in source and "://" not in source and not is_elsewhere(source):
            names[source_of_file(source)] = None
    return list(names)


def fields_of(sighting: Sighting, now: float) -> Fields:
    """The columns of a sighting in the types of the database.

    Args:
        sighting: what is to be stored.
        now: time of those that have none.

    Raises:
        GalleryError: a value cannot be stored so that it comes back the same.
    """
    time = now if sighting.time is None else float(sighting.time)
    if not -TIME_LIMIT < time < TIME_LIMIT:  # also not for NaN
        raise GalleryError(f"{sighting.time} s is no time between the years 1697 and 2242")
    camera, source = sighting.camera, sighting.source
    for text in (camera, source):
        if not (isinstance(text, str) and is_text(text)):
            raise GalleryError(f"a camera or source is text in Unicode, not {text!r}")
    track, frame = sighting.track, sighting.frame
    if track is not None:
        track = _whole(track, "track")
    if frame is not None:
        frame = _whole(frame, "frame")
    if sighting.box is None:
        return camera, time + 0.0, source, track, frame, None, None, None, None
    try:
        x, y, w, h = map(float, sighting.box)
    except (TypeError, ValueError):
        x = y = w = h = math.nan
    if not math.isfinite(x + y + w + h):
        raise GalleryError(f"a box is x, y, width, height, four finite numbers: {sighting.box}")
    # + 0.0: SQLite knows no −0.0, and the checksum is over what it gives back
    return camera, time + 0.0, source, track, frame, x + 0.0, y + 0.0, w + 0.0, h + 0.0


def _whole(value: int, what: str) -> int:
    number = operator.index(value)
    if not -(2**63) <= number < 2**63:
        raise GalleryError(f"a {what} is a number of 64 bits, not {number}")
    return number


def check_name(name: str) -> str:
    """The name of an identity, or GalleryError where it is empty or no text."""
    if not isinstance(name, str) or not name.strip() or not is_text(name):
        raise GalleryError(f"the name of an identity is text, and not empty: {name!r}")
    if _NUMBER.fullmatch(name):
        raise GalleryError(f"{name} is how identity number {name[1:]} is written, and no name")
    return name


def parse_identity(text: str) -> int | str:
    """An identity's number, written #12, or its name.

    Example:
        >>> parse_identity("#12"), parse_identity("Ann")
        (12, 'Ann')
    """
    match = _NUMBER.fullmatch(text)
    return int(match[1]) if match and int(match[1]) < 2**63 else text


def is_text(text: str) -> bool:
    """Whether text can be stored and filtered by: file names that are no UTF-8 cannot."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
