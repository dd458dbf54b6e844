import pytest

from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Identity, Sighting
from tests.gallery.galleries import contents, make, some_codes


@pytest.fixture
def gallery(tmp_path):
    with make(tmp_path / "g") as opened:
        opened.people.assign([1, 2, 3, 9], "Ann")
        opened.people.assign([4, 5], "Bob")
        yield opened
        assert opened.verify() == []


def of(gallery, identity):
    return [sighting.id for sighting in gallery.sightings(identities=[identity])]


def test_identities_are_counted(gallery):
    assert gallery.people.identities() == [
        Identity(1, "Ann", 4, 1000.0, 1008.0),
        Identity(2, "Bob", 2, 1003.0, 1004.0),
    ]


def test_assigning_moves_sightings_and_drops_an_identity_without_any(gallery):
    assert gallery.people.assign([9, 9, 4], 2) == 2
    assert of(gallery, "Bob") == [4, 5, 9]
    assert gallery.people.assign([4, 5, 9], None) is None
    assert [identity.name for identity in gallery.people.identities()] == ["Ann"]
    assert gallery.people.assign([4], "Cid") == 3  # a number is never given twice


def test_merging_keeps_the_name_of_the_first_or_takes_the_only_one(gallery):
    assert gallery.people.merge("Ann", "Bob") == 1
    assert of(gallery, "Ann") == [1, 2, 3, 4, 5, 9]
    assert len(gallery.people.identities()) == 1
    gallery.people.assign([20], "Cid")
    gallery.people.name("Ann", None)
    assert gallery.people.merge(1, "Cid") == 1
    assert gallery.people.identities()[0][:3] == (1, "Cid", 7)


def test_splitting_by_sighting_and_by_track(gallery):
    assert gallery.people.split("Ann", ids=[3], tracks=[2], name="Eve") == 3  # 9 is of track 2
    assert (of(gallery, "Eve"), of(gallery, "Ann")) == ([3, 9], [1, 2])
    assert gallery.people.split("Ann", ids=[2]) == 4
    assert of(gallery, 4) == [2]


def test_naming(gallery):
    assert gallery.people.name("Ann", "Anna Ö") == 1
    assert gallery.people.name(1, "Anna Ö") == 1
    assert [identity.name for identity in gallery.people.identities()] == ["Anna Ö", "Bob"]


def test_a_new_identity_waits_for_its_sightings(gallery):
    new = gallery.new_identity()
    assert new == 3
    gallery.people.merge("Ann", "Bob")  # identities without sightings are taken out
    gallery.forget(ids=[1])
    (added,) = gallery.add(some_codes(1), [Sighting(identity=new)])
    assert of(gallery, new) == [added]
    assert [(one.id, one.name, one.sightings) for one in gallery.people.identities()] == [
        (1, "Ann", 5),
        (3, None, 1),
    ]
    assert gallery.new_identity() == 4
    assert [one.id for one in gallery.people.identities()] == [1, 3]  # of nobody yet
    gallery.people.assign([added], "Ann")
    with pytest.raises(GalleryError, match="no identity #3"):  # used once, and empty again
        gallery.add(some_codes(1), [Sighting(identity=new)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.people.assign([1, 77], "Ann"), "no sighting 77"),
        (lambda g: g.people.assign([1], 9), "no identity #9"),
        (lambda g: g.people.assign([1], ""), "not empty"),
        (lambda g: g.people.merge("Ann", "Zoë"), "no identity Zoë"),
        (lambda g: g.people.merge("Ann", 1), "merged with itself"),
        (lambda g: g.people.split("Ann", ids=[4]), "sighting 4 is not of identity Ann"),
        (lambda g: g.people.split("Ann", tracks=[7]), "no sighting of track 7"),
        (lambda g: g.people.split("Ann"), "say which sightings or tracks"),
        (lambda g: g.people.split("Ann", ids=[1, 2, 3, 9]), "nothing to split"),
        (
            lambda g: g.people.split("Ann", ids=[1], name="Bob"),
            "Bob is the name of identity #2 already",
        ),
        (lambda g: g.people.name("Ann", "Bob"), "Bob is the name of identity #2 already; merge"),
        (lambda g: g.people.name("Ann", "#7"), "how identity number 7 is written"),
        (lambda g: g.forget(identities=["Zoë"]), "no identity Zoë"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(gallery, change, message):
    before = contents(gallery)
    with pytest.raises(GalleryError, match=message):
        change(gallery)
    assert contents(gallery) == before
