"""Sightings through the service: added, listed, looked at."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from reid_hash.app.walkers import make_walkers_gallery
from reid_hash.data.walkers import walkers as dataset
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.galleries import some_codes
from tests.web.api.conftest import Client, b64, picture, problem


def test_the_service_alone_needs_no_gradio(folder):
    source = (
        "import sys\n"
        "sys.modules['gradio'] = None\n"
        "from pathlib import Path\n"
        "import httpx\n"
        "from reid_hash.web.server import Server\n"
        "from reid_hash.web.settings import Settings\n"
        f"with Server(Settings(Path({str(folder)!r}), port=0, page=False)) as server:\n"
        "    print(httpx.get(f'{server.url}/api/v1/ready').text)\n"
        "    print(httpx.get(server.url).status_code)\n"
        "print([name for name in sys.modules if name.startswith('gradio.')])\n"
    )
    out = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert out.stdout.splitlines() == ['{"status":"ok"}', "404", "[]"], out.stderr


def test_codes_are_added_with_all_that_is_known(client, stored):
    packed = some_codes(2, seed=5).packed
    seen = {"camera": "door", "time": 5.25, "source": "a.mp4", "track": 3, "frame": 4}
    seen |= {"box": [1, 2.5, 3, 4], "thumbnail": b64(picture(kind=".jpg"))}
    told = [
        {"code": b64(packed[0].tobytes()), "identity": "Ann", **seen},
        {"code": b64(packed[1].tobytes()), "camera": "hall"},
    ]
    reply = client.post("/sightings", json={"sightings": told})
    assert (reply.status_code, reply.json()) == (201, {"ids": [61, 62]})
    first, second = stored()[60:]
    assert first == Sighting(
        *("door", 5.25, "a.mp4", 3, 4, (1, 2.5, 3, 4), picture(kind=".jpg"), 1, "Ann", 61)
    )
    assert (second.camera, second.identity, second.thumbnail) == ("hall", None, None)
    assert second.time > 1e9
    reply = client.get("/sightings/61").json()
    assert {**seen, "thumbnail": None}.items() <= {**reply, "thumbnail": None}.items()
    found = client.post("/search", json={"queries": [{"sighting": 61}], "k": 1, "where": None})
    assert found.json()["answers"][0]["matches"][0]["sighting"]["id"] != 61


def test_all_or_none_are_added(client, stored):
    good = {"code": b64(some_codes(1).packed.tobytes())}
    for bad, expected in [
        ({"code": b64(b"\0" * 5)}, (422, "other-codes")),
        ({"code": b64(b"\0" * 5 + b"\xff")}, (422, "other-codes")),  # padding that is not zero
        ({"code": "#"}, (422, "invalid")),
        ({**good, "identity": 99}, (404, "not-found")),
        ({**good, "time": 1e30}, (422, "invalid")),
        ({**good, "time": "now"}, (422, "invalid")),
        ({**good, "camera": "a\0b"}, (422, "invalid")),
        ({**good, "camera": "\ud800"}, (422, "invalid")),
        ({**good, "box": [1, 2, 3]}, (422, "invalid")),
        ({**good, "colour": "red"}, (422, "invalid")),
        ({**good, "thumbnail": b64(picture())}, (415, "not-a-picture")),
        ({"camera": "door"}, (422, "invalid")),
        ({"embedding": [1.0, 2.0]}, (409, "no-model")),
    ]:
        body = json.dumps({"sightings": [good, bad]})  # httpx itself refuses half of a surrogate
        headers = {"content-type": "application/json"}
        reply = client.post("/sightings", content=body.encode(), headers=headers)
        assert problem(reply) == expected, bad
    assert len(stored()) == 60


def test_listing_gives_every_sighting_once(client, folder):
    for order in ("id", "newest"):
        ids, cursor = [], None
        while True:
            asked = {"limit": 7, "order": order} | ({"cursor": cursor} if cursor else {})
            page = client.get("/sightings", params=asked).json()
            ids += [one["id"] for one in page["sightings"]]
            if (cursor := page["next"]) is None:
                break
        assert ids == (list(range(1, 61)) if order == "id" else list(range(60, 0, -1)))


def test_listing_from_the_newest_bears_equal_times(client, folder):
    with Gallery.open(folder) as gallery:
        gallery.add(some_codes(25), [Sighting(time=5000.0 + i // 10) for i in range(25)])
    ids, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        asked = {"limit": 3, "order": "newest"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/sightings", params=asked).json()
        ids += [one["id"] for one in page["sightings"]]
        cursor, pages = page["next"], pages + 1
    assert ids == list(range(85, 0, -1))


def test_listing_by_filters(client):
    def ids(**asked):
        return [one["id"] for one in client.get("/sightings", params=asked).json()["sightings"]]

    client.post("/people/assign", json={"ids": [5, 9], "identity": "Ann"})
    assert ids(camera=["cam0", "cam1"], limit=4) == [1, 2, 4, 5]
    assert ids(since=1002.0, until=1004.0) == [3, 4]
    assert ids(track=2) == [9, 10, 11, 12]
    assert ids(name="Ann") == ids(identity=1) == [5, 9]
    assert ids(source="video1.mp4", limit=2) == [2, 4]
    assert problem(client.get("/sightings", params={"name": "Bob"})) == (404, "not-found")
    assert problem(client.get("/sightings", params={"nam": "Ann"})) == (422, "invalid")
    assert problem(client.get("/sightings", params={"cursor": "x"})) == (422, "invalid")
    where = {"exclude_cameras": ["cam0"], "exclude_identities": ["Ann"], "until": 1010}
    page = client.post("/sightings/query", json={"where": where, "codes": True}).json()
    assert [one["id"] for one in page["sightings"]] == [2, 3, 6, 8]
    assert page["sightings"][0]["code"] == b64(some_codes().packed[1].tobytes())
    assert client.post("/sightings/count", json=where).json() == {"sightings": 4}


def test_a_thumbnail_has_a_tag(client):
    code = b64(some_codes(1).packed.tobytes())
    small = picture(kind=".jpg")
    client.post("/sightings", json={"sightings": [{"code": code, "thumbnail": b64(small)}]})
    reply = client.get("/sightings/61/thumbnail")
    assert (reply.content, reply.headers["content-type"]) == (small, "image/jpeg")
    assert reply.headers["cache-control"] == "private, no-cache"
    tag = reply.headers["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = client.get("/sightings/61/thumbnail", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = client.get("/sightings/61/thumbnail", headers={"if-none-match": '"other"'})
    assert other.status_code == 200
    assert problem(client.get("/sightings/1/thumbnail")) == (404, "not-found")
    client.delete("/sightings/61")
    gone = client.get("/sightings/61/thumbnail", headers={"if-none-match": tag})
    assert problem(gone) == (404, "not-found")


@pytest.fixture(scope="module")
def walkers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walkers") / "gallery"
    make_walkers_gallery(folder, people=4, images=2)
    return folder


def test_pictures_are_encoded_added_and_found(walkers, serve, tmp_path):
    folder = shutil.copytree(walkers, tmp_path / "gallery")
    shown = dataset(0, train_identities=1, test_identities=3, images_per_camera=3).gallery
    crops = [cv2.imencode(".jpg", shown.read(i)[:, :, ::-1])[1].tobytes() for i in (0, 1)]
    client = Client(serve(folder))
    before = client.get("/gallery").json()["sightings"]
    sent = [{"image": b64(crop), "camera": "door", "identity": "Ann"} for crop in crops]
    first = client.post("/sightings", json={"sightings": sent}).json()["ids"]
    files = [("files", (f"{i}.jpg", crop)) for i, crop in enumerate(crops)]
    asked = {"camera": "yard", "time": "77.5", "name": "Ann"}
    again = client.post("/sightings/files", params=asked, files=files)
    assert again.status_code == 201
    second = again.json()["ids"]
    assert first + second == list(range(before + 1, before + 5))
    with Gallery.open(folder, read_only=True) as gallery:
        codes, _ = gallery.codes(ids=first + second)
        assert codes[:2] == codes[2:]
        seen = gallery.sightings(ids=second, thumbnails=True)
    assert {(one.camera, one.time, one.name) for one in seen} == {("yard", 77.5, "Ann")}
    assert all(one.thumbnail.startswith(b"\xff\xd8\xff") for one in seen)
    query = {"queries": [{"image": b64(crops[0])}, {"sighting": first[0]}], "k": 2, "bits": 64}
    picture_found, sighting_found = client.post("/search", json=query).json()["answers"]
    nearest = [one["sighting"]["id"] for one in picture_found["matches"]]
    assert nearest == [first[0], second[0]]
    assert [m["distance"] for m in picture_found["matches"]] == [0, 0]
    assert sighting_found["matches"][0]["sighting"]["id"] == second[0]
    reply = client.post("/search/files", params={"k": 1, "asymmetric": True}, files=files)
    assert len(reply.json()["answers"]) == 2
    many = {"queries": [{"image": b64(crops[0])}], "asymmetric": True, "k": 1}
    real, plain = client.post("/search", json=many).json(), reply.json()["answers"][0]
    assert np.isclose(real["answers"][0]["matches"][0]["distance"], plain["matches"][0]["distance"])
