import numpy as np
import pytest

from reid_hash.app.cameras import (
    answer,
    associate,
    give_cameras,
    known_cameras,
    learn_cameras,
    open_proposals,
)
from reid_hash.codes import Codes
from reid_hash.data.walkers.site import Site
from reid_hash.errors import GalleryError
from reid_hash.gallery.network.decisions import person_merges, person_splits
from reid_hash.gallery.network.kept import read_cameras
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery

BITS = 96


@pytest.fixture
def site() -> Site:
    return Site(seed=11, cameras=4, people=50)


def filled(folder, site: Site, flipped: float = 0.12) -> tuple[Gallery, dict]:
    """A gallery of a site whose people's codes differ by some bits from crop to crop."""
    rng = np.random.default_rng(site.seed)
    people = rng.random((site.people + 1, BITS)) < 0.5
    gallery = Gallery.create(folder, BITS, np.ones(BITS, np.float32), "m")
    signs, sightings, truth = [], [], {}
    for one in site.tracklets:
        look = people[one.identity] ^ (rng.random(BITS) < flipped)
        for time in (one.first, one.last):
            signs.append(np.where(look ^ (rng.random(BITS) < 0.05), 1.0, -1.0))
            camera = f"camera{one.camera}"
            sightings.append(Sighting(camera, time, f"film {camera}", track=one.track))
    codes = Codes.from_outputs(np.array(signs), np.ones(BITS, np.float32), "m")
    for number, one in zip(
        gallery.add(codes, sightings), np.repeat(site.tracklets, 2), strict=True
    ):
        truth[int(number)] = one.identity
    return gallery, truth


def purity(gallery: Gallery, truth: dict) -> float:
    """Share of the pairs of sightings that are rightly told to be of one person or of two."""
    found = [(one.identity, truth[one.id]) for one in gallery.sightings()]
    ours, true = np.array(found).T
    together, same = ours[:, None] == ours, true[:, None] == true
    return float((together & same).sum() / (together | same).sum())


def test_cameras_are_learned_kept_and_given(tmp_path, site):
    gallery, _ = filled(tmp_path / "g", site)
    with gallery:
        assert read_cameras(gallery) is None
        learned = known_cameras(gallery)
        assert len(learned.network.cameras) == 4
        assert read_cameras(gallery).network.to_dict() == learned.network.to_dict()
        assert gallery.verify() == []
        file = tmp_path / "c.yaml"
        file.write_text("cameras: [camera1, roof]\n")
        given = give_cameras(gallery, file)
        assert known_cameras(gallery).network.cameras == ["camera1", "roof"]
        assert given.appearance == learned.appearance
        assert learn_cameras(gallery).network.to_dict() == learned.network.to_dict()
    with Gallery.open(tmp_path / "g", read_only=True) as again:
        assert known_cameras(again).network.to_dict() == learned.network.to_dict()


def test_a_gallery_that_knows_nothing_says_so(tmp_path):
    with Gallery.create(tmp_path / "g", BITS, np.ones(BITS, np.float32), "m") as gallery:
        with pytest.raises(GalleryError, match="too few"):
            known_cameras(gallery)
        gallery.keep_document("cameras", "{")
        with pytest.raises(GalleryError, match="damaged"):
            known_cameras(gallery)
        with pytest.raises(GalleryError, match="no proposal 1"):
            answer(gallery, [1], [])


def test_tracklets_of_nobody_are_told_apart(tmp_path, site):
    gallery, truth = filled(tmp_path / "g", site)
    with gallery:
        applied, left = associate(gallery)
        assert {one.kind for one in applied} == {"new"}
        assert left == []
        assert 40 <= len(applied) <= 62
        assert purity(gallery, truth) > 0.8
        again, _ = associate(gallery)
        assert again == []  # what it has said stays so


def mixed(gallery: Gallery, truth: dict) -> tuple[int, int]:
    """Make two people of a gallery one; gives the two true people."""
    associate(gallery)
    people = [one for one in gallery.people.identities() if one.sightings > 6]
    one, other = people[0], people[1]
    whose = [truth[gallery.sightings(identities=[p.id], limit=1)[0].id] for p in (one, other)]
    gallery.people.merge(one.id, other.id)
    return whose[0], whose[1]


def test_two_people_in_one_identity_are_split(tmp_path, site):
    gallery, truth = filled(tmp_path / "g", site)
    with gallery:
        mixed(gallery, truth)
        before = purity(gallery, truth)
        applied, _ = associate(gallery)
        assert [one.kind for one in applied] == ["split"]
        assert applied[0].evidence == applied[0].appearance + applied[0].place
        assert purity(gallery, truth) > before


def test_what_a_person_has_merged_or_split_stays(tmp_path, site):
    gallery, truth = filled(tmp_path / "g", site)
    with gallery:
        associate(gallery)
        one, other, third = [p.id for p in gallery.people.identities() if p.sightings > 6][:3]
        person_merges(gallery, one, other)
        ids = [s.id for s in gallery.sightings(identities=[third])]
        half = person_splits(gallery, third, ids[-2:])
        assert gallery.count(identities=[half]) == 2
        associate(gallery)
        theirs = {gallery.sightings(ids=[i])[0].identity for i in (ids[0], ids[-1])}
        assert len(theirs) == 2
        shown = {truth[s.id] for s in gallery.sightings(identities=[one])}
        assert len(shown) >= 2


def test_names_are_never_taken_from_whom_a_person_gave_them(tmp_path, site):
    gallery, _ = filled(tmp_path / "g", site)
    with gallery:
        associate(gallery)
        one, other = [p.id for p in gallery.people.identities() if p.sightings > 6][:2]
        ids = [s.id for s in gallery.sightings(identities=[one])]
        gallery.people.assign(ids[:4], gallery.new_identity())
        gallery.people.name(one, "Ann")
        gallery.people.name(other, "Bob")
        associate(gallery, limit=0.0)
        assert {s.name for s in gallery.sightings(ids=ids)} == {"Ann"}
        assert gallery.count(identities=["Bob"]) > 0


def test_a_person_accepts_and_refuses(tmp_path, site):
    gallery, truth = filled(tmp_path / "g", site)
    with gallery:
        mixed(gallery, truth)
        applied, left = associate(gallery, limit=1e6)
        assert applied == []
        assert open_proposals(gallery) == left
        assert [one.kind for one in left] == ["split"]
        with pytest.raises(GalleryError, match="no proposal 2"):
            answer(gallery, [2], [])
        assert answer(gallery, [], [1]) == 0
        assert associate(gallery, limit=0.0) == ([], [])  # refused for good
    gallery, truth = filled(tmp_path / "h", site)
    with gallery:
        mixed(gallery, truth)
        before = purity(gallery, truth)
        associate(gallery, limit=1e6)
        assert answer(gallery, [1], []) == 0
        assert purity(gallery, truth) > before
        assert associate(gallery, limit=0.0) == ([], [])
