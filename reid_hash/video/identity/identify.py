"""Detections of a frame → who is there: tracks, codes, identities."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.data.images import thumbnail
from reid_hash.distances import query_values
from reid_hash.gallery.sighting import Sighting
from reid_hash.video.crops import Crop, CropOptions, cut, network_input
from reid_hash.video.events import Events
from reid_hash.video.identity.recognition import People
from reid_hash.video.identity.track_code import Look, Vote
from reid_hash.video.identity.tracks import Key, Presence, Presences, Shot
from reid_hash.video.scene import Scene
from reid_hash.video.sources.address import Address
from reid_hash.video.timing import Stopwatch
from reid_hash.video.tracker import LOST, Tracker
from reid_hash.video.types import Detections, Encodes, Frame, box_tuple

DECIDE = 3
"""Crops after which a track's identity is decided. One that ends before may join an identity, but
starts none."""

_AGAIN = 4  # a further sighting is written each time a track has so many times the crops


@dataclass(frozen=True)
class IdentifyOptions:
    """How people are followed and told apart.

    Attributes:
        crops: which boxes become crops.
        tracker: see `tracker.TRACKERS`.
        lost: seconds for which somebody may be out of sight before the track ends.
        shapes: whether the detector finds shapes that several people may share.
    """

    crops: CropOptions = field(default_factory=CropOptions)
    tracker: str = "bytetrack"
    lost: float = LOST
    shapes: bool = False


@dataclass(frozen=True, eq=False)
class Watched:
    """Images of people who are looked for.

    Attributes:
        codes: n codes, of the gallery's length.
        names: [n] of the images.
    """

    codes: Codes
    names: Sequence[str]


class Identifier:
    """Follows the people before all cameras, and finds them in the gallery.

    Args:
        cameras: the sources, for their names.
        fps: frames a second of each.
        encoder: makes the gallery's codes.
        people: the gallery's identities.
        events: told what happens.
        options: how.
        watched: people who are looked for.

    Attributes:
        presences: all tracks so far.
        watch: time spent, by stage.
    """

    def __init__(
        self,
        cameras: Sequence[Address],
        fps: Sequence[float],
        encoder: Encodes,
        people: People,
        events: Events,
        options: IdentifyOptions,
        watched: Watched | None = None,
    ) -> None:
        self._cameras, self._encoder, self._people = cameras, encoder, people
        self._events, self._options, self._watched = events, options, watched
        self._trackers = [
            Tracker(rate, options.tracker, options.lost, options.shapes) for rate in fps
        ]
        self.presences = Presences()
        self.watch = Stopwatch()
        self._open: set[Key] = set()
        self._origin: float | None = None

    def update(self, frame: Frame, found: Detections) -> Scene:
        """Take up a frame; those of one camera come in order."""
        camera = frame.camera
        if self._origin is None:
            self._origin = frame.time
        moment = frame.time - self._origin  # a run must not depend on what time it is
        tall = found.boxes[:, 3] - found.boxes[:, 1] >= self._options.crops.least_height
        found = Detections(found.boxes[tall], found.scores[tall])
        with self.watch("track"):
            tracked = self._trackers[camera].update(found, frame.time)
            people = self.presences.see(camera, tracked.tracks.tolist(), frame.time)
        with self.watch("hash"):
            due = [i for i, one in enumerate(people) if one.code.wants(moment)]
            crops = cut(frame.picture, tracked.boxes, tracked.boxes, self._options.crops, due)
            looks = self._encode(crops)
        with self.watch("search"):
            for crop, look in zip(crops, looks, strict=True):
                row = crop.row
                vote = Vote(look.code, crop.quality, moment, look.values)
                if not people[row].code.add(vote):
                    people[row] = self._hand_over(people, row, int(tracked.tracks[row]))
                if vote not in people[row].code.doubts:
                    self._take(people[row], frame, crop, tracked.boxes[row])
            self._open |= {presence.key for presence in people}
            for number in tracked.ended:
                self._end(self.presences.of_track(camera, number))
        # copies: it is drawn by another thread, when more may be known
        return Scene(frame, tracked.boxes, [copy.copy(one) for one in people])

    def finish(self) -> None:
        """End all tracks: whoever was seen is in the gallery then."""
        with self.watch("search"):
            for key in sorted(self._open):
                self._end(self.presences.all[key])

    def _encode(self, crops: list[Crop]) -> list[Look]:
        if not crops:
            return []
        outputs, _ = self._encoder.outputs(network_input(crops, self._encoder.size))
        codes = self._people.fit(self._encoder.binarise(outputs))
        values = query_values(outputs[:, : codes.bits])
        return [Look(codes[[i]], row) for i, row in enumerate(values)]

    def _hand_over(self, people: list[Presence], row: int, track: int) -> Presence:
        """The tracker has handed a track over to somebody else; gives that person."""
        before = people[row]
        votes = list(before.code.doubts)
        assert self._origin is not None
        since, until = (self._origin + vote.time for vote in (votes[0], votes[-1]))
        before.last = since
        self._end(before)
        others = [one for i, one in enumerate(people) if i != row]
        after = self.presences.begin(before.key[0], track, since, others)
        for vote in votes:
            after.code.add(vote)
        after.last, after.frames = until, len(votes)
        return after

    def _take(self, presence: Presence, frame: Frame, crop: Crop, box: NDArray[np.float32]) -> None:
        """Keep the picture of a crop that was taken up, and decide if there are crops enough."""
        if presence.shot is None or crop.quality > presence.shot.quality:
            picture = crop.picture.copy()
            presence.shot = Shot(crop.quality, frame.number, frame.time, box_tuple(box), picture)
        if presence.code.offered >= max(DECIDE, _AGAIN * presence.written):
            self._decide(presence)

    def _decide(self, presence: Presence) -> None:
        """Say who it is, if that is not known yet, and write a sighting."""
        look = presence.code.look()
        code = look.code
        if presence.identity is None:
            found = self._people.find(look, self.presences.taken(presence))
            presence.take(found)
            presence.written = presence.code.offered
            if found.identity is not None:
                identity = found.identity
                self._people.join(code, self._sighting(presence), identity)
            elif presence.code.offered < DECIDE:
                # too little to say that it is nobody known: it can be found, but has no identity
                self._people.keep(code, self._sighting(presence))
                self._look_out(presence, look)
                return
            else:
                presence.started = True
                identity = self._people.start(code, self._sighting(presence))
            self.presences.assign(presence, identity)
            kind = "new" if presence.started else "join"
            self._say(kind, presence, distance=found.distance, limit=found.limit)
            self._learn(presence, look)
        else:
            self._people.join(code, self._sighting(presence), presence.identity)
        presence.written = presence.code.offered
        self._look_out(presence, look)

    def _end(self, presence: Presence) -> None:
        self._open.discard(presence.key)
        grown = presence.code.offered > presence.written
        if not presence.code or (presence.identity is not None and not grown):
            pass  # no crop was good enough, or all is written
        else:
            self._decide(presence)
        if presence.started and presence.identity is not None:
            self._reconsider(presence)
        seconds = round(presence.last - presence.first, 3)
        self._say("leave", presence, seconds=seconds, frames=presence.frames)

    def _reconsider(self, presence: Presence) -> None:
        """Look again, now that the whole track is known, whether the new identity is an old one."""
        own = presence.identity
        assert own is not None
        tracks = self.presences.of(own)
        found = self._people.find(presence.code.look(), {own} | self.presences.taken(*tracks))
        if found.identity is None:
            return
        # people who were seen together are two, whichever of their tracks that was
        other = self.presences.of(found.identity)
        if own in self.presences.taken(*other):
            return
        presence.take(found)
        presence.started = False
        self._people.merge(found.identity, own)
        self.presences.merge(found.identity, own)
        self._say("merge", presence, other=own, distance=found.distance, limit=found.limit)

    def _learn(self, presence: Presence, look: Look) -> None:
        """Whoever was seen beside it is somebody else: a distance between strangers."""
        for key in presence.others:
            other = self.presences.all[key]
            if other.identity is not None:
                apart = self._people.distances(look, other.code.code())
                self._people.limit.stranger(float(apart[0]))

    def _look_out(self, presence: Presence, look: Look) -> None:
        if self._watched is None or presence.watched:
            return
        distances = self._people.distances(look, self._watched.codes)
        nearest = int(np.argmin(distances))
        limit = self._people.limit.distance(len(self._watched.names))
        if distances[nearest] <= limit:
            presence.watched = self._watched.names[nearest]
            self._say(
                "watch",
                presence,
                image=presence.watched,
                distance=float(distances[nearest]),
                limit=limit,
            )

    def _sighting(self, presence: Presence) -> Sighting:
        camera, track = presence.key
        shot = presence.shot
        assert shot is not None
        address = self._cameras[camera]
        return Sighting(
            camera=address.name,
            time=shot.time,
            source=address.shown,
            track=track,
            frame=shot.frame,
            box=shot.box,
            thumbnail=thumbnail(shot.picture[:, :, ::-1]),
        )

    def _say(self, kind: str, presence: Presence, **facts: object) -> None:
        camera, track = presence.key
        identity = presence.identity
        self._events.add(
            kind,
            presence.last,
            camera=self._cameras[camera].name,
            track=track,
            identity=identity,
            name=None if identity is None else self._people.label(identity),
            **facts,
        )
