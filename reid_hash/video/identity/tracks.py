"""Tracks with what is known of them, while they last and afterwards."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from reid_hash.gallery.sighting import Match
from reid_hash.video.identity.recognition import Found
from reid_hash.video.track_code import TrackCode
from reid_hash.video.types import BgrFrame

Key = tuple[int, int]
"""Index of the camera, number of the track within it, from 1."""


TOGETHER = 3
"""Frames in which two tracks must be seen together to be of two people: where a tracker begins a
new track for somebody, the old one may last for a frame or two."""


class Shot(NamedTuple):
    """The best crop of a track so far.

    Attributes:
        quality: see `crops.cut`.
        frame: number of the frame.
        time: of the frame.
        box: x, y, width, height.
        picture: [height, width, 3] uint8 BGR, a copy.
    """

    quality: float
    frame: int
    time: float
    box: tuple[float, float, float, float]
    picture: BgrFrame

    def __repr__(self) -> str:
        return f"Shot(frame={self.frame}, quality={self.quality:.3f}, box={self.box})"


@dataclass(eq=False)
class Track:
    """One track: somebody before one camera, from coming to leaving.

    Attributes:
        key: camera and track.
        first: time of the first frame, seconds since 1970, UTC.
        last: time of the last frame so far.
        frames: in how many it was seen.
        code: what is known of how the person looks.
        shot: the best crop; None where none was good enough.
        identity: whom it was taken for; None until that is decided.
        started: whether the identity was made for this track.
        distance: to the nearest sighting that was there when it was decided; None without any.
        limit: up to which distance it would have counted.
        matches: what a search found last.
        beside: in how many frames each other track of the same camera was seen with this one.
        watched: name of the watched image whose person this looks like; "" where there is none.
        written: `code.offered` when a sighting was last written to the gallery; 0 before.
        sightings: ids of its sightings in the gallery.
        place: nats that place and time spoke for the identity when it was decided; None where
            nothing is known of the cameras.
    """

    key: Key
    first: float
    last: float
    frames: int = 0
    code: TrackCode = field(default_factory=TrackCode)
    shot: Shot | None = field(default=None, repr=False)
    identity: int | None = None
    started: bool = False
    distance: float | None = None
    limit: float = 0.0
    matches: list[Match] = field(default_factory=list, repr=False)
    beside: dict[Key, int] = field(default_factory=dict, repr=False)
    watched: str = ""
    written: int = 0
    sightings: list[int] = field(default_factory=list, repr=False)
    place: float | None = None

    @property
    def others(self) -> set[Key]:
        """Tracks of people who were seen with this one, and are therefore somebody else."""
        return {key for key, frames in self.beside.items() if frames >= TOGETHER}

    def remember(self, found: Found) -> None:
        """Keep what a search found."""
        self.matches, self.distance, self.limit = found.matches, found.distance, found.limit
        self.place = found.place


class Tracks:
    """All tracks of a run, and which identities cannot be one because they were seen together.

    They have numbers of their own: a track of the tracker may go over to somebody else.

    Attributes:
        all: by key.
    """

    def __init__(self) -> None:
        self.all: dict[Key, Track] = {}
        self._now: dict[tuple[int, int], Key] = {}
        self._numbers: dict[int, int] = {}
        self._of: dict[int, set[Key]] = {}

    def __repr__(self) -> str:
        return f"Tracks({len(self.all)} of {len(self._of)} identities)"

    def see(self, camera: int, tracker_ids: Iterable[int], time: float) -> list[Track]:
        """Note who is in a frame.

        Args:
            camera: index of the source.
            tracker_ids: the tracker's numbers of the tracks in it.
            time: of the frame.

        Returns:
            The tracks in order, new ones made.
        """
        seen = []
        for tracker_id in tracker_ids:
            if (camera, tracker_id) not in self._now:
                self.begin(camera, tracker_id, time)
            seen.append(self.of_tracker(camera, tracker_id))
        together = {track.key for track in seen}
        for track in seen:
            track.last = time
            track.frames += 1
            for key in together - {track.key}:
                track.beside[key] = track.beside.get(key, 0) + 1
        return seen

    def begin(
        self, camera: int, tracker_id: int, time: float, beside: Iterable[Track] = ()
    ) -> Track:
        """Begin a track; it has the tracker's number from now on, and others beside it."""
        number = self._numbers[camera] = self._numbers.get(camera, 0) + 1
        self._now[camera, tracker_id] = (camera, number)
        track = self.all[camera, number] = Track((camera, number), time, time)
        for other in beside:
            track.beside[other.key] = other.beside[track.key] = TOGETHER
        return track

    def of_tracker(self, camera: int, tracker_id: int) -> Track:
        """The track that has one of the tracker's numbers now."""
        return self.all[self._now[camera, tracker_id]]

    def of(self, identity: int) -> list[Track]:
        """The tracks of an identity."""
        return [self.all[key] for key in sorted(self._of.get(identity, ()))]

    def assign(self, track: Track, identity: int) -> None:
        """Say whose track it is."""
        track.identity = identity
        self._of.setdefault(identity, set()).add(track.key)

    def move(self, track: Track, identity: int) -> None:
        """Give a track to another identity."""
        if track.identity is not None:
            self._of.get(track.identity, set()).discard(track.key)
            if not self._of.get(track.identity):
                self._of.pop(track.identity, None)
        self.assign(track, identity)

    def merge(self, kept: int, other: int) -> None:
        """Give all tracks of `other` to `kept`."""
        for track in self.of(other):
            self.assign(track, kept)
        self._of.pop(other, None)

    def identities(self) -> list[int]:
        """The identities that were seen, by number."""
        return sorted(self._of)

    def taken(self, *tracks: Track) -> set[int]:
        """Identities of people who were seen in one frame with one of these tracks."""
        beside = set[Key]().union(*(track.others for track in tracks))
        found = {self.all[key].identity for key in beside}
        return {identity for identity in found if identity is not None}
