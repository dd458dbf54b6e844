"""How many identities are right, against a ground truth in the format of the MOT challenges."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import DataError
from reid_hash.video.identity.tracks import Key, Tracks
from reid_hash.video.mot import Row
from reid_hash.video.tracking import OVERLAP, Frames, distinct, measure
from reid_hash.video.types import Boxes, Scene, iou

VISIBLE = 0.3
"""Share of a person that must be visible in a frame for it to count."""

_GAP = 12  # frames that somebody may be out of sight and be given boxes between


@dataclass(frozen=True)
class Score:
    """How many identities are right.

    Attributes:
        hota: of boxes and identities over all cameras together (Luiten et al. 2021), 0 … 1.
        mota: tracking accuracy (Bernardin and Stiefelhagen 2008), at most 1.
        idf1: of identities over all cameras together (Ristani et al. 2016), 0 … 1. Every box
            counts: that of a track without an identity, and each of several with one identity.
        idp: its precision.
        idr: its recall.
        matches: tracks whose identity has tracks of another camera too.
        matched: those of them that show the person whom most of these show.
        people: persons who were identified before two cameras or more.
        right: those of them whose frames before each of these have mostly one identity, the same
            before all, and nobody else's.
        identities: how many were told apart.
        true: how many there were.
    """

    hota: float
    mota: float
    idf1: float
    idp: float
    idr: float
    matches: int
    matched: int
    people: int
    right: int
    identities: int
    true: int


@dataclass(frozen=True, eq=False)
class Truth:
    """Who was where in the frames of one camera.

    Attributes:
        boxes: by frame from 0: [n, 4] left, top, right, bottom.
        people: by frame: [n] int64.
    """

    boxes: Mapping[int, Boxes] = field(repr=False)
    people: Mapping[int, NDArray[np.int64]] = field(repr=False)


def read_truth(file: Path, least_height: float, visible: float = VISIBLE) -> Truth:
    """Read rows frame, identity, left, top, width, height, counts, class, visibility.

    Args:
        file: frames count from 1.
        least_height: rows of less height are left out, in pixels.
        visible: rows of less visibility are left out.

    Raises:
        DataError: it cannot be read.
    """
    try:
        rows = np.loadtxt(file, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no ground truth of a MOT challenge: {error}") from error
    rows = rows[(rows[:, 5] >= least_height) & (rows[:, 6] == 1) & (rows[:, 8] >= visible)]
    frames = rows[:, 0].astype(np.int64) - 1
    boxes = rows[:, 2:6].astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    people = rows[:, 1].astype(np.int64)
    there = np.unique(frames).tolist()
    return Truth(
        {frame: boxes[frames == frame] for frame in there},
        {frame: people[frames == frame] for frame in there},
    )


@dataclass(eq=False)
class Record:
    """The boxes of all scenes, to be scored once it is known whose they are.

    Attributes:
        rows: (camera, frame, boxes, tracks).
    """

    rows: list[tuple[int, int, Boxes, list[Key]]] = field(default_factory=list, repr=False)

    def add(self, scene: Scene) -> None:
        """Keep what a scene shows."""
        keys = [track.key for track in scene.people]
        self.rows.append((scene.frame.camera, scene.frame.number, scene.boxes, keys))

    def filled(self, tracks: Tracks) -> list[tuple[int, int, Boxes, list[Key]]]:
        """The rows, and boxes on the straight line where an identity is out of sight for a moment.

        A gap of at most `_GAP` frames of one camera between two boxes of one identity is filled.
        """
        at: dict[tuple[int, int], int] = {}
        last: dict[tuple[int, int], tuple[int, NDArray[np.float32]]] = {}
        more: dict[int, list[tuple[NDArray[np.float32], Key]]] = defaultdict(list)
        for row, (camera, frame, boxes, keys) in enumerate(self.rows):
            at[camera, frame] = row
            for box, key in zip(boxes, keys, strict=True):
                who = tracks.all[key].identity
                if who is None:
                    continue
                before, old = last.get((camera, who), (frame, box))
                if 1 < frame - before <= _GAP:
                    for between in range(before + 1, frame):
                        share = np.float32((between - before) / (frame - before))
                        if (camera, between) in at:
                            line = (1 - share) * old + share * box
                            more[at[camera, between]].append((line, key))
                last[camera, who] = (frame, box)
        rows = []
        for row, (camera, frame, boxes, keys) in enumerate(self.rows):
            added = more.get(row, [])
            together = np.concatenate([boxes, *(box[None] for box, _ in added)])
            rows.append((camera, frame, together, keys + [key for _, key in added]))
        return rows

    def mot(self, tracks: Tracks, camera: int) -> list[Row]:
        """What one camera saw, as rows of a result of a MOT challenge.

        Tracks of nobody known have numbers above those of the identities.
        """
        free = max([0, *tracks.identities()]) + 1
        numbers: dict[Hashable, int] = {}
        found = []
        for where, frame, boxes, keys in self.filled(tracks):
            if where != camera:
                continue
            seen = set[int]()
            for box, key in zip(boxes, keys, strict=True):
                who = tracks.all[key].identity
                if who is None or who in seen:  # no identity twice in a frame
                    who = free + numbers.setdefault((who, key), len(numbers))
                seen.add(who)
                found.append(Row(frame, who, box.tolist()))
        return found

    def score(self, tracks: Tracks, truths: Sequence[Truth]) -> Score:
        """Compare with the truth, with the identities as they are at the end.

        Args:
            tracks: the tracks of the run.
            truths: one a camera.
        """
        true_ids, our_ids, similarities = [], [], []
        numbers: dict[Hashable, int] = {}
        # of each person before each camera: in how many frames it had which identity
        votes: dict[int, dict[int, Counter[int | None]]] = defaultdict(lambda: defaultdict(Counter))
        shown: dict[Key, Counter[int]] = defaultdict(Counter)  # in how many frames whom
        for camera, frame, boxes, keys in self.filled(tracks):
            who = [tracks.all[key].identity for key in keys]
            truth = truths[camera]
            true_boxes = truth.boxes.get(frame, np.zeros((0, 4), np.float32))
            people = truth.people.get(frame, np.zeros(0, np.int64))
            alike = iou(true_boxes, boxes)
            true_ids.append(people)
            counted = [  # every box: whose identity is unknown is somebody of the track's own
                ("unknown", key) if one is None else ("known", one)
                for key, one in zip(keys, who, strict=True)
            ]
            our_ids.append(distinct(counted, numbers))
            similarities.append(alike.astype(np.float64))
            named = [i for i, one in enumerate(who) if one is not None]
            alike = alike[:, named]
            mine = [keys[i] for i in named]
            ours = [who[i] for i in named]
            for i in range(len(people) if len(ours) else 0):
                nearest = int(alike[i].argmax())
                if alike[i, nearest] >= OVERLAP:
                    votes[int(people[i])][camera][ours[nearest]] += 1
                    shown[mine[nearest]][int(people[i])] += 1
        found = measure(Frames(true_ids, our_ids, similarities))
        right, several = _across(votes)
        matched, matches = _matches(tracks, shown)
        return Score(
            hota=found.hota,
            mota=found.mota,
            idf1=found.idf1,
            idp=found.idp,
            idr=found.idr,
            matches=matches,
            matched=matched,
            people=several,
            right=right,
            identities=len(tracks.identities()),
            true=len(set(np.concatenate([*true_ids, np.zeros(0, np.int64)]).tolist())),
        )


def _across(votes: Mapping[int, Mapping[int, Counter[int | None]]]) -> tuple[int, int]:
    """(people with one identity of their own before all cameras, people before several)."""
    main = {
        person: [counter.most_common(1)[0][0] for counter in cameras.values()]
        for person, cameras in votes.items()
    }
    owners = Counter(identity for identities in main.values() for identity in set(identities))
    several = {person: ids for person, ids in main.items() if len(ids) > 1}
    right = sum(len(set(ids)) == 1 and owners[ids[0]] == 1 for ids in several.values())
    return right, len(several)


def _matches(tracks: Tracks, shown: Mapping[Key, Counter[int]]) -> tuple[int, int]:
    """(tracks that are rightly matched with another camera, tracks that are matched)."""
    right = count = 0
    for identity in tracks.identities():
        keys = [one.key for one in tracks.of(identity)]
        for key in keys:
            others = sum((shown[k] for k in keys if k[0] != key[0] and k in shown), Counter[int]())
            if not any(k[0] != key[0] for k in keys):
                continue
            count += 1
            if key in shown and others:
                right += shown[key].most_common(1)[0][0] == others.most_common(1)[0][0]
    return right, count
