"""A write that is sent twice is done once, also where the service ended in between."""

import os
import signal
import subprocess
import sys
import threading

import httpx
import pytest

from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.api.answered import Answered, Given
from reid_hash.web.api.problems import Problem
from reid_hash.web.api.state import State, state_folder
from tests.gallery.galleries import some_codes
from tests.web.api.conftest import Client, b64, picture, problem

CODE = {"code": b64(some_codes(1).packed.tobytes()), "camera": "door"}


def add(client, key, **more):
    headers = {"idempotency-key": key}
    return client.post("/sightings", json={"sightings": [{**CODE, **more}]}, headers=headers)


def test_sent_twice_done_once(client, serve, server, folder, stored):
    first, again = add(client, "a"), add(client, "a")
    assert first.json() == again.json() == {"ids": [61]}
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert problem(add(client, "a", time=4.0)) == (409, "key-reused")
    assert add(client, "b").json() == {"ids": [62]}
    server.close()
    assert add(Client(serve(folder)), "a").json() == {"ids": [61]}
    assert len(stored()) == 62


def test_a_key_is_of_one_caller(server, add_key, stored):
    for name in ("ann", "bob"):
        assert add(Client(server, add_key(name, "write")), "a").status_code == 201
    assert len(stored()) == 62


def test_what_was_refused_may_be_sent_again(client, folder):
    with Gallery.open(folder):
        assert problem(add(client, "a")) == (503, "gallery-busy")
    assert add(client, "a").json() == {"ids": [61]}
    assert problem(add(client, "b", identity=7)) == (404, "not-found")
    client.post("/people/assign", json={"ids": [1], "identity": "Ann"})
    assert problem(add(client, "c", time="x")) == (422, "invalid")
    assert problem(add(client, "ü".encode("latin-1"))) == (422, "invalid")


def test_ten_at_once_under_one_key(server, stored):
    replies = []
    threads = [
        threading.Thread(target=lambda: replies.append(add(Client(server), "a"))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {reply.status_code for reply in replies} <= {201, 409}
    assert add(Client(server), "a").json() == {"ids": [61]}
    assert len(stored()) == 61


def test_every_write_takes_a_key(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            names = [one["name"] for one in operation.get("parameters", ())]
            writes = operation["x-role"] in ("write", "erase")
            assert ("Idempotency-Key" in names) == writes, (method, path)


def test_a_form_is_the_same_though_its_boundary_differs(folder, serve, tmp_path):
    from reid_hash.models.shipped import WALKERS_GALLERY

    Gallery.load(tmp_path / "walkers", WALKERS_GALLERY).close()
    client = Client(serve(tmp_path / "walkers"))
    files, headers = {"files": ("a.png", picture())}, {"idempotency-key": "a"}
    first = client.post("/sightings/files", files=files, headers=headers)
    again = client.post("/sightings/files", files=files, headers=headers)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    files = {"files": ("a.png", picture(1))}
    reply = client.post("/sightings/files", files=files, headers=headers)
    assert problem(reply) == (409, "key-reused")


def test_a_write_that_the_service_did_not_survive(tmp_path):
    state = State(tmp_path)
    before = Answered(state)
    assert before.begin("me", "a", b"request") is None
    with pytest.raises(Problem) as stopped:
        before.begin("me", "a", b"request")
    assert stopped.value.name == "in-progress"
    after = Answered(state)
    with pytest.raises(Problem) as stopped:
        after.begin("me", "a", b"request")
    assert stopped.value.name == "outcome-unknown"
    assert after.begin("me", "b", b"request") is None
    after.finish("me", "b", Given(201, b"{}"))
    assert Answered(state).begin("me", "b", b"request") == Given(201, b"{}")
    state.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_service_loses_no_write_that_it_acknowledged(folder, stored):
    for round_ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "reid_hash", "serve", "--gallery", str(folder), "--no-page",
             "--port", "0"],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        url = process.stdout.readline().split()[4]
        acknowledged, last = [], threading.Event()

        def write(url=url, acknowledged=acknowledged, last=last, round_=round_):
            number = 0
            with httpx.Client(base_url=url, timeout=30) as client:
                while True:
                    try:
                        reply = add(client, f"{round_}-{number}", track=number)
                    except httpx.HTTPError:
                        return
                    if reply.status_code == 201:
                        acknowledged.append((reply.json()["ids"][0], number))
                    if len(acknowledged) >= 20:
                        last.set()
                    number += 1

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert last.wait(60)
        process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
        process.wait()
        there = {one.id: one.track for one in stored()}
        assert {number: there.get(number) for number, _ in acknowledged} == dict(acknowledged)
        with Gallery.open(folder) as gallery:
            assert gallery.verify() == []
    assert state_folder(folder).exists()
