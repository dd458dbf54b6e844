"""Crops, the code of a track, the tracker, and the limit up to which two are one person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reid_hash.calibration import calibrate_codes
from reid_hash.codes import Codes
from reid_hash.data.images import thumbnail
from reid_hash.errors import ConfigError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.video.crops import CropOptions, covered_shares, cut, network_input
from reid_hash.video.identity.recognition import BOUNDS, ENOUGH, LearnedLimit, make_limit
from reid_hash.video.track_code import MOST, CropCode, TrackCode, majority
from reid_hash.video.tracker import TRACKERS, Splitter, Tracker
from reid_hash.video.types import Detections, iou


def crop_code(code, quality, time):
    return CropCode(code, quality, time, np.where(code.unpack()[0], 0.9, -0.9).astype(np.float32))


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def found(*rows, score=0.9):
    return Detections(boxes(*rows), np.full(len(rows), score, np.float32))


def bits(*rows, weights=None):
    return Codes.from_outputs(np.where(np.array(rows) > 0, 1.0, -1.0), weights, "m")


@given(
    arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 30))),
    st.lists(st.integers(0, 7), min_size=9, max_size=9),
)
def test_the_majority_is_that_of_a_plain_count(rows, votes):
    quality = np.array(votes[: len(rows)], float)
    codes = Codes.from_outputs(np.where(rows, 1.0, -1.0))
    won = majority(codes, quality).unpack()[0]
    for bit in range(rows.shape[1]):
        ones = sum(q for q, row in zip(quality, rows, strict=True) if row[bit])
        zeros = sum(q for q, row in zip(quality, rows, strict=True) if not row[bit])
        best = rows[int(np.argmax(quality)), bit]
        assert won[bit] == (best if ones == zeros else ones > zeros)


def test_a_majority_is_nearer_to_the_person_than_most_crops():
    random = np.random.default_rng(0)
    person = random.random(128) > 0.5
    crops = person ^ (random.random((9, 128)) < 0.2)
    apart = (crops != person).sum(axis=1)
    joined = (majority(bits(*crops), np.ones(9)).unpack()[0] != person).sum()
    assert joined < 0.3 * apart.min()


def test_a_track_keeps_its_best_crops():
    code = TrackCode()
    for i in range(MOST + 5):
        assert code.add(crop_code(bits([1, 1, 1, 1]), 0.1, i))
    assert len(code) == MOST
    for i in range(MOST):
        code.add(crop_code(bits([1, 1, 1, 0]), 0.9, 100 + i))
    assert code.code().unpack()[0].tolist() == [True, True, True, False]


def test_a_track_looks_as_its_good_crops_do():
    code = TrackCode()
    for i, (values, quality) in enumerate((([0.8, -0.2], 3.0), ([0.4, 0.6], 1.0))):
        row = np.array(values, np.float32)
        assert code.add(CropCode(Codes.from_outputs(row[None]), quality, i, row))
    seen = code.descriptor()
    np.testing.assert_allclose(seen.values, [0.7, 0.0], atol=1e-6)
    assert seen.values.dtype == np.float32
    assert seen.code.unpack().tolist() == [[True, False]]


def test_a_track_of_crops_that_are_worth_nothing_still_looks_like_somebody():
    code = TrackCode()
    for i, values in enumerate(([0.5, -0.5], [0.7, -0.1])):
        row = np.array(values, np.float32)
        code.add(CropCode(Codes.from_outputs(row[None]), 0.0, i, row))
    np.testing.assert_allclose(code.descriptor().values, [0.6, -0.3], atol=1e-6)


def test_crops_are_taken_at_times_that_all_tracks_share():
    first, second = TrackCode(), TrackCode()
    times = np.arange(0, 9, 0.04)
    taken = [[], []]
    for time in times:
        for code, own in ((first, 0), (second, 1)):
            if time >= 0.1 * own and code.wants(time):
                code.add(crop_code(bits([1]), 1.0, time))
                taken[own].append(round(float(time), 2))
    assert taken[0][1:] == taken[1][1:]
    gaps = np.diff(taken[0])
    assert gaps[1] == pytest.approx(0.3, abs=0.05)
    assert gaps[-1] == pytest.approx(0.6, abs=0.05)


def test_a_track_that_is_well_known_is_looked_at_less_often_but_for_doubts():
    code = TrackCode()
    one, other = [1] * 16, [0] * 8 + [1] * 8

    def next_after(time):
        return next(t for t in np.arange(time + 0.1, time + 9, 0.1) if code.wants(t)) - time

    for i in range(MOST):
        assert code.add(crop_code(bits(one), 1.0, 0.3 * i))
    last = 0.3 * (MOST - 1)  # 4.5: the next of the times that are 0.6 apart is 4.8
    assert next_after(last) == pytest.approx(0.3, abs=0.05)
    assert code.add(crop_code(bits(one), 1.0, 4.8))
    assert next_after(4.8) == pytest.approx(0.6, abs=0.05)
    assert code.add(crop_code(bits(other), 1.0, 5.4))
    assert next_after(5.4) == pytest.approx(0.3, abs=0.05)


def test_a_track_that_goes_over_to_somebody_else_is_noticed():
    one, other = [1] * 16, [0] * 8 + [1] * 8
    code = TrackCode()
    for i in range(5):
        assert code.add(crop_code(bits(one), 1.0, i))
    assert code.add(crop_code(bits(other), 1.0, 5))  # one crop may be hidden by a pole
    assert code.add(crop_code(bits(one), 1.0, 6))
    assert code.doubts == []
    assert code.add(crop_code(bits(other), 1.0, 7))
    assert not code.add(crop_code(bits(other), 1.0, 8))
    assert [one.time for one in code.doubts] == [7, 8]
    assert code.code().unpack()[0].all()


def test_crops_are_big_free_and_slim_enough():
    picture = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    people = boxes(
        [10, 10, 50, 110],  # as it should be
        [100, 10, 110, 40],  # too small
        [100, 100, 200, 190],  # too wide
        [200, 20, 240, 120],  # half behind the next
        [210, 25, 260, 130],
    )
    rows = [crop.row for crop in cut(picture, people, people, CropOptions())]
    assert rows == [0]
    every = CropOptions(least_height=1, most_covered=1, most_width=9)
    crops = cut(picture, people, people, every)
    assert [crop.row for crop in crops] == [0, 1, 2, 3, 4]
    assert crops[0].picture.shape == (110, 44, 3)  # with its margin
    assert all(0 <= crop.quality <= 1 for crop in crops)
    assert crops[0].quality > crops[3].quality
    assert network_input(crops, (32, 16)).shape == (5, 32, 16, 3)
    assert cut(picture, boxes(), boxes(), every) == []


def test_quality_falls_at_the_edge_and_where_it_is_blurred():
    picture = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    picture[:, 150:] = 128
    people = boxes([20, 20, 60, 120], [0, 20, 40, 120], [200, 20, 240, 120])
    whole, edge, flat = (cut(picture, people[[i]], people[[i]], CropOptions())[0] for i in range(3))
    assert whole.quality > edge.quality > 0
    assert whole.quality > flat.quality
    assert edge.picture.shape[1] == 42  # no margin beyond the frame


def test_covered_shares_do_not_count_the_box_itself():
    crowd = boxes([0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60])
    np.testing.assert_allclose(covered_shares(crowd, crowd), [0.5, 0.5, 0])
    assert covered_shares(boxes(), crowd).shape == (0,)


def test_thumbnails_are_small():
    for shape in ((400, 100, 3), (3, 50, 3), (1, 1, 3)):
        assert thumbnail(np.zeros(shape, np.uint8))[:2] == b"\xff\xd8"


@pytest.mark.parametrize("name", TRACKERS)
def test_two_people_who_walk_have_a_track_each(name):
    tracker = Tracker(10, name)
    seen = []
    for i in range(30):
        here = [[10 + 5 * i, 50, 40 + 5 * i, 130], [300 - 5 * i, 150, 330 - 5 * i, 230]]
        if 10 <= i < 13:
            here = here[1:]  # the first is behind a pole
        seen.append(tracker.update(found(*here), i / 10))
    assert [sorted(one.tracks.tolist()) for one in seen[5:10]] == [[1, 2]] * 5
    assert [sorted(one.tracks.tolist()) for one in seen[15:]] == [[1, 2]] * 15
    ended = [track for i in range(30, 60) for track in tracker.update(found(), i / 10).ended]
    assert sorted(ended) == [1, 2]
    assert len(tracker.update(Detections.none(), 7.0).tracks) == 0


@pytest.mark.parametrize("name", TRACKERS)
def test_a_track_ends_by_the_time_that_passed(name):
    """Not by how many frames did: a second between frames counts as ten tenths do."""
    for step, frames in ((0.1, 10), (1.0, 1), (0.05, 20)):  # the second that it is out of sight
        tracker = Tracker(10, name, lost=1.4)
        times = [i / 10 for i in range(10)]
        for now in times:
            tracker.update(found([100, 50, 130, 130]), now)
        for i in range(frames - 1):
            assert tracker.update(found(), 0.9 + step * (i + 1)).ended == []
        assert tracker.update(found([100, 50, 130, 130]), 1.9).tracks.tolist() == [1], step
    tracker = Tracker(10, name, lost=1.4)
    for now in times:
        tracker.update(found([100, 50, 130, 130]), now)
    assert tracker.update(found(), 3.9).ended == [1]  # a single frame, three seconds later


@pytest.mark.parametrize("name", TRACKERS)
def test_a_track_goes_on_as_fast_as_it_was_after_a_pause(name):
    """The library expects a person where the seconds have taken them, not the frames."""
    tracker = Tracker(10, name)

    def box(now):
        return [10 + 50 * now, 50, 40 + 50 * now, 130]

    for i in range(20):
        last = tracker.update(found(box(i / 10)), i / 10)
    assert last.tracks.tolist() == [1]
    assert tracker.update(found(box(2.9)), 2.9).tracks.tolist() == [1]  # 50 pixels, width 30


def test_a_clock_that_is_set_back_does_not_stop_the_tracker():
    tracker = Tracker(10)
    for i in range(6):
        tracker.update(found([10, 10, 40, 90]), 100 + i / 10)
    assert len(tracker.update(found([10, 10, 40, 90]), 3.0).tracks) == 1


def test_an_unknown_tracker_is_named():
    with pytest.raises(ConfigError, match="there is no tracker nosuch; choose bytetrack or sort"):
        Tracker(10, "nosuch")


def test_a_shape_of_two_people_is_cut_where_they_are_expected():
    tracker = Tracker(10, shapes=True)
    own = []
    for i in range(24):
        a, b = 10 + 6 * i, 170 - 6 * i
        if abs(a - b) < 30:
            shapes = found([min(a, b), 20, max(a, b) + 30, 110])
        else:
            shapes = found([a, 20, a + 30, 110], [b, 20, b + 30, 110])
        tracked = tracker.update(shapes, i / 10)
        own.append(dict(zip(tracked.tracks.tolist(), tracked.boxes, strict=True)))
    both = [set(one) == {1, 2} for one in own[6:]]
    assert both.count(False) <= 3  # where one hides the other there is nothing to cut
    left = 1 if own[6][1][0] < own[6][2][0] else 2
    assert own[-1][left][0] == 10 + 6 * 23  # each is still the one it was
    whole = found([0, 0, 100, 100])
    assert Splitter().split(whole, 0.0) is whole


def test_iou_of_boxes():
    a = boxes([0, 0, 2, 2], [0, 0, 1, 1])
    np.testing.assert_allclose(iou(a, a), [[1, 0.25], [0.25, 1]])
    assert iou(a, boxes()).shape == (2, 0)


def test_a_limit_is_learned_from_strangers():
    limit = LearnedLimit(100.0, far=0.05)
    assert limit.distance(10) == BOUNDS[0] * 100
    random = np.random.default_rng(0)
    for distance in random.normal(20.5, 1.5, ENOUGH):
        limit.stranger(float(distance))
    assert "learned from 25 pairs" in limit.about
    few, many = limit.distance(2), limit.distance(1000)
    assert BOUNDS[0] * 100 < many < few < BOUNDS[1] * 100


def test_a_calibrated_gallery_gives_its_own_limit(tmp_path):
    random = np.random.default_rng(0)
    outputs = np.repeat(random.normal(size=(30, 64)), 2, 0) + 0.3 * random.normal(size=(60, 64))
    codes = Codes.from_outputs(outputs, model="m")
    labels, cameras = np.repeat(np.arange(30), 2), np.tile([1, 2], 30)
    with Gallery.create(tmp_path / "g", 64, model="m") as gallery:
        assert "not calibrated" in make_limit(gallery, 64, 0.1).about
        assert not make_limit(gallery, 64, 0.1).of_codes
        gallery.calibration = calibrate_codes(codes, labels, cameras, [64], about="a test")
        limit = make_limit(gallery, 64, 0.1)
        assert limit.of_codes
        assert "calibration on a test" in limit.about
        assert limit.distance(60) == gallery.calibration.of(64, "weighted").threshold(0.1, 60)
        assert "not calibrated" in make_limit(gallery, 32, 0.1).about
