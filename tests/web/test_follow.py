"""Videos on the page: people are followed, known ones found, and kept only where that is asked."""

import threading

import numpy as np
import pytest

from reid_hash.errors import DataError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.video.identity.limit import LearnedLimit
from reid_hash.video.identity.track_code import Look
from reid_hash.web.follow import Follower, follow_files
from reid_hash.web.unsaved_people import Visitors


@pytest.fixture
def film(desk):
    return desk.film()


def test_looking_changes_nothing(desk, film):
    looked = list(follow_files(desk, film, False, threading.Event()))
    assert [one.frames for one, _ in looked] == list(range(1, 301))
    assert looked[-1][0].picture.shape == (360, 640, 3)
    people = looked[-1][1].people()
    new = [one for one in people if not one.known]
    assert len(new) >= 3
    assert all(one.label == f"new {-one.identity}" for one in new)
    # somebody is found again before the second camera
    assert any(len(one.cameras) == 2 for one in people)
    assert len(desk.gallery) == 48


def test_keeping_adds_people_who_are_known_the_next_time(desk, film):
    (first, *_) = film
    seen = list(follow_files(desk, [first], True, threading.Event()))[-1][1].people()
    assert len(desk.gallery) > 48
    new = {one.identity for one in seen if not one.known}
    assert new
    assert new <= {one.id for one in desk.gallery.people.identities()}
    Gallery.open(desk.folder).close()  # the page has let go of the gallery
    before = len(desk.gallery)
    again = list(follow_files(desk, [first], False, threading.Event()))[-1][1].people()
    assert new & {one.identity for one in again if one.known}
    assert len(desk.gallery) == before


def test_it_stops(desk, film):
    stop = threading.Event()
    count = 0
    for count, _ in enumerate(follow_files(desk, film, False, stop), 1):
        if count == 5:
            stop.set()
    assert count == 5


def test_what_is_no_video_is_told(desk, tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 100)
    with pytest.raises(DataError, match=r"film.mp4"):
        list(follow_files(desk, [file], False, threading.Event()))


def test_a_page_that_may_not_write_says_so(desk):
    told = pytest.raises(Exception, match="another process writes")
    with Gallery.open(desk.folder), told:
        Follower(desk, ["webcam"], [4.0], keep=True)


def test_newcomers_are_told_from_known_people(desk, tmp_path):
    codes, ids = desk.gallery.codes()
    far = codes.from_outputs(1.0 - 2.0 * codes[:1].unpack(), codes.weights, codes.model)
    limit = LearnedLimit(float(codes.weights.sum()), 0.05)
    visitors = Visitors(desk.gallery, tmp_path / "seen", desk.bits, limit)
    sighting = desk.gallery.sightings(ids=[1])[0]
    plain = type(sighting)(camera="webcam")

    def look(code):
        return Look(code, np.where(code.unpack()[0], 0.4, -0.7).astype(np.float32))

    known = visitors.find(look(codes[:1]), set())
    assert known.identity == 1
    assert known.distance == pytest.approx(0, abs=1e-3)
    assert visitors.find(look(codes[:1]), {1}).identity != 1
    assert visitors.find(look(far), set()).identity is None
    one = visitors.start(far, plain)
    assert (one, visitors.label(one), visitors.label(1)) == (-1, "new 1", "walker 01")
    assert visitors.find(look(far), set()).identity == -1
    visitors.join(far, plain, one)
    visitors.join(codes[:1], plain, 1)
    visitors.keep(far, plain)
    other = visitors.start(far, plain)
    assert visitors.merge(one, other) == -1
    assert visitors.merge(1, one) == 1
    assert visitors.find(look(far), set()).identity is None
    visitors.close()
    assert len(desk.gallery) == len(ids)
