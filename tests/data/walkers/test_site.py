import dataclasses
import itertools

import numpy as np
import pytest

from reid_hash.data.walkers.site import Site
from reid_hash.errors import ConfigError


@pytest.fixture(scope="module")
def site() -> Site:
    return Site(people=30)


def test_a_site_is_the_same_for_a_seed_and_another_for_another(site: Site):
    assert site.tracklets == Site(people=30).tracklets
    assert site.tracklets != Site(seed=1, people=30).tracklets


def test_everybody_comes_in_by_a_door_and_is_at_one_place_at_a_time(site: Site):
    by_person: dict[int, list] = {}
    for walk in site.walks:
        by_person.setdefault(walk.identity, []).append(walk)
    assert len(by_person) == 30
    overlapping = {pair for pair, way in site.plan.ways.items() if way.overlap}
    assert overlapping
    met = set()
    for walks in by_person.values():
        for before, after in itertools.pairwise(walks):
            if after.start < before.end:
                met.add((before.camera, after.camera))
        for before, after in zip(walks, walks[2:], strict=False):
            assert after.start > before.end  # before two cameras at once at most
        if walks[0].start > 30:  # whoever was there before the site began may be anywhere
            assert walks[0].camera in site.plan.doors
    assert met
    assert met <= overlapping


def test_ways_are_taken_as_often_and_as_long_as_planned():
    site = Site(seed=3)
    passages = site.passages()
    for pair, way in site.plan.ways.items():
        times = np.array(passages.get(pair, []))
        if len(times) >= 20 and not way.overlap:
            assert np.median(times) == pytest.approx(way.seconds, rel=0.15)
        elif len(times) >= 20:
            assert np.median(times) < 0
    # people turn back, and some come again
    assert sum(len(times) for times in passages.values()) > 400
    assert any(max(times) > 120 for times in passages.values())


def test_crops_show_the_person_whatever_the_camera(site: Site):
    one = site.tracklets[0]
    other = next(t for t in site.tracklets if t.identity == one.identity and t is not one)
    pictures = [site.crop(one, 0), site.crop(one, 1), site.crop(other, 0)]
    assert all(picture.shape == (128, 64, 3) for picture in pictures)
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[0] != pictures[2]).any()
    assert (site.crop(one, 0) == pictures[0]).all()
    assert one.first < min(one.moments) <= max(one.moments) < one.last


def test_a_clock_that_is_ahead_moves_the_times_of_its_camera_alone(site: Site):
    ahead = dataclasses.replace(site, clocks={2: 100.0})
    shifted = {(t.identity, t.visit, t.camera): t.first for t in ahead.tracklets}
    for one in site.tracklets:
        moved = shifted[one.identity, one.visit, one.camera] - one.first
        if abs(moved) < 20 or abs(moved - 100) < 20:  # else the other part of a broken track
            assert moved == pytest.approx(100 if one.camera == 2 else 0, abs=15)
    true, found = site.passages(), ahead.passages()
    assert true.keys() == found.keys()
    for pair, times in true.items():
        assert sorted(found[pair]) == pytest.approx(sorted(times))


def test_films_have_the_identities_of_the_tracklets(site: Site):
    one = next(t for t in site.tracklets if t.first > 60)
    film = site.film(one.camera, start=one.first - 2, seconds=8, fps=5, size=(320, 180))
    seen = {truth.identity for _, truths in film for truth in truths}
    assert one.identity in seen


@pytest.mark.parametrize("wrong", [{"cameras": 1}, {"people": 0}, {"seconds": 5}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(wrong: dict):
    with pytest.raises(ConfigError, match="not in"):
        Site(**wrong)
    with pytest.raises(ConfigError, match="no camera 9"):
        Site(people=3).film(9)
