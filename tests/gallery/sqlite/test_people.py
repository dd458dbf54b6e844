import pytest

from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Identity
from tests.gallery.galleries import contents, make


@pytest.fixture
def gallery(tmp_path):
    with make(tmp_path / "g") as opened:
        opened.assign([1, 2, 3, 9], "Ann")
        opened.assign([4, 5], "Bob")
        yield opened
        assert opened.verify() == []


def of(gallery, identity):
    return [sighting.id for sighting in gallery.sightings(identities=[identity])]


def test_identities_are_counted(gallery):
    assert gallery.identities() == [
        Identity(1, "Ann", 4, 1000.0, 1008.0),
        Identity(2, "Bob", 2, 1003.0, 1004.0),
    ]


def test_assigning_moves_sightings_and_drops_an_identity_without_any(gallery):
    assert gallery.assign([9, 9, 4], 2) == 2
    assert of(gallery, "Bob") == [4, 5, 9]
    assert gallery.assign([4, 5, 9], None) is None
    assert [identity.name for identity in gallery.identities()] == ["Ann"]
    assert gallery.assign([4], "Cid") == 3  # a number is never given twice


def test_merging_keeps_the_name_of_the_first_or_takes_the_only_one(gallery):
    assert gallery.merge("Ann", "Bob") == 1
    assert of(gallery, "Ann") == [1, 2, 3, 4, 5, 9]
    assert len(gallery.identities()) == 1
    gallery.assign([20], "Cid")
    gallery.name("Ann", None)
    assert gallery.merge(1, "Cid") == 1
    assert gallery.identities()[0][:3] == (1, "Cid", 7)


def test_splitting_by_sighting_and_by_track(gallery):
    assert gallery.split("Ann", ids=[3], tracks=[2], name="Eve") == 3  # 9 is of track 2
    assert (of(gallery, "Eve"), of(gallery, "Ann")) == ([3, 9], [1, 2])
    assert gallery.split("Ann", ids=[2]) == 4
    assert of(gallery, 4) == [2]


def test_naming(gallery):
    assert gallery.name("Ann", "Anna Ö") == 1
    assert gallery.name(1, "Anna Ö") == 1
    assert [identity.name for identity in gallery.identities()] == ["Anna Ö", "Bob"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.assign([1, 77], "Ann"), "no sighting 77"),
        (lambda g: g.assign([1], 9), "no identity #9"),
        (lambda g: g.assign([1], ""), "not empty"),
        (lambda g: g.merge("Ann", "Zoë"), "no identity Zoë"),
        (lambda g: g.merge("Ann", 1), "merged with itself"),
        (lambda g: g.split("Ann", ids=[4]), "sighting 4 is not of identity Ann"),
        (lambda g: g.split("Ann", tracks=[7]), "no sighting of track 7"),
        (lambda g: g.split("Ann"), "say which sightings or tracks"),
        (lambda g: g.split("Ann", ids=[1, 2, 3, 9]), "nothing to split"),
        (lambda g: g.split("Ann", ids=[1], name="Bob"), "Bob is the name of identity #2 already"),
        (lambda g: g.name("Ann", "Bob"), "Bob is the name of identity #2 already; merge"),
        (lambda g: g.name("Ann", "#7"), "how identity number 7 is written"),
        (lambda g: g.forget(identities=["Zoë"]), "no identity Zoë"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(gallery, change, message):
    before = contents(gallery)
    with pytest.raises(GalleryError, match=message):
        change(gallery)
    assert contents(gallery) == before
