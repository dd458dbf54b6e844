"""A gallery behind a service does what the same gallery in a folder does."""

import http.server
import shutil
import threading
import time
from datetime import timedelta

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra: pip install 'reid-hash[service]'")

import reid_hash
from reid_hash.errors import BusyError, CodeError, GalleryError, MissingError
from reid_hash.gallery.open import create_gallery, open_gallery
from reid_hash.gallery.service.address import ServiceAddress, parse_service
from reid_hash.gallery.service.gallery import ServiceGallery
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.api.keys import Keys
from reid_hash.web.api.state import State, state_folder
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings
from tests.gallery.galleries import BITS, contents, make, some_codes, some_sightings

FILTERS = [
    {}, {"cameras": ["cam1"]}, {"cameras": ["cam0", "cam2"], "since": 1010.0, "until": 1030.5},
    {"sources": ["video1.mp4"], "exclude_ids": list(range(1, 31))}, {"tracks": [3, 4]},
    {"ids": np.array([5, 7, 61, 99])}, {"identities": ["Ann"]}, {"identities": [1, "Bob"]},
    {"exclude_identities": ["Ann"], "exclude_cameras": ["cam0"]}, {"ids": []},
    {"since": None, "cameras": ("cam2",)}, {"exclude_sources": ["video0.mp4"]},
]  # fmt: skip


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """The same gallery twice: in a folder, and behind a service that wants a key."""
    monkeypatch.setattr(Server, "_warm", lambda self: None)
    make(tmp_path / "served", thumbnail=b"\xff\xd8\xff small").close()
    shutil.copytree(tmp_path / "served", tmp_path / "folder")
    state = State(state_folder(tmp_path / "served"))
    key = Keys(state).add("me", ["read", "write", "erase"])
    state.close()
    with (
        Server(Settings(tmp_path / "served", port=0, page=False)) as server,
        Gallery.open(tmp_path / "folder") as folder,
        reid_hash.Gallery(server.url, key=key) as behind,
    ):
        yield folder, behind


def both(pair, work):
    """What a piece of work gives, or raises, in both galleries: it must be the same."""
    told = []
    for gallery in pair:
        try:
            told.append(work(gallery))
        except GalleryError as error:
            told.append(type(error))
    assert told[0] == told[1]
    return told[0]


def test_it_is_the_same_gallery(pair):
    assert isinstance(pair[1], ServiceGallery)
    assert both(pair, contents)
    assert both(pair, lambda gallery: gallery.cameras()) == {f"cam{i}": 20 for i in range(3)}
    assert both(pair, len) == 60
    facts = pair[1].info()
    assert (facts["sightings"], facts["identities"], facts["bits"]) == (60, 0, BITS)


@pytest.mark.parametrize("where", FILTERS)
def test_filters(pair, where):
    both(pair, lambda gallery: gallery.people.assign([1, 2, 5], "Ann"))
    both(pair, lambda gallery: gallery.people.assign([7, 8], "Bob"))
    both(pair, lambda gallery: gallery.sightings(**where))
    both(pair, lambda gallery: gallery.sightings(newest=True, limit=7, **where))
    both(pair, lambda gallery: gallery.sightings(after=20, limit=7, thumbnails=True, **where))
    both(pair, lambda gallery: gallery.count(**where))
    both(pair, lambda gallery: [part.tolist() for part in (gallery.codes(**where)[1],)])
    both(pair, lambda gallery: gallery.find(some_codes(3, seed=4), 6, **where))


@pytest.mark.parametrize("bits", [None, 8, 20, BITS])
@pytest.mark.parametrize("weighted", [True, False])
def test_searches(pair, bits, weighted):
    codes, values = some_codes(130, seed=4), np.linspace(-1, 1, 2 * BITS).reshape(2, BITS)
    both(pair, lambda gallery: gallery.find(codes, 3, bits=bits, weighted=weighted))
    both(pair, lambda gallery: gallery.find(values, 3, bits=bits, weighted=weighted))
    if bits is not None:
        both(pair, lambda gallery: gallery.find(codes[:2].prefix(bits), 2000, bits=bits))


def test_people_and_adding(pair):
    def add(gallery):
        sightings = some_sightings(5, name="Ann", thumbnail=b"\xff\xd8\xff more")
        ids = gallery.add(some_codes(5, seed=8), sightings).tolist()
        number = gallery.new_identity()
        later = [Sighting("yard", 5.0, identity=number), Sighting("yard", 1e9 / 3)]
        return ids + gallery.add(some_codes(2, seed=9), later).tolist()

    assert both(pair, add) == list(range(61, 68))
    both(pair, lambda gallery: gallery.people.name(2, "Bob"))
    both(pair, lambda gallery: gallery.people.split("Ann", ids=[61, 62], name="Cid"))
    both(pair, lambda gallery: gallery.people.merge("Bob", "Cid"))
    both(pair, lambda gallery: gallery.people.merge("Bob", "Bob"))
    assert both(pair, lambda gallery: gallery.people.split("Dee", ids=[61])) is MissingError
    assert both(pair, lambda gallery: gallery.people.name("Bob", "Ann")) is GalleryError
    both(pair, lambda gallery: gallery.people.assign([3], None))
    both(pair, lambda gallery: gallery.labelled(4, seed=1)[::2])
    both(pair, contents)


def test_erasing(pair):
    both(pair, lambda gallery: gallery.people.assign([1, 2], "Ann"))
    assert both(pair, lambda gallery: gallery.forget(identities=["Ann"])) == 2
    assert both(pair, lambda gallery: gallery.forget(cameras=["cam2"], until=1020.0)) > 0
    assert both(pair, lambda gallery: gallery.forget()) is GalleryError
    assert both(pair, lambda gallery: gallery.prune(timedelta(seconds=9), now=1060.0)) > 0
    both(pair, contents)


def test_a_calibration_is_read(pair, tmp_path):
    assert both(pair, lambda gallery: gallery.calibration) is None
    for person in range(6):
        ids = list(range(1 + 4 * person, 5 + 4 * person))
        both(pair, lambda gallery, ids=ids, person=person: gallery.people.assign(ids, f"p{person}"))
    folder, behind = pair
    folder.calibrate([16, BITS])
    time.sleep(2.5)  # until the service lets go of the gallery
    with Gallery.open(tmp_path / "served") as gallery:
        gallery.calibrate([16, BITS])
    assert behind.calibration.to_json() == folder.calibration.to_json()
    with pytest.raises(GalleryError, match="calibrate the gallery where it is kept"):
        behind.calibration = None


def test_many_threads_share_one(pair):
    folder, behind = pair
    expected = folder.find(some_codes(1), 3)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(behind.find(some_codes(1), 3)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 10


def test_a_connection_that_broke_is_made_anew(pair):
    _, behind = pair
    behind._link._connection.sock.close()
    assert behind.add(some_codes(1), [Sighting()]).tolist() == [61]
    assert len(behind) == 61


def test_what_is_wrong_is_said(pair, tmp_path, monkeypatch):
    _, behind = pair
    url = behind.place
    monkeypatch.delenv("REID_HASH_KEY", raising=False)
    with pytest.raises(GalleryError, match=r"a key is needed; set \$REID_HASH_KEY"):
        reid_hash.Gallery(url)
    monkeypatch.setenv("REID_HASH_KEY", "rh_wrong")
    with pytest.raises(GalleryError, match=r"the key is not known; set \$REID_HASH_KEY"):
        open_gallery(parse_service(url))
    with pytest.raises(CodeError, match="codes of model other do not fit"):
        reid_hash.Gallery(url, some_codes(1, model="other"), key=behind._link._address.key)
    with pytest.raises(CodeError, match="hold"):
        behind.add(some_codes(1, bits=16), [Sighting()])
    with pytest.raises(GalleryError, match="takes no key"):
        Gallery(tmp_path / "folder", key="x")
    with pytest.raises(GalleryError, match="make a gallery where the service runs"):
        create_gallery(parse_service(url), some_codes(1))
    with Gallery.open(tmp_path / "served"), pytest.raises(BusyError, match="another process"):
        behind.add(some_codes(1), [Sighting()])
    with ServiceGallery(ServiceAddress(url, behind._link._address.key), read_only=True) as reader:
        assert len(reader) == 60
        with pytest.raises(GalleryError, match="read-only"):
            reader.forget(ids=[1])
    for work in (
        lambda: behind.export(tmp_path / "all.npz"),
        lambda: behind.keep_document("a", ""),
    ):
        with pytest.raises(GalleryError, match="where"):
            work()
    assert behind.document("cameras") is None
    behind.close()
    with pytest.raises(GalleryError, match="no longer open"):
        len(behind)


@pytest.mark.parametrize(
    "text",
    ["http://", "https://:80", "http://a:b@host", "http://host/?a=b", "http://host:99999",
     "http://ho st", "http://host/#x", "http://[::1"],
)  # fmt: skip
def test_an_address_that_is_none(text):
    with pytest.raises(GalleryError):
        parse_service(text)


def test_nobody_there_and_somebody_else_there():
    with pytest.raises(GalleryError, match=r"cannot reach http://127.0.0.1:9"):
        reid_hash.Gallery("http://127.0.0.1:9")
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(GalleryError, match="is that `reid-hash serve`"):
            reid_hash.Gallery(f"http://127.0.0.1:{other.server_port}")
        other.shutdown()
