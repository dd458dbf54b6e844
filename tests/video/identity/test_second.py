"""Second thoughts at the end of a run, on invented tracks."""

import numpy as np

from reid_hash.codes import Codes
from reid_hash.video.identity.second import think_again
from reid_hash.video.identity.tracks import TOGETHER, Tracks
from reid_hash.video.track_code import CropCode

BITS = 64
PEOPLE = np.random.default_rng(3).choice([-0.9, 0.9], (5, BITS)).astype(np.float32)


def track(tracks: Tracks, number: int, person: int, identity: int | None, crops: int = 4):
    """A track of somebody, whose crops differ a little."""
    rng = np.random.default_rng(number)
    one = tracks.begin(0, number, 0.0)
    one.frames = 10 * crops
    for i in range(crops):
        values = PEOPLE[person] * np.where(rng.random(BITS) < 0.05, -1, 1).astype(np.float32)
        one.code.add(CropCode(Codes.from_outputs(values[None]), 1.0, float(i), values))
    if identity is not None:
        tracks.assign(one, identity)
    return one


def moved(tracks: Tracks, before: set[int] = frozenset()):
    return [
        (sorted(one.key[1] for one in move.tracks), move.identity)
        for move in think_again(tracks, set(before))
    ]


def test_tracks_that_were_torn_apart_are_joined():
    tracks = Tracks()
    for number, (person, identity) in enumerate([(0, 7), (0, 7), (0, 8), (1, 9)], 1):
        track(tracks, number, person, identity)
    assert moved(tracks) == [([3], 7)]


def test_a_track_that_was_given_to_the_wrong_person_is_somebody_new():
    tracks = Tracks()
    for number, (person, identity) in enumerate([(0, 7), (0, 7), (1, 7)], 1):
        track(tracks, number, person, identity)
    assert moved(tracks) == [([3], None)]


def test_people_who_were_seen_together_stay_two():
    tracks = Tracks()
    one, other = track(tracks, 1, 0, 7), track(tracks, 2, 0, 8)
    one.beside[other.key] = other.beside[one.key] = TOGETHER
    assert moved(tracks) == []


def test_a_short_track_without_identity_is_given_to_whom_it_is_like():
    tracks = Tracks()
    track(tracks, 1, 0, 7)
    track(tracks, 2, 0, None, crops=1)
    track(tracks, 3, 1, None, crops=1)  # like nobody: stays nobody's
    assert moved(tracks) == [([2], 7)]


def test_who_was_known_before_keeps_what_they_were_given():
    tracks = Tracks()
    for number, (person, identity) in enumerate([(0, 7), (1, 7), (0, 8), (1, 9), (1, 9)], 1):
        track(tracks, number, person, identity)
    # 7 and 8 were known before, and are two for whoever filled the gallery
    assert moved(tracks, {7, 8}) == []


def test_somebody_new_is_joined_to_whom_they_look_like():
    tracks = Tracks()
    for number, (person, identity) in enumerate([(0, 7), (0, 8), (1, 9)], 1):
        track(tracks, number, person, identity)
    assert moved(tracks, {7}) == [([2], 7)]
    assert moved(tracks, {7, 8}) == []


def test_nobody_and_one_alone():
    tracks = Tracks()
    assert moved(tracks) == []
    track(tracks, 1, 0, 7)
    assert moved(tracks) == []
