import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_hash.calibration import Calibration, best_matches, calibrate, calibrate_codes
from reid_hash.codes import Codes
from reid_hash.distances import hamming, weighted
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
    got = best_matches(codes, labels, cameras, by_weight)
    np.testing.assert_array_equal(got[0], genuine)
    np.testing.assert_array_equal(got[1], impostor)


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
        with pytest.raises(GalleryError, match="not for real values"):
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


def test_calibration_as_text_and_back():
    codes, labels = people(10)
    calibration = calibrate_codes(codes, labels, np.arange(40) % 2, [8, 32], 25, about="ä")
    again = Calibration.from_json(calibration.to_json())
    assert again.to_json() == calibration.to_json()
    assert (again.lengths, again.about) == ([8, 32], "ä")
    assert len(again.of(8, True).impostor) == 25
    with pytest.raises(GalleryError, match="at least two identities"):
        calibrate_codes(codes, np.zeros(40), np.arange(40) % 2, [8])
