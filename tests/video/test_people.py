"""Tracks against the gallery: who is who."""

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.search.gallery import Gallery
from reid_hash.search.sighting import Sighting
from reid_hash.video.limit import LearnedLimit
from reid_hash.video.people import People
from reid_hash.video.track_code import Look

BITS = 16


def look(values):
    values = np.array(values, np.float32)
    return Look(Codes.from_outputs(values[None], model="m"), values)


class OfCodes(LearnedLimit):
    """As a calibration's limit is."""

    def __init__(self, total, far):
        super().__init__(total, far)
        self.of_codes = True


@pytest.fixture(params=[LearnedLimit, OfCodes])
def people(tmp_path, request):
    """Two people: bits all 1, and the first half of them 0."""
    with Gallery.create(tmp_path / "g", BITS, model="m") as gallery:
        limit = request.param(float(BITS), 0.05)
        people = People(gallery, BITS, limit)
        for signs in (np.ones(BITS), np.repeat([-1, 1], 8)):
            people.start(look(signs).code, Sighting(camera="a"))
        yield people


def test_a_search_tells_the_distances_that_the_limit_is_for(people):
    query = look(np.linspace(-0.4, 0.9, BITS))
    found = people.find(query, set())
    told = [match.distance for match in found.matches]
    stored = [people.gallery.codes(ids=[match.sighting.id])[0] for match in found.matches]
    true = [people.distances(query, code)[0] for code in stored]
    np.testing.assert_allclose(told, true, atol=1e-5)
    assert told == sorted(told)
    assert found.distance == told[0]


def test_somebody_may_be_found_or_not_or_be_taken(people):
    near = look([0.9] * 15 + [-0.9])
    first = people.find(near, set()).identity
    assert first is not None
    assert people.find(near, {first}).identity is None
    assert people.find(near, {first}).distance > people.find(near, set()).distance
    assert people.find(look([0.9] * 8 + [-0.9] * 8), set()).identity is None


def test_bits_of_which_the_values_are_not_sure_count_less_but_for_codes(people):
    """Five bits of 16 differ, beyond the limit; the values are hardly sure of them."""
    query = look([-0.05] * 5 + [0.9] * 11)
    found = people.find(query, set())
    assert (found.identity is None) == people.limit.of_codes
    if not people.limit.of_codes:
        assert found.distance == pytest.approx(16 * 0.25 / (0.25 + 11 * 0.9), abs=1e-3)
