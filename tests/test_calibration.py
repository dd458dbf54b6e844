import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_hash.calibration import (
    KINDS,
    ByIdentity,
    ByTrack,
    Calibration,
    Seen,
    best_matches,
    calibrate,
    calibrate_codes,
    calibrate_queries,
    evidence,
)
from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, by_certainty, hamming, query_values, weighted
from reid_hash.errors import GalleryError
from reid_hash.gallery.answers import answers
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery

few_numbers = st.lists(st.integers(0, 6), min_size=1, max_size=40)


@given(few_numbers, st.sampled_from([0.0, 0.01, 0.1, 0.29, 0.5, 1.0]))
def test_the_threshold_is_the_largest_that_keeps_to_the_rate(impostor, far):
    table = calibrate([1.0], impostor, 100)
    limit = table.threshold(far)
    share = sum(d <= limit for d in impostor) / len(impostor)
    assert share <= far + 1e-12
    assert table.far(limit) == pytest.approx(share)
    if math.isfinite(limit):  # the next distance that was seen would be too much
        following = min(d for d in impostor if d > limit)
        assert sum(d <= following for d in impostor) / len(impostor) > far


def test_a_larger_gallery_has_a_smaller_threshold():
    table = calibrate([1.0], np.arange(1000), 100)
    limits = [table.threshold(0.1, size) for size in (50, 100, 200, 1000)]
    assert limits == sorted(limits, reverse=True)
    assert table.threshold(0.1, 100) == table.threshold(0.1)
    # 200 images are as two galleries of 100: 1 - 0.9 of the strangers in either
    assert table.far(99, 200) == pytest.approx(1 - 0.9**2)
    assert table.resolved(0.01)
    assert not table.resolved(0.0005)
    assert not table.resolved(0.01, 100_000)


def test_tpir_counts_the_genuine_within():
    table = calibrate([3.0, 1.0, 2.0, 2.0], [5.0], 10)
    assert [table.tpir(t) for t in (0.5, 2.0, 9.0)] == [0.0, 0.75, 1.0]
    assert math.isnan(calibrate([], [5.0], 10).tpir(1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [], 5), "strangers"),
        (([1.0], [2.0], 0), "strangers"),
        (([math.nan], [2.0], 5), "NaN"),
    ],
)
def test_what_cannot_be_calibrated(arguments, message):
    with pytest.raises(GalleryError, match=message):
        calibrate(*arguments)
    with pytest.raises(GalleryError, match="share between 0 and 1"):
        calibrate([1.0], [2.0], 5).threshold(1.5)


@pytest.mark.parametrize("by_weight", [True, False])
def test_best_matches_are_those_of_a_plain_loop(by_weight):
    random = np.random.default_rng(0)
    codes = Codes.from_outputs(random.normal(size=(30, 12)), random.random(12) + 0.1)
    labels, cameras = random.integers(0, 6, 30), random.integers(0, 3, 30)
    distances = (weighted if by_weight else hamming)(codes, codes)
    genuine, impostor = [], []
    for i in range(30):
        same = [
            distances[i, j]
            for j in range(30)
            if labels[j] == labels[i] and cameras[j] != cameras[i]
        ]
        genuine += [min(same)] if same else []
        impostor.append(min(distances[i, j] for j in range(30) if labels[j] != labels[i]))
    known = ByIdentity(Seen(labels, cameras))
    got = best_matches(codes, known, "weighted" if by_weight else "hamming")
    np.testing.assert_array_equal(np.sort(got[0]), np.sort(genuine))
    np.testing.assert_array_equal(np.sort(got[1]), np.sort(impostor))


@pytest.mark.parametrize("kind", ["asymmetric", "track"])
def test_real_values_and_means_of_tracks_are_those_of_a_plain_loop(kind):
    random = np.random.default_rng(1)
    values = np.tanh(random.normal(size=(40, 12)))
    codes = Codes.from_outputs(values, random.random(12) + 0.1)
    labels, cameras = random.integers(-1, 6, 40), random.integers(0, 3, 40)
    genuine, impostor = [], []
    queries = [[i] for i in range(40) if labels[i] >= 0]
    if kind == "track":  # without tracks, what one camera has of an identity is one
        there = sorted({(labels[i], cameras[i]) for [i] in queries})
        queries = [[i for [i] in queries if (labels[i], cameras[i]) == key] for key in there]
    for rows in queries:
        mean = values[rows].mean(0)
        apart = by_certainty(asymmetric(mean[None], codes)[0], mean, codes)
        who, where = labels[rows[0]], cameras[rows[0]]
        same = apart[(labels == who) & (cameras != where)]
        genuine += [same.min()] if len(same) else []
        impostor.append(apart[(labels != who) & (labels >= 0)].min())
    got = best_matches(codes, ByIdentity(Seen(labels, cameras)), kind, values)
    np.testing.assert_allclose(np.sort(got[0]), np.sort(genuine))
    np.testing.assert_allclose(np.sort(got[1]), np.sort(impostor))


def crowd(people, crops=4, seed=0, noise=0.3, bits=64):
    """Values of people who walk past one after the other, three at a time: with their tracks."""
    random = np.random.default_rng(seed)
    looks = np.repeat(random.normal(size=(people, bits)), crops, axis=0)
    values = query_values(4 * (looks + random.normal(0, noise, looks.shape)))
    tracks = np.repeat(np.arange(people), crops)
    times = tracks + 2.5 * np.tile(np.arange(crops), people) / (crops - 1)
    return values, Codes.from_outputs(values, model="net"), tracks, times


def test_tracks_without_labels_say_who_is_a_stranger():
    _, _, tracks, times = crowd(20)
    cameras = tracks % 2  # 0, 2, 4 … are before one camera: of each, two others are there
    known = ByTrack(Seen(cameras=cameras, tracks=tracks // 2, times=times))
    rows = np.array([one[0] for one in known.queries])
    same, strangers = known.pairs(rows)
    assert known.size == 2
    for i, row in enumerate(rows):
        assert (strangers[i].sum(), same[i].sum()) == (2, 1)
        (other,) = np.flatnonzero(same[i])
        assert tracks[other] == tracks[row]
        own = times[tracks == tracks[row]]
        assert abs(times[other] - times[row]) == np.abs(own - times[row]).max()
        for one in np.flatnonzero(strangers[i]):
            assert cameras[one] == cameras[row]
            assert tracks[one] != tracks[row]
            assert abs(tracks[one] - tracks[row]) <= 2.5  # their times overlap
        assert len(set(tracks[strangers[i]])) == 2  # one image of each
    assert all(len(set(tracks[group])) == 1 for group in known.groups)
    assert all(len(group) == 2 for group in known.groups)  # half of the track


def test_thresholds_from_tracks_keep_to_the_rate_among_all_strangers():
    values, codes, tracks, times = crowd(300, noise=0.5)
    seen = Seen(tracks=tracks, times=times)
    from_tracks = calibrate_queries(codes, seen, [64], values)
    assert from_tracks.kinds == list(KINDS)
    assert "without labels" in from_tracks.about
    others = tracks[:, None] != tracks
    apart = weighted(codes, codes)
    certain = np.stack(
        [by_certainty(asymmetric(one[None], codes)[0], one, codes) for one in values]
    )
    for kind, distances in (("weighted", apart), ("asymmetric", certain)):
        table = from_tracks.of(64, kind)
        limit = table.threshold(0.2, 10)
        near = np.mean(distances[others] <= limit)
        assert 0.12 < 1 - (1 - near) ** 10 < 0.28  # strangers who find one of ten images
        assert table.tpir(limit) > 0.9


def test_without_cameras_it_is_the_image_that_is_left_out():
    values, codes, people, _ = crowd(20)
    calibration = calibrate_queries(codes, Seen(identities=people), [64], values)
    assert calibration.kinds == ["hamming", "weighted", "asymmetric"]
    assert not math.isnan(calibration.of(64, "asymmetric").tpir(1.0))
    with pytest.raises(GalleryError, match="not for means of tracks, but for Hamming"):
        calibration.of(64, "track")


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        ({}, "at least two identities, or without labels tracks"),
        ({"identities": [3, 3, -1, -1]}, "at least two identities"),
        ({"tracks": [0, 1, 2, 3]}, "tracks with times"),
        ({"tracks": [0, 1, 2, 3], "times": [0.0, 1, 2, 3]}, "at the same time"),
        ({"tracks": [0, 0, -1, -1], "times": [0.0, 0, 0, 0]}, "at the same time"),
        ({"tracks": [0, 1, 0, 1], "times": [0.0] * 4, "cameras": [0, 1, 0, 1]}, "at the same time"),
        ({"tracks": [0, 1], "times": [0.0] * 4}, "columns of 2 and 4"),
    ],
)
def test_nothing_is_known_of_strangers(seen, message):
    with pytest.raises(GalleryError, match=message):
        evidence(Seen(**{what: np.array(column) for what, column in seen.items()}))


def people(n, seed=0, noise=0.3, bits=32):
    """Codes of n people, four images each by two cameras."""
    random = np.random.default_rng(seed)
    looks = np.repeat(random.normal(size=(n, bits)), 4, axis=0)
    outputs = looks + random.normal(0, noise, looks.shape)
    return Codes.from_outputs(outputs, model="net"), np.repeat(np.arange(n), 4)


def test_a_calibrated_gallery_tells_strangers(tmp_path):
    codes, labels = people(40)
    sightings = [Sighting(camera=f"c{i % 2}", name=f"P{label}") for i, label in enumerate(labels)]
    strangers, _ = people(30, seed=1)
    with Gallery.create(tmp_path / "g", codes.bits, codes.weights, "net") as gallery:
        gallery.add(codes, sightings)
        with pytest.raises(GalleryError, match="is not calibrated"):
            answers(gallery, codes[:1], ["q"], far=0.05)
        gallery.calibrate([16, 32])
    with Gallery.open(gallery.folder, read_only=True) as gallery:
        known = answers(gallery, codes, labels.astype(str), far=0.05)
        unknown = answers(gallery, strangers, [""] * 120, far=0.05)
        with pytest.raises(GalleryError, match="not for asymmetric queries"):
            answers(gallery, np.zeros((1, codes.bits)), ["q"], far=0.05)
        assert not any(answer.stranger for answer in known)
        assert np.mean([answer.stranger for answer in unknown]) > 0.85
        assert all(answer.stranger is None for answer in answers(gallery, codes[:2], ["a", "b"]))
        # nobody at all is strange where everyone may be taken for somebody
        assert not any(a.stranger for a in answers(gallery, strangers, [""] * 120, far=1.0))
        with pytest.raises(GalleryError, match="for 16, 32 bits, not for 24"):
            answers(gallery, codes[:1], ["q"], bits=24, far=0.05)
        one_camera = answers(gallery, codes[:1], ["q"], far=0.05, where={"cameras": ["c1"]})
        assert one_camera[0].searched == 80
        assert one_camera[0].threshold >= known[0].threshold


@pytest.mark.parametrize("track", [False, True])
def test_real_values_are_told_from_strangers(tmp_path, track):
    values, codes, people, _ = crowd(40)
    seen = Seen(people, np.tile([0, 0, 1, 1], 40))
    strangers = crowd(30, seed=1)[0]
    with Gallery.create(tmp_path / "g", codes.bits, codes.weights, "net") as gallery:
        gallery.add(codes, [Sighting(name=f"P{one}") for one in people])
        gallery.calibration = calibrate_queries(codes, seen, [32, 64], values)
        known = answers(gallery, values, people.astype(str), bits=32, far=0.05, track=track)
        unknown = answers(gallery, strangers, [""] * 120, bits=32, far=0.05, track=track)
    assert not any(answer.stranger for answer in known)
    assert np.mean([answer.stranger for answer in unknown]) > 0.8
    # the limit of each query is the same on the scale of Hamming distances
    scaled = [
        by_certainty([answer.threshold], row[:32], codes.prefix(32))[0]
        for answer, row in zip(known, values, strict=True)
    ]
    assert np.ptp(scaled) < 1e-9


def test_a_calibration_of_an_older_version_is_read():
    text = (
        '{"about": "x", "tables": [{"bits": 8, "weighted": true, "size": 4, "impostor": [3.0], '
        '"genuine": []}, {"bits": 8, "weighted": false, "size": 4, "impostor": [2.0], '
        '"genuine": [1.0]}]}'
    )
    calibration = Calibration.from_json(text)
    assert calibration.kinds == ["hamming", "weighted"]
    assert calibration.of(8, "weighted").impostor.tolist() == [3.0]
    damaged = text.replace('"weighted": true', '"kind": "sideways"')
    with pytest.raises(GalleryError, match="damaged"):
        Calibration.from_json(damaged)


def test_a_gallery_is_calibrated_on_its_tracks(tmp_path):
    _, codes, tracks, times = crowd(60)
    with Gallery.create(tmp_path / "g", codes.bits, codes.weights, "net") as gallery:
        gallery.add(
            codes,
            [
                # the same numbers again a day later are of other tracks
                Sighting("door", 1e9 + time + 86400.0 * (track >= 30), "film.mp4", int(track % 30))
                for track, time in zip(tracks, times, strict=True)
            ],
        )
        calibration = gallery.calibrate([64])
        assert calibration.kinds == ["hamming", "weighted"]
        assert calibration.about.startswith("240 images of 60 tracks without labels")
        assert calibration.of(64, "weighted").tpir(12.0) > 0.9
        assert gallery.calibration.about == calibration.about
        gallery.people.assign([1, 2], "Ada")
        gallery.people.assign([41, 42], "Bob")
        assert "2 identities" in gallery.calibrate([64]).about
        assert "60 tracks" in gallery.calibrate([64], by="tracks").about


def test_images_with_times_alone_are_no_strangers(tmp_path):
    codes, _ = people(10)
    with Gallery.create(tmp_path / "g", codes.bits, codes.weights, "net") as gallery:
        gallery.add(codes, time=1e9, source="album")  # one time for all: that of adding them
        with pytest.raises(GalleryError, match="at the same time"):
            gallery.calibrate([32])


def test_calibration_as_text_and_back():
    codes, labels = people(10)
    calibration = calibrate_codes(codes, labels, np.arange(40) % 2, [8, 32], 25, about="ä")
    again = Calibration.from_json(calibration.to_json())
    assert again.to_json() == calibration.to_json()
    assert (again.lengths, again.about) == ([8, 32], "ä")
    assert len(again.of(8, "weighted").impostor) == 25
    with pytest.raises(GalleryError, match="at least two identities"):
        calibrate_codes(codes, np.zeros(40), np.arange(40) % 2, [8])
