"""The gallery in ClickHouse, in an embedded engine, against the folder."""

import os
import time
from datetime import timedelta

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.open import copy_gallery
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.clickhouse.places import address_in, make, require_clickhouse
from tests.gallery.galleries import BITS, contents, some_codes, some_sightings
from tests.gallery.galleries import make as make_folder

require_clickhouse()

from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery  # noqa: E402


@pytest.fixture(scope="module")
def twins_folder(tmp_path_factory):
    """The same sixty sightings in ClickHouse and in a folder, for tests that change nothing."""
    place = tmp_path_factory.mktemp("twins")
    with make(place) as one, make_folder(place / "folder") as other:
        for gallery in (one, other):
            gallery.people.assign([1, 2, 9], "Ann")
    return place


@pytest.fixture
def twins(twins_folder):
    """Both, open; a process has one embedded engine, so only for the length of a test."""
    place = address_in(twins_folder)
    with ClickHouseGallery.open(place) as one, Gallery.open(twins_folder / "folder") as other:
        yield one, other


@pytest.fixture
def gallery(tmp_path):
    with make(tmp_path) as opened:
        yield opened


FILTERS = [
    {},
    {"cameras": ["cam1"]},
    {"cameras": ["cam1", "cam2", "cam1"]},
    {"since": 1030.0},
    {"until": 1030.0},
    {"since": 1009.0, "until": 1012.5, "cameras": ["cam1"]},
    {"sources": ["video0.mp4"], "tracks": [3, 4]},
    {"identities": ["Ann"]},
    {"identities": [1], "cameras": ["cam0"]},
    {"exclude_identities": ["Ann", "nobody", 77]},
    {"exclude_cameras": ["cam0"], "exclude_sources": ["video1.mp4"]},
    {"cameras": ["nobody's"]},
    {"cameras": []},
    {"ids": [3, 2**70, -5]},
    {"ids": np.array([4, 6])},
    {"exclude_ids": []},
    {"exclude_ids": [1, 2, 3]},
    {"since": None, "cameras": None},
    {"cameras": ["\udcff", "cam1"]},
]


@pytest.mark.parametrize("where", FILTERS)
def test_filters_and_answers_are_those_of_the_folder(twins, where):
    one, other = twins
    assert one.sightings(**where) == other.sightings(**where)
    assert one.sightings(newest=True, limit=4, **where) == other.sightings(
        newest=True, limit=4, **where
    )
    assert one.count(**where) == other.count(**where)
    codes, ids = one.codes(**where)
    wanted, numbers = other.codes(**where)
    assert codes == wanted
    assert ids.tolist() == numbers.tolist()
    query = some_codes(3, seed=8)
    assert one.find(query, 20, **where) == other.find(query, 20, **where)


@pytest.mark.parametrize("bits", [None, BITS, 16, 13, 1])
@pytest.mark.parametrize("weighted", [True, False])
def test_searches_are_those_of_the_folder(twins, bits, weighted):
    one, other = twins
    query = some_codes(3, seed=5)
    values = np.random.default_rng(3).uniform(-1.2, 1.2, (2, BITS))
    for asked in (query, query.prefix(bits or BITS), values, values[:, : bits or BITS]):
        found = one.find(asked, 7, bits=bits, weighted=weighted)
        assert found == other.find(asked, 7, bits=bits, weighted=weighted)
        assert all(answer.exact for answer in found)


def test_pages_and_people_are_those_of_the_folder(twins):
    one, other = twins
    for page in ({"after": 7, "limit": 3}, {"after": 2**70}, {"limit": 0}, {"after": -3}):
        assert one.sightings(**page) == other.sightings(**page)
    assert one.people.identities() == other.people.identities()
    assert one.labelled(100) == other.labelled(100)
    assert one.labelled(2, seed=3) == other.labelled(2, seed=3)
    assert one.cameras() == other.cameras()
    for key in ("sightings", "identities", "thumbnails", "first", "last", "cameras", "bits"):
        assert one.info()[key] == other.info()[key]
    with pytest.raises(GalleryError, match="no identity Bob in"):
        one.count(identities=["Bob"])


@pytest.mark.parametrize("k", [60, 61, 16_385, 10**9, 10**20])
def test_more_matches_than_sightings_are_all_sightings(twins, k):
    (found,) = twins[0].search_many(some_codes(1), k)
    assert len(found) == 60


def test_codes_that_do_not_belong_are_refused(twins):
    shared = twins[0]
    with pytest.raises(CodeError, match="40 bits do not fit gallery .* 44 bits"):
        shared.add(some_codes(1, bits=40), some_sightings(1))
    with pytest.raises(CodeError, match="codes of model other do not fit .* model net"):
        shared.add(some_codes(1, model="other"), some_sightings(1))
    for query in (some_codes(1, bits=40), some_codes(1, model="other"), np.zeros((1, 40))):
        with pytest.raises(CodeError, match="do not fit"):
            shared.search_many(query)
    with pytest.raises(CodeError, match="finite numbers"):
        shared.search_many(np.full((1, BITS), np.nan))
    with pytest.raises(GalleryError, match="at least 1 match"):
        shared.search_many(some_codes(1), 0)
    assert len(shared) == 60


@pytest.mark.parametrize(
    ("sighting", "message"),
    [
        (Sighting(time=float("nan")), "no time between"),
        (Sighting(source="a\0b"), "text in Unicode"),
        (Sighting(track=2**63), "number of 64 bits"),
        (Sighting(identity=99), "no identity #99"),
        (Sighting(name=" "), "not empty"),
        (Sighting(name="#3"), "no name"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_of_the_call_is_kept(twins, sighting, message):
    shared = twins[0]
    before = contents(shared)
    with pytest.raises(GalleryError, match=message):
        shared.add(some_codes(2), [Sighting(name="new"), sighting])
    assert contents(shared) == before
    assert shared.people.find("new") is None


def test_what_is_stored_comes_back_the_same_after_opening_it_again(tmp_path):
    nasty = 'Tür "ö" \\ %_ \' \n\r\t {x:String} \\N \\x41 ;--'
    given = [
        Sighting(nasty, 1.7e9 + 1e-6, "rtsp://x/ä?b=1", -5, 2**40, (-0.0, 1 / 3, 2, 3)),
        Sighting(time=-3.25e9, thumbnail=b"\xff\xd8\0jpeg", name=nasty),
        Sighting(time=0, frame=np.int64(3), box=np.array([1.5, 2, 3, 4])),
        Sighting(time=8.4e9, track=-(2**63), thumbnail=b""),
    ]
    codes = some_codes(4)
    place = address_in(tmp_path)
    with ClickHouseGallery.create(place, codes[:0], "a/b") as made:
        assert made.add(codes, given).tolist() == [1, 2, 3, 4]
        assert made.count(cameras=[nasty]) == made.count(identities=[nasty]) == 1
    with Gallery.create(tmp_path / "f", BITS, codes.weights, "net", "a/b") as folder:
        folder.add(codes, given)
        with ClickHouseGallery.open(place, read_only=True) as opened:
            assert contents(opened) == contents(folder)
            assert opened.verify() == []
            assert (opened.bits, opened.model, opened.model_file) == (BITS, "net", "a/b")
            assert opened.calibration is None
            for change in (
                lambda: opened.add(codes, given),
                lambda: opened.forget(until=5.0),
                lambda: opened.people.assign([1], "Ann"),
                lambda: opened.new_identity(),
                lambda: opened.retain(timedelta(days=1)),
            ):
                with pytest.raises(GalleryError, match="read-only open"):
                    change()


def test_a_search_finds_what_was_added_since_and_nothing_that_is_gone(gallery):
    query = some_codes(1, seed=4)
    before = time.time()
    (new,) = gallery.add(query, [Sighting(camera="new")]).tolist()
    assert new == 61
    assert [(m.sighting.id, m.distance) for m in gallery.search(query, 1)] == [(new, 0.0)]
    assert before <= gallery.sightings(ids=[new])[0].time <= time.time()
    assert gallery.forget(cameras=["new"]) == 1
    assert len(gallery.search(query, 100)) == 60
    (newer,) = gallery.add(query, [Sighting()]).tolist()
    assert newer > new  # a number is never given twice
    assert gallery.prune(timedelta(hours=1)) == 60
    assert [one.id for one in gallery.sightings()] == [newer]
    with pytest.raises(GalleryError, match="say what to forget"):
        gallery.forget()


def test_people_are_named_merged_and_split_as_in_a_folder(gallery, tmp_path):
    with make_folder(tmp_path / "folder") as folder:
        for one in (gallery, folder):
            people = one.people
            ann = people.assign([1, 2, 3, 4], "Ann")
            assert people.assign([5], "Ann") == ann
            bob = people.split("Ann", ids=[1], name="Bob")
            for wrong, message in (
                (lambda ann=ann, p=people: p.name(ann, "Bob"), "is the name of identity #2"),
                (lambda p=people: p.split("Bob", ids=[1]), "these are all sightings"),
                (lambda p=people: p.split("Ann", tracks=[9]), "no sighting of track 9"),
                (lambda p=people: p.split("Ann", ids=[9]), "sighting 9 is not of identity Ann"),
                (lambda ann=ann, p=people: p.merge("Ann", ann), "cannot be merged with itself"),
                (lambda p=people: p.assign([500], "Ann"), "no sighting 500 in"),
            ):
                with pytest.raises(GalleryError, match=message):
                    wrong()
            assert people.merge("Bob", "Ann") == bob
            with pytest.raises(GalleryError, match="no identity Ann"):
                one.count(identities=["Ann"])
            people.name(bob, None)
            one.add(some_codes(1), [Sighting(identity=bob, time=5.0)])
            eve = people.split(bob, tracks=[0], name="Eve")
            assert (ann, bob, eve) == (1, 2, 3)
            people.merge(bob, eve)  # takes the name over
            new = one.new_identity()
            one.add(some_codes(1), [Sighting(identity=new, time=6.0)])
            people.assign([5], None)
            assert one.forget(identities=[bob]) == 5
            assert one.people.assign([7], "Zoë") == 5
        assert contents(gallery) == contents(folder)
    assert gallery.verify() == []


def test_calibration_is_that_of_the_same_sightings_in_a_folder(tmp_path):
    codes = some_codes(60)
    given = [Sighting(f"cam{i % 2}", 1.0, name=f"p{i // 6}") for i in range(60)]
    with Gallery.create(tmp_path / "f", BITS, codes.weights, "net") as folder:
        folder.add(codes, given)
        want = folder.calibrate([16, BITS]).to_json()
    with ClickHouseGallery.create(address_in(tmp_path), codes[:0]) as made:
        made.add(codes, given)
        assert made.calibrate([16, BITS]).to_json() == want
        assert made.calibration.to_json() == want
        assert made.info()["calibrated_bits"] == [16, BITS]
        made.calibration = None
        assert made.calibration is None


def test_an_empty_gallery_answers(tmp_path):
    with ClickHouseGallery.create(address_in(tmp_path), Codes.empty(16)) as made:
        codes = Codes(np.zeros((2, 2), np.uint8), 16)
        assert made.search_many(codes) == [[], []]
        assert made.search_many(codes[:0]) == []
        assert made.info()["first"] is None
        assert made.forget(cameras=["x"]) == 0
        assert made.verify() == []
        assert len(made.add(codes[:0], [])) == 0
        assert made.codes(ids=[])[0].packed.shape == (0, 2)
        made.add(codes, [Sighting(), Sighting()])
        assert len(made.search_many(codes, 5)[0]) == 2


def test_a_gallery_goes_from_place_to_place_unchanged(tmp_path):
    with make_folder(tmp_path / "a", thumbnail=b"\xff\xd8picture") as folder:
        folder.people.assign([1, 2], "Ann")
        folder.people.split("Ann", ids=[1])
        folder.calibrate([16])
        folder.forget(ids=[4])
        want = contents(folder), folder.calibration.to_json()
    first, second = address_in(tmp_path, "one"), address_in(tmp_path, "two")
    assert copy_gallery(tmp_path / "a", first) == 59
    assert copy_gallery(first, second) == 59
    with ClickHouseGallery.open(second) as made:
        assert (contents(made), made.calibration.to_json()) == want
        made.export(tmp_path / "all.npz")
    with pytest.raises(GalleryError, match="are the same gallery"):
        copy_gallery(first, address_in(tmp_path, "../" + tmp_path.name + "/one"))
    assert copy_gallery(second, tmp_path / "b") == 59
    with Gallery.open(tmp_path / "b") as back:
        assert (contents(back), back.calibration.to_json()) == want
        assert back.import_file(tmp_path / "all.npz") == 59
    assert copy_gallery(tmp_path / "b", first) == 118  # into one that is there: new numbers
    with ClickHouseGallery.open(first) as made:
        assert len(made) == 177
        assert len(made.people.identities()) == 4  # identities of the same name are one
        assert made.verify() == []


def test_an_import_that_fails_leaves_nothing(gallery, tmp_path):
    with gallery.exported() as exported:
        parts = list(exported.parts)
    bad = {**parts[0], "time": [*parts[0]["time"][:-1], float("nan")]}
    before = contents(gallery)
    with pytest.raises(GalleryError, match="no time between"):
        gallery.take_in(exported._replace(parts=iter([parts[0], {**bad, "id": range(61, 121)}])))
    assert contents(gallery) == before
    with pytest.raises(GalleryError, match="ids ascend"):
        gallery.take_in(exported._replace(parts=iter([parts[0], parts[0]])))
    assert contents(gallery) == before
    assert gallery.verify() == []


def test_galleries_that_are_there_or_are_not(tmp_path):
    place, like = address_in(tmp_path), Codes.empty(16)
    with pytest.raises(GalleryError, match="is no gallery: there is no folder"):
        ClickHouseGallery.open(place)
    assert not place.folder.exists()
    with ClickHouseGallery.create(place, like) as made:
        assert os.stat(place.folder).st_mode & 0o777 == 0o700
        with pytest.raises(GalleryError, match="already"):
            ClickHouseGallery.create(place, like)
        with pytest.raises(GalleryError, match="another embedded gallery open"):
            ClickHouseGallery.create(address_in(tmp_path, "other"), like)
        with ClickHouseGallery.open(place) as two:  # two writers of one process
            ids = made.add(Codes(np.zeros((1, 2), np.uint8), 16), [Sighting()])
            more = two.add(Codes(np.zeros((1, 2), np.uint8), 16), [Sighting()])
            assert [*ids, *more] == [1, 2]
            assert len(made) == len(two) == 2
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    with pytest.raises(GalleryError, match="holds other things"):
        ClickHouseGallery.create(address_in(tmp_path, "full"), like)
    with pytest.raises(GalleryError, match="at most|up to 16,384 bits"):
        ClickHouseGallery.create(address_in(tmp_path, "long"), Codes.empty(16_385))
