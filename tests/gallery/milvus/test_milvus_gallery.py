"""The gallery on Milvus, against the real engine of milvus-lite."""

import time
from datetime import timedelta

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, hamming, weighted
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.sighting import Sighting
from reid_hash.video.identity.recognition import make_limit
from tests.gallery.galleries import BITS, some_codes, some_sightings
from tests.gallery.milvus.milvus_galleries import address_in, make, require_milvus

require_milvus()

from reid_hash.gallery.milvus.milvus_gallery import MilvusGallery  # noqa: E402


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Sixty sightings, for tests that change nothing."""
    with make(tmp_path_factory.mktemp("milvus")) as gallery:
        ids = [one.id for one in gallery.sightings()]
        gallery.people.assign([ids[0], ids[1], ids[8]], "Ann")
        yield gallery


@pytest.fixture
def gallery(tmp_path):
    with make(tmp_path) as opened:
        yield opened


def ids_of(gallery):
    return [one.id for one in gallery.sightings()]


def expected(distances, k, ids, allowed=None):
    """(id, distance) by distance and id, of those ids that are allowed."""
    pairs = [(d, ids[i]) for i, d in enumerate(distances.tolist())]
    return [(i, d) for d, i in sorted(pairs) if allowed is None or i in allowed][:k]


def found(answers):
    return [[(match.sighting.id, match.distance) for match in matches] for matches in answers]


@pytest.mark.parametrize("bits", [None, BITS, 16, 13, 1])
@pytest.mark.parametrize("by_weight", [True, False])
def test_search_is_the_exact_distance_of_a_prefix(shared, bits, by_weight):
    stored, query = some_codes(), some_codes(3, seed=5)
    length = bits or BITS
    distance = weighted if by_weight else hamming
    distances = distance(query.prefix(length), stored.prefix(length))
    want = [expected(row, 7, ids_of(shared)) for row in distances]
    answers = shared.find(query, 7, bits=bits, weighted=by_weight)
    assert found(one.matches for one in answers) == want
    assert all(one.exact for one in answers)  # all sixty were fetched
    cut = query.prefix(length)
    assert found(shared.search_many(cut, 7, bits=length, weighted=by_weight)) == want


def test_a_query_of_real_values_keeps_them(shared):
    values = np.random.default_rng(3).uniform(-1, 1, (2, BITS))
    ids = ids_of(shared)
    want = [expected(row, 5, ids) for row in asymmetric(values, some_codes())]
    assert found(shared.search_many(values, 5)) == want
    want = [expected(row, 5, ids) for row in asymmetric(values[:, :16], some_codes().prefix(16))]
    assert found(shared.search_many(values, 5, bits=16)) == want


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ({"cameras": ["cam1"]}, lambda i: i % 3 == 1),
        ({"cameras": ["cam1", "cam2"]}, lambda i: i % 3 != 0),
        ({"since": 1030.0}, lambda i: i >= 30),
        ({"until": 1030.0}, lambda i: i < 30),
        ({"since": 1009.0, "until": 1012.5, "cameras": ["cam1"]}, lambda i: i == 10),
        ({"sources": ["video0.mp4"], "tracks": [3, 4]}, lambda i: i in (12, 14, 16, 18)),
        ({"identities": ["Ann"]}, lambda i: i in (0, 1, 8)),
        ({"exclude_identities": ["Ann", "nobody", 77]}, lambda i: i not in (0, 1, 8)),
        ({"exclude_cameras": ["cam0"], "exclude_sources": ["video1.mp4"]},)
        + (lambda i: i % 3 != 0 and i % 2 == 0,),
        ({"cameras": ["nobody's"]}, lambda i: False),
        ({"cameras": []}, lambda i: False),
        ({"ids": [3, 2**70]}, lambda i: False),
        ({"exclude_ids": []}, lambda i: True),
        ({"since": None, "cameras": None}, lambda i: True),
    ],
)
def test_filters(shared, where, holds):
    ids = ids_of(shared)
    allowed = {number for i, number in enumerate(ids) if holds(i)}
    assert {one.id for one in shared.sightings(**where)} == allowed
    assert shared.count(**where) == len(allowed)
    assert set(shared.codes(**where)[1].tolist()) == allowed
    query = some_codes(2, seed=8)
    want = [expected(row, 20, ids, allowed) for row in weighted(query, some_codes())]
    assert found(shared.search_many(query, 20, **where)) == want


def test_ids_are_chosen_and_left_out(shared):
    ids = ids_of(shared)
    assert ids_of(shared) == sorted(ids)
    assert [one.id for one in shared.sightings(ids=np.array(ids[4:6]))] == ids[4:6]
    assert shared.count(exclude_ids=ids[:2]) == 58
    assert [one.id for one in shared.sightings(after=ids[9], limit=3)] == ids[10:13]
    newest = shared.sightings(newest=True, limit=3, cameras=["cam0"])
    assert [one.id for one in newest] == [ids[57], ids[54], ids[51]]
    assert shared.sightings(limit=0) == []


def test_codes_that_do_not_belong_are_refused(shared):
    with pytest.raises(CodeError, match="40 bits do not fit gallery .* 44 bits"):
        shared.add(some_codes(1, bits=40), some_sightings(1))
    with pytest.raises(CodeError, match="codes of model other do not fit .* model net"):
        shared.add(some_codes(1, model="other"), some_sightings(1))
    for query in (some_codes(1, bits=40), some_codes(1, model="other"), np.zeros((1, 40))):
        with pytest.raises(CodeError, match="do not fit"):
            shared.search_many(query)
    with pytest.raises(GalleryError, match="at least 1 match"):
        shared.search_many(some_codes(1), 0)
    assert len(shared) == 60


@pytest.mark.parametrize("k", [61, 16_385, 10**9, 10**20])
def test_more_matches_than_sightings_are_all_sightings(shared, k):
    (found,) = shared.search_many(some_codes(1), k)
    assert sorted(match.sighting.id for match in found) == ids_of(shared)


def test_more_matches_than_milvus_finds_at_once_are_refused(shared, monkeypatch):
    monkeypatch.setattr("reid_hash.gallery.milvus.milvus_gallery.LIMIT", 50)
    with pytest.raises(GalleryError, match="at most 50 matches"):
        shared.search_many(some_codes(1), 10**9)


@pytest.mark.parametrize(
    ("sighting", "message"),
    [
        (Sighting(time=float("nan")), "no time between"),
        (Sighting(track=-(2**63)), "stands for none"),
        (Sighting(camera="a\nb"), "no line break"),
        (Sighting(source="ä" * 5000), "at most 8,192 bytes"),
        (Sighting(identity=99), "no identity #99"),
        (Sighting(name=" "), "not empty"),
        (Sighting(name="a\rb"), "no line break"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_of_the_call_is_kept(
    shared, sighting, message
):
    before = shared.sightings(), shared.people.identities()
    with pytest.raises(GalleryError, match=message):
        shared.add(some_codes(2), [Sighting(name="new"), sighting])
    assert (shared.sightings(), shared.people.identities()) == before


def test_what_is_stored_comes_back_the_same_after_opening_it_again(tmp_path):
    given = [
        Sighting('Tür "ö" \\ %_', 1.7e9 + 1e-6, "rtsp://x/ä?b=1", -5, 2**40, (-0.0, 1 / 3, 2, 3)),
        Sighting(time=-3.25, thumbnail=b"\xff\xd8\0jpeg", name="Zoë"),
        Sighting(time=0, frame=np.int64(3), box=np.array([1.5, 2, 3, 4])),
    ]
    codes = some_codes(3)
    with MilvusGallery.create(address_in(tmp_path), BITS, codes.weights, "net", "a/b") as made:
        ids = made.add(codes, given).tolist()
        assert ids == sorted(set(ids))
        assert made.count(cameras=['Tür "ö" \\ %_']) == 1
    with MilvusGallery.open(address_in(tmp_path), read_only=True) as opened:
        stored = opened.sightings(thumbnails=True)
        back, numbers = opened.codes()
        assert opened.verify() == []
        assert (opened.bits, opened.model, opened.model_file) == (BITS, "net", "a/b")
        assert opened.weights.tolist() == codes.weights.tolist()
        assert opened.calibration is None
        with pytest.raises(GalleryError, match="read-only open"):
            opened.add(codes, given)
        with pytest.raises(GalleryError, match="read-only open"):
            opened.forget(until=5.0)
    assert (numbers.tolist(), back.packed.tolist()) == (ids, codes.packed.tolist())
    assert stored[0] == Sighting(
        'Tür "ö" \\ %_', 1.7e9 + 1e-6, "rtsp://x/ä?b=1", -5, 2**40, (0, 1 / 3, 2, 3), id=ids[0]
    )
    zoe = stored[1]
    assert (zoe.time, zoe.thumbnail, zoe.name, zoe.box) == (-3.25, None, "Zoë", None)
    assert (zoe.track, zoe.frame) == (None, None)
    assert (stored[2].frame, stored[2].box, stored[2].name) == (3, (1.5, 2, 3, 4), None)


def test_a_search_finds_what_was_added_since_and_nothing_that_is_gone(gallery):
    query = some_codes(1, seed=4)
    before = time.time()
    (new,) = gallery.add(query, [Sighting(camera="new")]).tolist()
    assert found(gallery.search_many(query, 1)) == [[(new, 0.0)]]
    (stored,) = gallery.sightings(ids=[new])
    assert before <= stored.time <= time.time()
    assert gallery.forget(cameras=["new"]) == 1
    assert new not in [number for number, _ in found(gallery.search_many(query, 100))[0]]
    (newer,) = gallery.add(query, [Sighting()]).tolist()
    assert newer > new
    assert gallery.prune(timedelta(hours=1)) == 60
    assert ids_of(gallery) == [newer]
    with pytest.raises(GalleryError, match="say what to forget"):
        gallery.forget()


def test_people_are_named_merged_and_split(gallery):
    ids = ids_of(gallery)
    ann = gallery.people.assign(ids[:4], "Ann")
    assert gallery.people.assign([ids[4]], "Ann") == ann
    bob = gallery.people.split("Ann", ids=[ids[0]], name="Bob")
    assert [(one.id, one.name, one.sightings) for one in gallery.people.identities()] == [
        (ann, "Ann", 4),
        (bob, "Bob", 1),
    ]
    assert (gallery.people.identities()[0].first, gallery.people.identities()[0].last) == (
        1001.0,
        1004.0,
    )
    with pytest.raises(GalleryError, match=f"Bob is the name of identity #{bob} already"):
        gallery.people.name(ann, "Bob")
    with pytest.raises(GalleryError, match="these are all sightings"):
        gallery.people.split("Bob", ids=[ids[0]])
    with pytest.raises(GalleryError, match="no sighting of track 9"):
        gallery.people.split("Ann", tracks=[9])
    assert gallery.people.merge("Bob", "Ann") == bob
    assert gallery.count(identities=["Bob"]) == 5
    with pytest.raises(GalleryError, match="no identity Ann"):
        gallery.count(identities=["Ann"])
    gallery.people.name(bob, None)
    (found_,) = gallery.add(some_codes(1), [Sighting(identity=bob)])
    assert gallery.sightings(ids=[found_])[0].identity == bob
    assert gallery.people.identities()[0][:3] == (bob, None, 6)
    gallery.people.assign(ids[:5], None)
    assert gallery.forget(identities=[bob]) == 1
    assert gallery.people.identities() == []
    with pytest.raises(GalleryError, match="no sighting 5 in"):
        gallery.people.assign([5], "Ann")
    assert gallery.verify() == []


def test_calibration_is_that_of_the_same_sightings_in_a_folder(tmp_path):
    from reid_hash.gallery.sqlite.gallery import Gallery

    codes, given = (
        some_codes(60),
        [Sighting(f"cam{i % 2}", 1.0, name=f"p{i // 6}") for i in range(60)],
    )
    with Gallery.create(tmp_path / "g", BITS, codes.weights, "net") as folder:
        folder.add(codes, given)
        want = folder.calibrate([16, BITS]).to_json()
    with MilvusGallery.create(address_in(tmp_path), BITS, codes.weights, "net") as made:
        made.add(codes, given)
        assert made.calibrate([16, BITS]).to_json() == want
        assert made.calibration.to_json() == want
        long = made.calibrate(range(1, BITS + 1)).to_json()  # of several parts
        assert len(long) > 60_000
        assert made.calibration.to_json() == long
        made.calibrate([16, BITS])  # a shorter one leaves nothing of the longer
        assert made.calibration.to_json() == want
        assert made.info()["calibrated_bits"] == [16, BITS]
        made.calibration = None
        assert made.calibration is None


def test_damage_is_found_and_named(gallery):
    ids = ids_of(gallery)
    (row,) = gallery._link.rows("people", f"id == {ids[3]}", list(_columns()))
    gallery._link.upsert("people", [{**row, "time": row["time"] + 1}])
    assert gallery.verify() == [f"sighting {ids[3]}: its checksum differs"]
    with pytest.raises(GalleryError, match=f"sighting {ids[3]} is damaged"):
        gallery.people.assign([ids[3]], "Ann")
    gallery._link.upsert("people", [row])
    gallery.people.assign([ids[3]], "Ann")
    gallery._meta.drop_identities([gallery.people.identities()[0].id])
    assert len(gallery.verify()) == 1
    assert "which is not there" in gallery.verify()[0]


def _columns():
    from reid_hash.gallery.milvus.rows import columns

    return columns(BITS)


def test_an_empty_gallery_answers(tmp_path):
    with MilvusGallery.create(address_in(tmp_path), 16) as made:
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


def test_galleries_that_are_there_or_are_not(tmp_path):
    address = address_in(tmp_path)
    with pytest.raises(GalleryError, match="is no gallery: there is no file"):
        MilvusGallery.open(address)
    assert not address.file.exists()
    with pytest.raises(CodeError, match="3 weights for codes of 16 bits"):
        MilvusGallery.create(address, 16, [1, 2, 3])
    MilvusGallery.create(address, 16).close()
    with pytest.raises(GalleryError, match="there is a collection people at .* already"):
        MilvusGallery.create(address, 16)
    with pytest.raises(GalleryError, match="is no gallery: there is no collection"):
        MilvusGallery.open(address_in(tmp_path, "others"))
    MilvusGallery.create(address_in(tmp_path, "others"), 8).close()
    with MilvusGallery.open(address) as one, MilvusGallery.open(address) as two:
        ids = one.add(Codes(np.zeros((1, 2), np.uint8), 16), [Sighting()])
        more = two.add(Codes(np.zeros((1, 2), np.uint8), 16), [Sighting()])
        assert [s.id for s in one.sightings()] == sorted([*ids, *more])  # two writers


def test_a_video_searches_milvus_by_codes(tmp_path):
    """Real values would need nearly all codes as candidates before an answer is certain."""
    with make(tmp_path, 12) as gallery:
        assert make_limit(gallery, gallery.bits, 0.05).of_codes
