import contextlib
import sqlite3
import threading
import time

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, hamming, weighted
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite import index
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.gallery.sqlite.schema import put_meta
from reid_hash.index._engine.index_file import read_index_file
from tests.gallery.galleries import BITS, contents, make, some_codes, some_sightings


@pytest.fixture
def gallery(tmp_path):
    with make(tmp_path / "g") as opened:
        yield opened


def expected(distances, k, allowed=None):
    """(id, distance) by distance and id, of those ids that are allowed."""
    pairs = [(d, i + 1) for i, d in enumerate(distances.tolist())]
    pairs = [(d, i) for d, i in pairs if allowed is None or i in allowed]
    return [(i, d) for d, i in sorted(pairs)[:k]]


def found(answers):
    return [[(match.sighting.id, match.distance) for match in matches] for matches in answers]


@pytest.mark.parametrize("bits", [None, BITS, 16, 13, 1])
@pytest.mark.parametrize("by_weight", [True, False])
def test_search_is_the_exact_distance_of_a_prefix(gallery, bits, by_weight):
    stored, query = some_codes(), some_codes(3, seed=5)
    length = bits or BITS
    distance = weighted if by_weight else hamming
    distances = distance(query.prefix(length), stored.prefix(length))
    want = [expected(row, 7) for row in distances]
    assert found(gallery.search_many(query, 7, bits=bits, weighted=by_weight)) == want
    cut = query.prefix(length)  # who asks for a length may come with codes cut to it
    assert found(gallery.search_many(cut, 7, bits=length, weighted=by_weight)) == want


def test_find_says_that_the_answer_of_a_folder_is_exact(gallery):
    query = some_codes(3, seed=5)
    answers = gallery.find(query, 7, bits=16, weighted=False, cameras=["cam1"])
    matches = gallery.search_many(query, 7, bits=16, weighted=False, cameras=["cam1"])
    assert [(one.matches, one.exact) for one in answers] == [(some, True) for some in matches]


def test_an_index_of_many_near_sightings_scans_few_bits_and_stays_exact(tmp_path, monkeypatch):
    # what pays with millions of sightings only
    monkeypatch.setattr(index, "_MANY", 5000)
    monkeypatch.setattr(index, "_SURVIVOR", 1e-3)
    random = np.random.default_rng(0)
    centres = random.random((20, 128)) < 0.5
    bits = centres[random.integers(0, 20, 6000)] ^ (random.random((6000, 128)) < 0.02)
    codes = Codes.from_outputs(bits * 2.0 - 1, np.linspace(1.5, 1, 128), "net")
    with Gallery.create(tmp_path / "g", 128, codes.weights, "net") as gallery:
        gallery.add(codes, [Sighting()] * 6000)
    (file,) = (tmp_path / "g").glob("*.index")
    assert read_index_file(file)[0]["scan_bits"] < 128
    with Gallery.open(tmp_path / "g") as gallery:
        query = codes[:3]
        near = gallery.search_many(query, 50)
        for row, matches in enumerate(near):
            distances = weighted(query[[row]], codes)[0]
            order = np.lexsort((np.arange(6000), distances))[:50]
            assert [match.sighting.id for match in matches] == (order + 1).tolist()
            assert [match.distance for match in matches] == distances[order].tolist()


def test_a_query_of_real_values_keeps_them(gallery):
    values = np.random.default_rng(3).uniform(-1, 1, (2, BITS))
    want = [expected(row, 5) for row in asymmetric(values, some_codes())]
    assert found(gallery.search_many(values, 5)) == want
    want = [expected(row, 5) for row in asymmetric(values[:, :16], some_codes().prefix(16))]
    assert found(gallery.search_many(values, 5, bits=16)) == want


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ({"cameras": ["cam1"]}, lambda s: s.camera == "cam1"),
        ({"cameras": ["cam1", "cam2"]}, lambda s: s.camera != "cam0"),
        ({"since": 1030.0}, lambda s: s.time >= 1030),
        ({"until": 1030.0}, lambda s: s.time < 1030),
        ({"since": 1010.0, "until": 1012.0, "cameras": ["cam1"]}, lambda s: s.id == 11),
        ({"sources": ["video0.mp4"], "tracks": [3, 4]}, lambda s: s.id in (13, 15, 17, 19)),
        ({"identities": ["Ann"]}, lambda s: s.id in (1, 2, 9)),
        ({"identities": [1]}, lambda s: s.id in (1, 2, 9)),
        ({"exclude_identities": ["Ann", "nobody", 77]}, lambda s: s.id not in (1, 2, 9)),
        ({"exclude_ids": [1, 60]}, lambda s: s.id not in (1, 60)),
        ({"exclude_cameras": ["cam0"], "exclude_ids": [2]}, lambda s: s.id % 3 != 1 and s.id != 2),
        ({"exclude_sources": ["video1.mp4"]}, lambda s: s.source == "video0.mp4"),
        ({"ids": np.array([5, 7])}, lambda s: s.id in (5, 7)),
        ({"cameras": ["nobody's"]}, lambda s: False),
        ({"since": None, "cameras": None}, lambda s: True),
    ],
)
def test_filters(gallery, where, holds):
    gallery.people.assign([1, 2, 9], "Ann")
    allowed = {s.id for s in gallery.sightings() if holds(s)}
    assert {s.id for s in gallery.sightings(**where)} == allowed
    assert gallery.count(**where) == len(allowed)
    query = some_codes(2, seed=8)
    want = [expected(row, 20, allowed) for row in weighted(query, some_codes())]
    assert found(gallery.search_many(query, 20, **where)) == want


def test_codes_that_do_not_belong_are_refused(gallery):
    one = some_sightings(1)
    with pytest.raises(CodeError, match="40 bits do not fit gallery .* 44 bits"):
        gallery.add(some_codes(1, bits=40), one)
    with pytest.raises(CodeError, match="codes of model other do not fit .* model net"):
        gallery.add(some_codes(1, model="other"), one)
    with pytest.raises(CodeError, match="do not say which model"):
        gallery.add(some_codes(1, model=""), one)
    with pytest.raises(CodeError, match="2 codes for 1 sightings"):
        gallery.add(some_codes(2), one)
    for query in (some_codes(1, bits=40), some_codes(1, model="other"), np.zeros((1, 40))):
        with pytest.raises(CodeError, match="do not fit"):
            gallery.search_many(query)
    with pytest.raises(CodeError, match="choose 1 to 44"):
        gallery.search_many(some_codes(1), bits=45)
    with pytest.raises(GalleryError, match="at least 1 match"):
        gallery.search_many(some_codes(1), 0)
    assert len(gallery) == 60


@pytest.mark.parametrize(
    ("sighting", "message"),
    [
        (Sighting(time=float("nan")), "no time between"),
        (Sighting(time=1e11), "no time between"),
        (Sighting(box=(0, 0, 1, float("inf"))), "four finite numbers"),
        (Sighting(box=(0, 0, 1)), "four finite numbers"),
        (Sighting(track=2**63), "64 bits"),
        (Sighting(camera="\ud800"), "text in Unicode"),
        (Sighting(source=None), "text in Unicode"),
        (Sighting(identity=99), "no identity #99"),
        (Sighting(name=" "), "not empty"),
        (Sighting(name="#3"), "how identity number 3 is written"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_of_the_call_is_kept(
    gallery, sighting, message
):
    before = contents(gallery)
    with pytest.raises(GalleryError, match=message):
        gallery.add(some_codes(2), [Sighting(name="new"), sighting])
    assert contents(gallery) == before
    assert gallery.verify() == []


def test_what_is_stored_comes_back_the_same(tmp_path):
    given = [
        Sighting("Tür ö", 1.7e9 + 1e-6, "rtsp://x/ä?b=1", -5, 2**40, (-0.0, 1 / 3, 2, 3), b"", 1),
        Sighting(time=-3.25, thumbnail=b"\xff\xd8\0jpeg", name="Zoë"),
        Sighting(time=0, frame=np.int64(3), box=np.array([1.5, 2, 3, 4])),
    ]
    codes = some_codes(3)
    with Gallery.create(tmp_path / "g", BITS, codes.weights, "net") as gallery:
        first = gallery.add(codes[:1], [Sighting(name="Ann")])
        gallery.add(codes, given)
        stored = gallery.sightings(after=int(first[0]), thumbnails=True)
    assert stored[0] == Sighting(
        "Tür ö", 1.7e9 + 1e-6, "rtsp://x/ä?b=1", -5, 2**40, (0, 1 / 3, 2, 3), b"", 1, "Ann", 2
    )
    assert (stored[1].time, stored[1].thumbnail, stored[1].name) == (
        -3.25,
        b"\xff\xd8\0jpeg",
        "Zoë",
    )
    assert stored[1].box is None
    assert (stored[2].frame, stored[2].box) == (3, (1.5, 2, 3, 4))


def test_a_sighting_without_a_time_is_of_now(gallery):
    before = time.time()
    (number,) = gallery.add(some_codes(1), [Sighting()])
    (stored,) = gallery.sightings(ids=[number])
    assert before <= stored.time <= time.time()


def test_sightings_come_in_pages_and_from_the_newest_on(gallery):
    assert [s.id for s in gallery.sightings(after=10, limit=3)] == [11, 12, 13]
    assert [s.id for s in gallery.sightings(newest=True, limit=3, cameras=["cam0"])] == [58, 55, 52]
    assert gallery.sightings(limit=0) == []


def test_a_search_finds_what_was_added_since_and_nothing_that_is_gone(gallery):
    query = some_codes(1, seed=4)
    gallery.search_many(query)
    (new,) = gallery.add(query, [Sighting(camera="new")])
    assert found(gallery.search_many(query, 1)) == [[(new, 0.0)]]
    assert gallery.forget(cameras=["new"]) == 1
    assert new not in [number for number, _ in found(gallery.search_many(query, 100))[0]]
    (newer,) = gallery.add(query, [Sighting()])
    assert newer > new  # an id is never given twice
    assert found(gallery.search_many(query, 1)) == [[(newer, 0.0)]]


def test_readers_follow_a_writer(gallery):
    query = some_codes(1, seed=4)
    with Gallery.open(gallery.folder, read_only=True) as reader:
        assert len(reader.search_many(query, 100)[0]) == 60
        (new,) = gallery.add(query, [Sighting(camera="new")])
        assert found(reader.search_many(query, 1)) == [[(new, 0.0)]]
        gallery.forget(cameras=["cam0"])
        assert len(reader.search_many(query, 100)[0]) == 41
        with pytest.raises(GalleryError, match="read-only open: nothing can be changed"):
            reader.add(query, [Sighting()])


def test_threads_search_while_one_adds(gallery):
    query = some_codes(1, seed=4)
    failures, stop = [], threading.Event()

    def search():
        try:
            while not stop.is_set():
                assert len(gallery.search_many(query, 5)[0]) == 5
                assert gallery.count() >= 60
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        gallery.add(query, [Sighting(camera="new")])
    gallery.forget(cameras=["cam1"])
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(gallery.search_many(query, 100)[0]) == 60


def test_an_empty_gallery_answers(tmp_path):
    with Gallery.create(tmp_path / "g", 16) as gallery:
        codes = Codes(np.zeros((2, 2), np.uint8), 16)
        assert gallery.search_many(codes) == [[], []]
        assert gallery.search_many(codes[:0]) == []
        assert gallery.info()["first"] is None
        assert gallery.forget(cameras=["x"]) == 0
        assert gallery.verify() == []
        assert len(gallery.add(codes[:0], [])) == 0
        gallery.add(codes, [Sighting(), Sighting()])  # of an unknown model, like the gallery
        assert len(gallery.search_many(codes, 5)[0]) == 2


def test_creating_where_there_is_one_and_opening_where_there_is_none(gallery, tmp_path):
    with pytest.raises(GalleryError, match="a gallery in .* already"):
        Gallery.create(gallery.folder, 16)
    with pytest.raises(GalleryError, match="is no gallery: it holds no gallery.sqlite"):
        Gallery.open(tmp_path)
    with pytest.raises(CodeError, match="3 weights for codes of 16 bits"):
        Gallery.create(tmp_path / "h", 16, [1, 2, 3])
    assert not (tmp_path / "h").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(GalleryError):
        Gallery.open(tmp_path / "file", read_only=True)


def test_a_gallery_of_a_newer_version_is_refused(tmp_path):
    make(tmp_path / "g").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "g" / "gallery.sqlite")) as db, db:
        put_meta(db, "schema", 2)
    with pytest.raises(GalleryError, match="tables of version 2; .* reads version 1"):
        Gallery.open(tmp_path / "g")
