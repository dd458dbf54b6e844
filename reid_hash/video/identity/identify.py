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
from reid_hash.video.draw.blur import Blur, blurred_crop
from reid_hash.video.events import Events
from reid_hash.video.identity.recognition import Found, People
from reid_hash.video.identity.second import think_again
from reid_hash.video.identity.tracks import Key, Shot, Track, Tracks
from reid_hash.video.source import Address
from reid_hash.video.stages import Stopwatch
from reid_hash.video.track_code import CropCode, TrackDescriptor
from reid_hash.video.tracker import LOST, Tracker
from reid_hash.video.types import Detections, Encodes, Frame, Scene, box_tuple

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
        again: at the end, look at all tracks together once more; see `think_again`.
        blur: what of the people is made unrecognisable in pictures that are kept; None for nothing.
    """

    crops: CropOptions = field(default_factory=CropOptions)
    tracker: str = "bytetrack"
    lost: float = LOST
    shapes: bool = False
    again: bool = True
    blur: Blur | None = None


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
        tracks: all tracks so far.
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
        self._before = people.numbers()
        self.tracks = Tracks()
        self.watch = Stopwatch()
        self._open: set[Key] = set()
        self._origin: float | None = None

    def __repr__(self) -> str:
        return f"Identifier({len(self._trackers)} cameras, {self.tracks!r})"

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
            people = self.tracks.see(camera, tracked.tracks.tolist(), frame.time)
        with self.watch("hash"):
            due = [i for i, one in enumerate(people) if one.code.wants(moment)]
            crops = cut(frame.picture, tracked.boxes, tracked.boxes, self._options.crops, due)
            encoded = self._encode(crops)
        with self.watch("search"):
            for crop, (code, values) in zip(crops, encoded, strict=True):
                row = crop.row
                crop_code = CropCode(code, crop.quality, moment, values)
                if not people[row].code.add(crop_code):
                    people[row] = self._hand_over(people, row, int(tracked.tracks[row]))
                if not any(crop_code is doubt for doubt in people[row].code.doubts):
                    self._take(people[row], frame, crop, tracked.boxes[row])
            self._open |= {track.key for track in people}
            for track in people:
                if track.identity is not None:
                    self._people.saw(track.identity, self._cameras[camera].name, frame.time)
            for tracker_id in tracked.ended:
                self._end(self.tracks.of_tracker(camera, tracker_id))
        # copies: it is drawn by another thread, when more may be known
        return Scene(frame, tracked.boxes, [copy.copy(one) for one in people])

    def finish(self) -> None:
        """End all tracks: whoever was seen is in the gallery then."""
        with self.watch("search"):
            for key in sorted(self._open):
                self._end(self.tracks.all[key])
            if self._options.again:
                self._think_again()

    def _encode(self, crops: list[Crop]) -> list[tuple[Codes, NDArray[np.float32]]]:
        if not crops:
            return []
        outputs, _ = self._encoder.outputs(
            network_input(crops, self._encoder.size, self._encoder.growing)
        )
        codes = self._people.fit(self._encoder.binarise(outputs))
        values = query_values(outputs[:, : codes.bits])
        return [(codes[[i]], row) for i, row in enumerate(values)]

    def _hand_over(self, people: list[Track], row: int, tracker_id: int) -> Track:
        """The tracker has handed a track over to somebody else; gives that person."""
        before = people[row]
        doubts = list(before.code.doubts)
        assert self._origin is not None
        since, until = (self._origin + one.time for one in (doubts[0], doubts[-1]))
        before.last = since
        self._end(before)
        others = [one for i, one in enumerate(people) if i != row]
        after = self.tracks.begin(before.key[0], tracker_id, since, others)
        for crop_code in doubts:
            after.code.add(crop_code)
        after.last, after.frames = until, len(doubts)
        return after

    def _take(self, track: Track, frame: Frame, crop: Crop, box: NDArray[np.float32]) -> None:
        """Keep the picture of a crop that was taken up, and decide if there are crops enough."""
        if track.shot is None or crop.quality > track.shot.quality:
            blur = self._options.blur  # codes are of the plain crop; this one is kept and shown
            picture = crop.picture.copy() if blur is None else blurred_crop(crop.picture, blur)
            track.shot = Shot(crop.quality, frame.number, frame.time, box_tuple(box), picture)
        if track.code.offered >= max(DECIDE, _AGAIN * track.written):
            self._decide(track)

    def _decide(self, track: Track) -> None:
        """Say who it is, if that is not known yet, and write a sighting."""
        descriptor = track.code.descriptor()
        code = descriptor.code
        if track.identity is None:
            camera = self._cameras[track.key[0]].name
            taken = self.tracks.taken(track)
            found = self._people.find(descriptor, taken, camera, track.first)
            track.remember(found)
            track.written = track.code.offered
            sighting = self._sighting(track)
            if found.identity is not None:
                identity = found.identity
                self._people.join(code, sighting, identity)
            elif track.code.offered < DECIDE:
                # too little to say that it is nobody known: it can be found, but has no identity
                self._people.keep(code, sighting)
                self._note_added(track)
                self._watch_for(track, descriptor)
                return
            else:
                track.started = True
                identity = self._people.start(code, sighting)
            self._note_added(track)
            self.tracks.assign(track, identity)
            kind = "new" if track.started else "join"
            self._say(kind, track, **_facts(found))
            self._learn(track, descriptor)
        else:
            self._people.join(code, self._sighting(track), track.identity)
            self._note_added(track)
        track.written = track.code.offered
        self._watch_for(track, descriptor)

    def _note_added(self, track: Track) -> None:
        if self._people.added is not None:
            track.sightings.append(self._people.added)

    def _end(self, track: Track) -> None:
        self._open.discard(track.key)
        grown = track.code.offered > track.written
        if not track.code or (track.identity is not None and not grown):
            pass  # no crop was good enough, or all is written
        else:
            self._decide(track)
        if track.started and track.identity is not None:
            self._reconsider(track)
        seconds = round(track.last - track.first, 3)
        self._say("leave", track, seconds=seconds, frames=track.frames)

    def _reconsider(self, track: Track) -> None:
        """Look again, now that the whole track is known, whether the new identity is an old one."""
        own = track.identity
        assert own is not None
        tracks = self.tracks.of(own)
        taken = {own} | self.tracks.taken(*tracks)
        first = min(tracks, key=lambda one: one.first)
        camera = self._cameras[first.key[0]].name
        found = self._people.find(track.code.descriptor(), taken, camera, first.first)
        if found.identity is None:
            return
        # people who were seen together are two, whichever of their tracks that was
        other = self.tracks.of(found.identity)
        if own in self.tracks.taken(*other):
            return
        track.remember(found)
        track.started = False
        self._people.merge(found.identity, own)
        self.tracks.merge(found.identity, own)
        self._say("merge", track, other=own, **_facts(found))

    def _think_again(self) -> None:
        """Look at all tracks together, and give those to others that are theirs after all."""
        for move in think_again(self.tracks, self._before):
            before = [track.identity for track in move.tracks]
            ids = [one for track in move.tracks for one in track.sightings]
            owner = self._people.give(ids, move.identity)
            for track, other in zip(move.tracks, before, strict=True):
                self.tracks.move(track, owner)
                self._say("moved", track, other=other)

    def _learn(self, track: Track, descriptor: TrackDescriptor) -> None:
        """Whoever was seen beside it is somebody else: a distance between strangers."""
        for key in track.others:
            other = self.tracks.all[key]
            if other.identity is not None:
                apart = self._people.distances(descriptor, other.code.code())
                self._people.limit.stranger(float(apart[0]))

    def _watch_for(self, track: Track, descriptor: TrackDescriptor) -> None:
        if self._watched is None or track.watched:
            return
        distances = self._people.distances(descriptor, self._watched.codes)
        nearest = int(np.argmin(distances))
        limit = self._people.limit.distance(len(self._watched.names))
        if distances[nearest] <= limit:
            track.watched = self._watched.names[nearest]
            self._say(
                "watch",
                track,
                image=track.watched,
                distance=float(distances[nearest]),
                limit=limit,
            )

    def _sighting(self, track: Track) -> Sighting:
        camera, number = track.key
        shot = track.shot
        assert shot is not None
        address = self._cameras[camera]
        return Sighting(
            camera=address.name,
            time=shot.time,
            source=address.source,
            track=number,
            frame=shot.frame,
            box=shot.box,
            thumbnail=thumbnail(shot.picture[:, :, ::-1]),
        )

    def _say(self, kind: str, track: Track, **facts: object) -> None:
        camera, number = track.key
        identity = track.identity
        self._events.add(
            kind,
            track.last,
            camera=self._cameras[camera].name,
            track=number,
            identity=identity,
            name=None if identity is None else self._people.label(identity),
            **facts,
        )


def _facts(found: Found) -> dict[str, float | None]:
    """What an event says of a decision."""
    return {"distance": found.distance, "limit": found.limit, "place": found.place}
