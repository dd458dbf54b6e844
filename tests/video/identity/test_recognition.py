"""Tracks against the gallery: who is who."""

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.gallery.network.cameras import CameraNetwork
from reid_hash.gallery.network.kept import Knowledge
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.video.events import Events
from reid_hash.video.identity.identify import Identifier, IdentifyOptions
from reid_hash.video.identity.recognition import LearnedLimit, People, Whereabouts
from reid_hash.video.source import Address
from reid_hash.video.track_code import TrackDescriptor
from reid_hash.video.types import Detections, Frame

BITS = 16


def descriptor(values):
    values = np.array(values, np.float32)
    return TrackDescriptor(Codes.from_outputs(values[None], model="m"), values)


@pytest.fixture(params=[True, False], ids=["codes", "real values"])
def people(tmp_path, request):
    """Two people: bits all 1, and the first half of them 0."""
    with Gallery.create(tmp_path / "g", BITS, model="m") as gallery:
        limit = LearnedLimit(float(BITS), 0.05, of_codes=request.param)
        people = People(gallery, BITS, limit)
        for signs in (np.ones(BITS), np.repeat([-1, 1], 8)):
            people.start(descriptor(signs).code, Sighting(camera="a"))
        yield people


def test_a_search_tells_the_distances_that_the_limit_is_for(people):
    query = descriptor(np.linspace(-0.4, 0.9, BITS))
    found = people.find(query, set())
    told = [match.distance for match in found.matches]
    stored = [people.gallery.codes(ids=[match.sighting.id])[0] for match in found.matches]
    true = [people.distances(query, code)[0] for code in stored]
    np.testing.assert_allclose(told, true, atol=1e-5)
    assert told == sorted(told)
    assert found.distance == told[0]


def test_somebody_may_be_found_or_not_or_be_taken(people):
    near = descriptor([0.9] * 15 + [-0.9])
    first = people.find(near, set()).identity
    assert first is not None
    assert people.find(near, {first}).identity is None
    assert people.find(near, {first}).distance > people.find(near, set()).distance
    assert people.find(descriptor([0.9] * 8 + [-0.9] * 8), set()).identity is None


def test_bits_of_which_the_values_are_not_sure_count_less_but_for_codes(people):
    """Four bits of 16 differ, beyond the limit; the values are hardly sure of them."""
    query = descriptor([-0.05] * 4 + [0.9] * 12)
    found = people.find(query, set())
    assert (found.identity is None) == people.limit.of_codes
    if not people.limit.of_codes:
        assert found.distance == pytest.approx(16 * 0.2 / (0.2 + 12 * 0.9), abs=1e-3)


@pytest.mark.parametrize("of_codes", [True, False])
def test_a_prefix_of_weighted_bits_is_compared(tmp_path, of_codes):
    random = np.random.default_rng(0)
    weights = random.random(BITS).astype(np.float32) + 0.1
    outputs = random.normal(size=(9, BITS))
    with Gallery.create(tmp_path / "g", BITS, weights, "m") as gallery:
        people = People(gallery, 12, LearnedLimit(float(weights[:12].sum()), 0.05, of_codes))
        query = descriptor(np.tanh(random.normal(size=BITS)))
        assert people.find(query, set()) == (None, None, people.limit.distance(0), [], None)
        stored = Codes.from_outputs(outputs, weights, "m")
        for i in range(len(stored)):
            people.start(stored[[i]], Sighting(camera="a"))
        told = [match.distance for match in people.find(query, set()).matches]
    sure = weights[:12] if of_codes else weights[:12] * np.abs(query.values[:12])
    differ = (outputs[:, :12] > 0) != (query.values[:12] > 0)
    true = differ @ sure / sure.sum() * weights[:12].sum()
    np.testing.assert_allclose(told, np.sort(true), atol=1e-4)


def test_whoever_hides_behind_many_sightings_of_a_taken_person_is_found(people):
    first = people.find(descriptor([0.9] * BITS), set()).identity
    for _ in range(60):
        people.join(descriptor([0.9] * BITS).code, Sighting(camera="a"), first)
    found = people.find(descriptor([0.9] * BITS), {first})
    assert found.distance == pytest.approx(8)
    assert {match.sighting.identity for match in found.matches} == {first + 1}


class Fake:
    """Gives the same outputs of any image, more than the gallery keeps."""

    size = (32, 16)
    growing = "cubic"
    row = np.linspace(-1.0, 3.0, BITS + 4, dtype=np.float32)

    def outputs(self, images):
        return np.repeat(self.row[None], len(images), 0), np.zeros((len(images), 1), np.float32)

    def binarise(self, outputs):
        return Codes.from_outputs(outputs, model="m")


def test_what_is_seen_of_somebody_is_kept_at_the_gallerys_length(people):
    camera, options = Address("file", "a", "a", "a"), IdentifyOptions(tracker="sort")
    events = Events(None, lambda event: None)
    identifier = Identifier([camera], [10.0], Fake(), people, events, options)
    picture = np.random.default_rng(0).integers(0, 256, (240, 160, 3), np.uint8)
    box = Detections(np.array([[40, 60, 90, 200]], np.float32), np.array([0.9], np.float32))
    for number in range(15):
        identifier.update(Frame(0, number, 1e9 + number / 10, picture), box)
    (track,) = identifier.tracks.all.values()
    seen = track.code.descriptor()
    assert len(track.code) >= 3
    assert (seen.code.bits, len(seen.values)) == (BITS, BITS)
    np.testing.assert_allclose(seen.values, np.tanh(Fake.row[:BITS] / 2), atol=1e-6)


def test_place_and_time_move_the_limit(tmp_path):
    network = CameraNetwork.from_dict(
        {
            "cameras": ["gate", "hall"],
            "ways": [{"from": "gate", "to": "hall", "share": 0.9, "seconds": 20}],
            "never": [["hall", "gate"]],
        }
    )
    random = np.random.default_rng(5)
    with Gallery.create(tmp_path / "g", 64, np.ones(64, np.float32), "m") as gallery:
        limit = LearnedLimit(64.0, 0.05)
        whereabouts = Whereabouts(Knowledge(network))
        people = People(gallery, 64, limit, whereabouts)
        looks = random.choice([-0.9, 0.9], (6, 64))
        for number, look in enumerate(looks):
            one = people.start(descriptor(look).code, Sighting(camera="gate"))
            people.saw(one, "gate", 1000.0 + 500 * number)
        turned = looks[2].copy()
        turned[:10] *= -1  # 0.156 of the weights: beyond the limit of 0.14
        query = descriptor(turned)
        assert people.find(query, set()).identity is None
        expected = people.find(query, set(), "hall", 2020.0)
        assert expected.identity == 3
        assert expected.place > 1
        assert expected.limit > limit.distance(6)
        # the later, the less is person 3 expected more than the others; at last the next one is
        places = [people.find(query, set(), "hall", time).place for time in (2100.0, 2300.0)]
        assert expected.place > places[0] > places[1] > 0
        late = people.find(query, set(), "hall", 2490.0)
        assert late.identity is None
        assert late.place < 0
        assert late.limit < limit.distance(6)
        same = descriptor(looks[2])
        assert people.find(same, set(), "hall", 2020.0).identity == 3
        # a camera that nobody knows: looks alone
        assert people.find(same, set(), "roof", 2020.0).place == 0
