"""What the search page answers, compared with the gallery's own search and plain loops."""

import threading
import time

import numpy as np
import pytest

from reid_hash.distances import hamming, weighted
from reid_hash.errors import CodeError, ConfigError, GalleryError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web import cards
from reid_hash.web.ranking import Question, View, question_of, rank
from reid_hash.web.uploads import read_upload


def test_a_sighting_finds_others_of_the_person_and_not_itself(desk):
    found = rank(desk, question_of(desk, 1), View(desk.bits, top=47))
    codes, ids = desk.gallery.codes()
    distances = weighted(codes[:1], codes)[0]
    order = [i for i in np.lexsort((ids, distances)) if ids[i] != 1]
    assert [hit.sighting.id for hit in found.hits] == [int(ids[i]) for i in order]
    assert [hit.distance for hit in found.hits] == [distances[i] for i in order]
    assert (found.searched, found.of_person) == (47, 3)
    assert sum(hit.right is True for hit in found.hits) == 3
    # walker 08 has four sightings and no identity: nobody knows whether they are right
    assert sum(hit.right is None for hit in found.hits) == 4
    assert all(hit.thumbnail[:2] == b"\xff\xd8" for hit in found.hits)
    assert found.farthest == pytest.approx(desk.gallery.weights.sum())


@pytest.mark.parametrize("bits", [8, 9, 64])
def test_the_first_bits_alone_count(desk, bits):
    codes, _ = desk.gallery.codes()
    short = codes.prefix(bits)
    found = rank(desk, question_of(desk, 5), View(bits, weighted=False, top=10))
    assert found.hits[0].distance == sorted(hamming(short[4:5], short)[0])[1]
    assert found.farthest == bits


def test_filters_by_camera_and_time(desk):
    question = question_of(desk, 1)
    assert {
        hit.sighting.camera for hit in rank(desk, question, View(64, cameras=["hall"])).hits
    } == {"hall"}
    others = rank(desk, question, View(64, others=True))
    assert {hit.sighting.camera for hit in others.hits} == {"hall"}
    assert others.searched == 24
    early = rank(desk, question, View(64, until="2026-03-02T08:01:00Z")).hits
    assert early
    assert max(hit.sighting.time for hit in early) < 1772438460
    assert not rank(desk, question, View(64, since="2026-03-03")).hits
    with pytest.raises(ConfigError, match="no time in ISO 8601"):
        rank(desk, question, View(64, since="yesterday"))
    with pytest.raises(CodeError, match="choose 1 to 128"):
        rank(desk, question, View(129))


def test_a_new_picture_finds_the_person(desk, crop):
    code = desk.encode(read_upload(crop))
    found = rank(desk, Question(code, "walker.png"), View(desk.bits, top=5))
    assert found.hits[0].sighting.name == "walker 03"
    assert found.of_person is None
    assert {hit.right for hit in found.hits} == {None}


def test_a_sighting_that_is_gone_is_told(desk):
    with pytest.raises(GalleryError, match="no sighting 999 in the gallery any more"):
        question_of(desk, 999)


def test_someone_forgotten_while_being_searched_for_is_found_no_more(desk):
    question, view = question_of(desk, 1), View(128)
    with desk.writing() as gallery:
        gallery.forget(identities=["walker 01"])
    found = rank(desk, question, view)
    assert found.of_person == 0
    assert "walker 01" not in {hit.sighting.name for hit in found.hits}


def test_searches_go_on_while_the_gallery_is_written(desk):
    """Fifty threads search while sightings come in and people are forgotten."""
    codes, _ = desk.gallery.codes()
    failed, answered = [], []
    done = threading.Event()

    def search():
        try:
            while not done.is_set():
                answered.append(len(rank(desk, question_of(desk, 9), View(64, top=5)).hits))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=search) for _ in range(50)]
    with Gallery.open(desk.folder) as writer:  # as another program does
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while len(answered) < 50 and not failed and time.monotonic() < until:
            number = writer.add(codes[:2], [Sighting(camera="new")] * 2)
            writer.forget(ids=number[:1].tolist())
        done.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert set(answered) == {5}
    assert len(answered) >= 50


def test_another_writer_is_told_and_nothing_changes(desk):
    told = pytest.raises(GalleryError, match="another process writes")
    with Gallery.open(desk.folder), told, desk.writing():
        pass
    with desk.writing() as one, desk.writing() as same:
        assert one is same
        same.name(1, "Ann")
    Gallery.open(desk.folder).close()  # the page has let go of it
    assert desk.gallery.people.identities()[0].name == "Ann"


def test_html_escapes_what_comes_from_the_gallery(desk):
    evil = "<img src=x onerror=alert(1)>'\""
    with desk.writing() as gallery:
        codes, _ = gallery.codes(ids=[1])
        (number,) = gallery.add(codes, [Sighting(camera=evil, source=evil, name=evil)])
    question, view = question_of(desk, 1), View(128, top=3)
    page = cards.ranking_html(question, view, rank(desk, question, view))
    own = cards.query_card(question_of(desk, int(number)))
    assert "no picture kept" in page
    for text in (page, own):
        assert "&lt;img src=x" in text
        assert "<img src=x" not in text
        assert "onerror=alert(1)>'" not in text
