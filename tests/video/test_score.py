"""What the demo's score counts, beside the same written as plain loops."""

from itertools import permutations

import numpy as np
import pytest

from reid_hash.video.identity.tracks import Track, Tracks
from reid_hash.video.score import Record, Truth
from reid_hash.video.types import Frame, Scene

ADA, BOB, FAR = [0, 0, 10, 30], [40, 0, 50, 30], [200, 0, 210, 30]


def score(frames, identities):
    """Score one camera: for each frame [(box, track)], and the identity of each track."""
    tracks = Tracks()
    for number, identity in identities.items():
        tracks.all[0, number] = Track((0, number), 0.0, 0.0, identity=identity)
    record = Record()
    for number, shown in enumerate(frames):
        boxes = np.array([box for box, _ in shown], np.float32).reshape(-1, 4)
        frame = Frame(0, number, float(number), np.zeros((1, 1, 3), np.uint8))
        record.add(Scene(frame, boxes, [tracks.all[0, track] for _, track in shown]))
    there = {number: np.array([ADA, BOB], np.float32) for number in range(len(frames))}
    truth = Truth(there, {number: np.array([1, 2]) for number in there})
    return record.score(tracks, [truth])


def idf1(right, ours, true):
    return pytest.approx(2 * right / (ours + true))


def test_boxes_without_an_identity_count_as_boxes():
    frames = [[(ADA, 1), (BOB, 2), (FAR, 3)]] * 4
    assert score(frames, {1: 7, 2: 8, 3: None}).idf1 == idf1(8, 12, 8)
    assert score([shown[:2] for shown in frames], {1: 7, 2: 8}).idf1 == 1


def test_an_identity_seen_twice_in_a_frame_counts_twice():
    for order in permutations([(ADA, 1), (FAR, 2), (BOB, 3)]):
        found = score([list(order)] * 5, {1: 7, 2: 7, 3: 8})
        assert found.idf1 == idf1(10, 15, 10)


def test_nobody_at_all():
    assert score([[], []], {}).idf1 == 0
