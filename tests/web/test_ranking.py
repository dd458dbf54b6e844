"""What the search page answers, compared with the gallery's own search and plain loops."""

import threading
import time

import numpy as np
import pytest

from reid_hash.distances import hamming, weighted
from reid_hash.errors import CodeError, ConfigError, GalleryError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web import html
from reid_hash.web.ranking import Query, View, query_of, rank
from reid_hash.web.uploads import read_upload


def test_a_sighting_finds_others_of_the_person_and_not_itself(page_gallery):
    found = rank(page_gallery, query_of(page_gallery, 1), View(page_gallery.bits, top=47))
    codes, ids = page_gallery.gallery.codes()
    distances = weighted(codes[:1], codes)[0]
    order = [i for i in np.lexsort((ids, distances)) if ids[i] != 1]
    assert [match.sighting.id for match in found.matches] == [int(ids[i]) for i in order]
    assert [match.distance for match in found.matches] == [distances[i] for i in order]
    assert (found.searched, found.of_person) == (47, 3)
    assert sum(found.right(match) is True for match in found.matches) == 3
    # walker 08 has four sightings and no identity: nobody knows whether they are right
    assert sum(found.right(match) is None for match in found.matches) == 4
    assert all(match.sighting.thumbnail[:2] == b"\xff\xd8" for match in found.matches)
    assert found.farthest == pytest.approx(page_gallery.gallery.weights.sum())


@pytest.mark.parametrize("bits", [8, 9, 64])
def test_the_first_bits_alone_count(page_gallery, bits):
    codes, _ = page_gallery.gallery.codes()
    short = codes.prefix(bits)
    found = rank(page_gallery, query_of(page_gallery, 5), View(bits, weighted=False, top=10))
    assert found.matches[0].distance == sorted(hamming(short[4:5], short)[0])[1]
    assert found.farthest == bits


def test_filters_by_camera_and_time(page_gallery):
    query = query_of(page_gallery, 1)
    assert {
        match.sighting.camera
        for match in rank(page_gallery, query, View(64, cameras=["hall"])).matches
    } == {"hall"}
    others = rank(page_gallery, query, View(64, others=True))
    assert {match.sighting.camera for match in others.matches} == {"hall"}
    assert others.searched == 24
    early = rank(page_gallery, query, View(64, until="2026-03-02T08:01:00Z")).matches
    assert early
    assert max(match.sighting.time for match in early) < 1772438460
    assert not rank(page_gallery, query, View(64, since="2026-03-03")).matches
    with pytest.raises(ConfigError, match="no time in ISO 8601"):
        rank(page_gallery, query, View(64, since="yesterday"))
    with pytest.raises(CodeError, match="choose 1 to 128"):
        rank(page_gallery, query, View(129))


def test_a_new_picture_finds_the_person(page_gallery, crop):
    code = page_gallery.encode(read_upload(crop))
    found = rank(page_gallery, Query(code, "walker.png"), View(page_gallery.bits, top=5))
    assert found.matches[0].sighting.name == "walker 03"
    assert found.of_person is None
    assert {found.right(match) for match in found.matches} == {None}


def test_a_sighting_that_is_gone_is_told(page_gallery):
    with pytest.raises(GalleryError, match="no sighting 999 in the gallery any more"):
        query_of(page_gallery, 999)


def test_someone_forgotten_while_being_searched_for_is_found_no_more(page_gallery):
    query, view = query_of(page_gallery, 1), View(128)
    with page_gallery.writing() as gallery:
        gallery.forget(identities=["walker 01"])
    found = rank(page_gallery, query, view)
    assert found.of_person == 0
    assert "walker 01" not in {match.sighting.name for match in found.matches}


def test_searches_go_on_while_the_gallery_is_written(page_gallery):
    """Fifty threads search while sightings come in and people are forgotten."""
    codes, _ = page_gallery.gallery.codes()
    failed, answered = [], []
    done = threading.Event()

    def search():
        try:
            while not done.is_set():
                answered.append(
                    len(rank(page_gallery, query_of(page_gallery, 9), View(64, top=5)).matches)
                )
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=search) for _ in range(50)]
    with Gallery.open(page_gallery.place) as writer:  # as another program does
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


def test_another_writer_is_told_and_nothing_changes(page_gallery):
    told = pytest.raises(GalleryError, match="another process writes")
    with Gallery.open(page_gallery.place), told, page_gallery.writing():
        pass
    with page_gallery.writing() as one, page_gallery.writing() as same:
        assert one is same
        same.people.name(1, "Ann")
    Gallery.open(page_gallery.place).close()  # the page has let go of it
    assert page_gallery.gallery.people.identities()[0].name == "Ann"


def test_html_escapes_what_comes_from_the_gallery(page_gallery):
    evil = "<img src=x onerror=alert(1)>'\""
    with page_gallery.writing() as gallery:
        codes, _ = gallery.codes(ids=[1])
        (number,) = gallery.add(codes, [Sighting(camera=evil, source=evil, name=evil)])
    query, view = query_of(page_gallery, 1), View(128, top=3)
    page = html.ranking_html(query, view, rank(page_gallery, query, view))
    own = html.query_card(query_of(page_gallery, int(number)))
    assert "no picture kept" in page
    for text in (page, own):
        assert "&lt;img src=x" in text
        assert "<img src=x" not in text
        assert "onerror=alert(1)>'" not in text
