import numpy as np
import pytest

from reid_hash.data.walkers.site import Site
from reid_hash.errors import GalleryError
from reid_hash.gallery.network.appearance import fit_appearance
from reid_hash.gallery.network.associate import cluster
from reid_hash.gallery.network.cameras import CameraNetwork, Way
from reid_hash.gallery.network.decide import judge
from reid_hash.gallery.network.learn import Learned, best_links, learn
from reid_hash.gallery.network.tracklets import apart, unit
from tests.gallery.network.sites import tracklets_of


@pytest.fixture(scope="module")
def site() -> Site:
    return Site(seed=11, cameras=4, people=70)


@pytest.fixture(scope="module")
def learned(site: Site) -> Learned:
    return learn(tracklets_of(site)[0])


def test_ways_doors_and_overlaps_are_learned_without_labels(site: Site, learned: Learned):
    network, passages = learned.network, site.passages()
    for (a, b), way in site.plan.ways.items():
        times = passages.get((a, b), [])
        if len(times) < 12:
            continue
        found = network.ways[f"camera {a}", f"camera {b}"]
        assert found.overlap == way.overlap
        assert found.seconds[2] == pytest.approx(np.median(times), rel=0.1, abs=0.6)
    never = {tuple(int(name[-1]) for name in pair) for pair in network.never}
    assert not never & set(site.plan.ways)
    doors = sorted(network.entries, key=network.entries.__getitem__)[-len(site.plan.doors) :]
    assert {int(name[-1]) for name in doors} == set(site.plan.doors)
    assert not network.clocks


def test_links_are_of_one_person(site: Site, learned: Learned):
    _, who = tracklets_of(site)
    same = who[learned.links[:, 0]] == who[learned.links[:, 1]]
    assert same.mean() > 0.95
    assert len(same) > 0.8 * sum(map(len, site.passages().values()))


def test_a_clock_that_is_minutes_ahead_is_found(site: Site):
    ahead = Site(site.seed, site.cameras, site.people, clocks={3: 240.0})
    found = learn(tracklets_of(ahead)[0]).network
    assert list(found.clocks) == ["camera 3"]
    assert found.clocks["camera 3"] == pytest.approx(240, abs=15)


def test_all_together_are_told_apart_better_than_by_looks(site: Site, learned: Learned):
    tracklets, who = tracklets_of(site)
    people = cluster(tracklets, learned.network, learned.appearance, 0.02)
    blind = cluster(tracklets, CameraNetwork(tracklets.names), learned.appearance, 0.02)

    def right(found: np.ndarray) -> float:
        same, together = who[:, None] == who, found[:, None] == found
        return float((same & together).sum() / (same | together).sum())

    assert right(people) > 0.8
    assert right(people) > right(blind)
    # nobody is joined to whom one camera saw with them
    assert not (tracklets.together() & (people[:, None] == people)).any()


def test_too_few_tracklets_are_refused(site: Site):
    with pytest.raises(GalleryError, match="too few"):
        learn(tracklets_of(site)[0][np.arange(5)])


def test_one_camera_has_no_ways_but_to_itself():
    site = Site(seed=2, cameras=2, people=30)
    tracklets, _ = tracklets_of(site)
    alone = tracklets[np.flatnonzero(tracklets.cameras == 0)]
    found = learn(alone).network
    assert {pair for pair in found.ways if pair[0] != pair[1]} == set()


def test_links_are_those_of_most_evidence():
    score = np.full((4, 4), -np.inf)
    score[0, 1], score[0, 2], score[1, 2], score[1, 3] = 5, 4, 6, 1
    links, evidence = best_links(score)
    assert sorted(map(tuple, links.tolist())) == [(0, 1), (1, 2)]
    assert sorted(evidence.tolist()) == [5, 6]
    assert len(best_links(np.full((3, 3), -1.0))[0]) == 0


def test_the_chance_of_a_stranger_grows_with_the_candidates_and_falls_with_the_place():
    rng = np.random.default_rng(0)
    looks = fit_appearance(rng.normal(0.15, 0.05, 400), rng.normal(0.5, 0.07, 20_000))
    few = judge(looks, [0.25, 0.5, 0.55])
    many = judge(looks, [0.25, *[0.5] * 200])
    assert few is not None
    assert many is not None
    assert few.row == many.row == 0
    assert few.chance < many.chance
    expected = judge(looks, [0.25, *[0.5] * 200], [-3.0, *[-9.0] * 200])
    assert expected is not None
    assert expected.place > 4
    assert expected.chance < many.chance
    # time and place turn the scales where looks are alike
    turned = judge(looks, [0.24, 0.25], [-9.0, -3.0])
    assert turned is not None
    assert turned.row == 1
    assert judge(looks, [np.inf]) is None


def test_as_many_strangers_are_accepted_as_asked_for():
    rng = np.random.default_rng(1)
    looks = fit_appearance(rng.normal(0.2, 0.05, 2000), rng.normal(0.5, 0.08, 100_000))
    chances = []
    for _ in range(4000):
        found = judge(looks, rng.normal(0.5, 0.08, 40), rng.normal(-6, 2, 40))
        assert found is not None
        chances.append(found.chance)
    for far in (0.02, 0.1):
        assert 0.75 * far < np.mean(np.array(chances) <= far) < 1.25 * far


def test_strangers_are_counted_from_candidates_as_they_are_kept(site: Site, learned: Learned):
    tracklets, who = tracklets_of(site)
    looks, distances = learned.appearance, tracklets.distances()
    by_pairs = fit_appearance(
        distances[learned.links[:, 0], learned.links[:, 1]],
        distances[np.triu(who[:, None] != who, 1)],
    )
    # everybody's mean so far, as a tracklet of somebody else finds it
    chances: list[float] = []
    believed: list[float] = []
    for i in range(len(tracklets) // 4, len(tracklets)):
        others = [np.flatnonzero(who[:i] == one) for one in set(who[:i].tolist()) - {who[i]}]
        means = unit(np.stack([tracklets.vectors[rows].sum(axis=0) for rows in others]))
        near = apart(tracklets.vectors[[i]], means)[0]
        for fitted, found in ((looks, chances), (by_pairs, believed)):
            verdict = judge(fitted, near)
            assert verdict is not None
            found.append(verdict.chance)
    realised = {far: float(np.mean(np.array(chances) <= far)) for far in (0.05, 0.1)}
    assert all(0.5 * far <= share <= 1.5 * far for far, share in realised.items()), realised
    assert np.mean(np.array(believed) <= 0.05) > realised[0.05]  # single pairs say too little


def test_damaged_distances_to_candidates_are_refused():
    with pytest.raises(GalleryError, match="too few pairs"):
        fit_appearance([0.1], [0.5, 0.6], candidates=[0.4, np.nan])


def test_a_network_is_the_same_after_writing_and_reading(learned: Learned, tmp_path):
    network = learned.network
    assert CameraNetwork.from_json(network.to_json()).to_dict() == network.to_dict()
    file = tmp_path / "cameras.yaml"
    file.write_text(network.to_yaml())
    assert CameraNetwork.read(file).to_dict() == network.to_dict()


def test_a_person_need_not_say_much(tmp_path):
    file = tmp_path / "cameras.yaml"
    file.write_text(
        "cameras: [gate, hall]\nways:\n- {from: gate, to: hall, share: 0.8, seconds: 20}\n"
        "never: [[hall, gate]]\n"
    )
    network = CameraNetwork.read(file)
    usual, soon, late = network.log_density("gate", "hall", [20.0, 1.0, 300.0])
    assert usual > soon + 2
    assert usual > late + 2
    assert network.log_density("hall", "gate", 20.0) < usual - 4
    # a camera that nobody knows says little, and is no error
    assert np.isfinite(network.log_density("gate", "roof", 20.0))
    for text, message in (
        ("cameras: [a]\nways: [{from: a, to: b, share: 1, seconds: 3}]", "camera b has ways"),
        ("cameras: [a]\nways: [{from: a, to: a, share: 2, seconds: 3}]", "between 0 and 1"),
        ("cameras: [a]\nways: [{from: a, share: 2, seconds: 3}]", "to is missing"),
        ("ways: []", "cameras is missing"),
        ("[1", "cannot read"),
        ("cameras: 3", "no network of cameras"),
    ):
        file.write_text(text)
        with pytest.raises(GalleryError, match=message):
            CameraNetwork.read(file)


def test_densities_are_densities():
    way = Way(0.5, (12, 17, 20, 24, 31), 30)
    seconds = np.arange(-60, 900, 0.05)
    assert way.density(seconds).sum() * 0.05 == pytest.approx(1, abs=0.02)
