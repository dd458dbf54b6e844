"""Everybody who was seen, with where and when: one entry for each identity."""

from collections.abc import Sequence
from dataclasses import dataclass

from reid_hash.data.images import thumbnail
from reid_hash.video.identity.recognition import People
from reid_hash.video.identity.tracks import Presence, Presences


@dataclass(frozen=True)
class Visit:
    """Somebody before one camera, from coming to leaving.

    Attributes:
        camera: name of the camera.
        track: its number within the source.
        first: seconds since 1970, UTC.
        last: likewise.
        frames: in how many it was seen.
        distance: to the nearest sighting when it was decided who it is; None without any.
        watched: name of the watched image that it looks like; "" where there is none.
        thumbnail: a small JPEG of the best crop; empty where there is none.
    """

    camera: str
    track: int
    first: float
    last: float
    frames: int
    distance: float | None
    watched: str
    thumbnail: bytes


@dataclass(frozen=True)
class Person:
    """An identity that was seen.

    Attributes:
        identity: its number in the gallery.
        label: its name, or its number as #12.
        known: whether it was in the gallery before this run.
        visits: in order of time.
    """

    identity: int
    label: str
    known: bool
    visits: Sequence[Visit]

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras that saw the person, each once, in order."""
        return list(dict.fromkeys(visit.camera for visit in self.visits))


def people_of(
    presences: Presences, people: People, cameras: Sequence[str], before: set[int]
) -> list[Person]:
    """A row for each identity that was seen.

    Args:
        presences: the tracks of the run.
        people: the gallery's identities.
        cameras: names of the sources.
        before: identities that were in the gallery before.
    """
    found = []
    for identity in presences.identities():
        tracks = sorted(presences.of(identity), key=lambda one: (one.first, one.key))
        visits = [_visit(track, cameras) for track in tracks]
        found.append(Person(identity, people.label(identity), identity in before, visits))
    return found


def _visit(track: Presence, cameras: Sequence[str]) -> Visit:
    camera, number = track.key
    small = b"" if track.shot is None else thumbnail(track.shot.picture[:, :, ::-1])
    return Visit(
        camera=cameras[camera],
        track=number,
        first=track.first,
        last=track.last,
        frames=track.frames,
        distance=track.distance,
        watched=track.watched,
        thumbnail=small,
    )
