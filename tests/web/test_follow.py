"""Videos on the page: people are followed, known ones found, and kept only where that is asked."""

import threading

import numpy as np
import pytest

from reid_hash.errors import DataError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.video.identity.recognition import LearnedLimit
from reid_hash.video.track_code import TrackDescriptor
from reid_hash.web.follow import Follower, UnsavedPeople, follow_files


@pytest.fixture
def film(page_gallery):
    return page_gallery.film()


def test_looking_changes_nothing(page_gallery, film):
    looked = list(follow_files(page_gallery, film, False, threading.Event()))
    assert [one.frames for one, _ in looked] == list(range(1, 301))
    assert looked[-1][0].picture.shape == (360, 640, 3)
    people = looked[-1][1].people()
    new = [one for one in people if not one.known]
    assert len(new) >= 3
    assert all(one.label == f"new {-one.identity}" for one in new)
    # somebody is found again before the second camera
    assert any(len(one.cameras) == 2 for one in people)
    assert len(page_gallery.gallery) == 48


def test_keeping_adds_people_who_are_known_the_next_time(page_gallery, film):
    (first, *_) = film
    seen = list(follow_files(page_gallery, [first], True, threading.Event()))[-1][1].people()
    assert len(page_gallery.gallery) > 48
    new = {one.identity for one in seen if not one.known}
    assert new
    assert new <= {one.id for one in page_gallery.gallery.people.identities()}
    Gallery.open(page_gallery.place).close()  # the page has let go of the gallery
    before = len(page_gallery.gallery)
    again = list(follow_files(page_gallery, [first], False, threading.Event()))[-1][1].people()
    assert new & {one.identity for one in again if one.known}
    assert len(page_gallery.gallery) == before


def test_it_stops(page_gallery, film):
    stop = threading.Event()
    count = 0
    for count, _ in enumerate(follow_files(page_gallery, film, False, stop), 1):
        if count == 5:
            stop.set()
    assert count == 5


def test_what_is_no_video_is_told(page_gallery, tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 100)
    with pytest.raises(DataError, match=r"film.mp4"):
        list(follow_files(page_gallery, [file], False, threading.Event()))


def test_a_page_that_may_not_write_says_so(page_gallery):
    told = pytest.raises(Exception, match="another process writes")
    with Gallery.open(page_gallery.place), told:
        Follower(page_gallery, ["webcam"], [4.0], keep=True)


def test_newcomers_are_told_from_known_people(page_gallery, tmp_path):
    codes, ids = page_gallery.gallery.codes()
    far = codes.from_outputs(1.0 - 2.0 * codes[:1].unpack(), codes.weights, codes.model)
    limit = LearnedLimit(float(codes.weights.sum()), 0.05)
    unsaved = UnsavedPeople(page_gallery.gallery, tmp_path / "seen", page_gallery.bits, limit)
    sighting = page_gallery.gallery.sightings(ids=[1])[0]
    plain = type(sighting)(camera="webcam")

    def descriptor(code):
        return TrackDescriptor(code, np.where(code.unpack()[0], 0.4, -0.7).astype(np.float32))

    known = unsaved.find(descriptor(codes[:1]), set())
    assert known.identity == 1
    assert known.distance == pytest.approx(0, abs=1e-3)
    assert unsaved.find(descriptor(codes[:1]), {1}).identity != 1
    assert unsaved.find(descriptor(far), set()).identity is None
    one = unsaved.start(far, plain)
    assert (one, unsaved.label(one), unsaved.label(1)) == (-1, "new 1", "walker 01")
    assert unsaved.find(descriptor(far), set()).identity == -1
    unsaved.join(far, plain, one)
    unsaved.join(codes[:1], plain, 1)
    unsaved.keep(far, plain)
    other = unsaved.start(far, plain)
    assert unsaved.merge(one, other) == -1
    assert unsaved.merge(1, one) == 1
    assert unsaved.find(descriptor(far), set()).identity is None
    unsaved.close()
    assert len(page_gallery.gallery) == len(ids)
