"""The door of the service, attacked: keys, limits, paths, slow clients, a gallery that goes."""

import shutil
import socket
import threading
import time

import httpx
import pytest

from reid_hash.errors import ConfigError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.api.limits import Rate, Slots
from reid_hash.web.api.problems import Problem
from reid_hash.web.api.state import state_folder
from reid_hash.web.settings import Limits
from tests.gallery.galleries import everything_in, make, some_codes
from tests.web.api.conftest import Client, b64, picture, problem

READS = [("GET", "/gallery"), ("GET", "/sightings"), ("GET", "/people"), ("GET", "/receipts")]
READS += [("GET", "/metrics"), ("GET", "/cameras"), ("GET", "/models"), ("POST", "/search")]
READS += [("GET", "/sightings/1/thumbnail"), ("POST", "/sightings/count")]
WRITES = [("POST", "/sightings"), ("POST", "/sightings/files"), ("POST", "/people")]
WRITES += [("POST", "/people/assign"), ("POST", "/people/1/merge"), ("PUT", "/people/1/name")]
ERASES = [("POST", "/forget"), ("POST", "/prune"), ("DELETE", "/sightings/1")]
ERASES += [("DELETE", "/people/1")]
OPERATIONS = {"read": READS, "write": WRITES, "erase": ERASES}


def test_every_operation_needs_the_right_key(server, folder, add_key, stored):
    keys = {role: add_key(f"for {role}", role) for role in OPERATIONS}
    known = Client(server, keys["read"]).get("/openapi.json").json()["paths"]
    told = {
        (method.upper(), path.removeprefix("/api/v1")): operation["x-role"]
        for path, operations in known.items()
        for method, operation in operations.items()
    }
    clients = {role: Client(server, key) for role, key in keys.items()}
    wrong = (None, "x", keys["read"][:-1], keys["read"].replace("rh_", "rh_0"))
    strangers = [Client(server, key) for key in wrong]
    for role, operations in OPERATIONS.items():
        for method, path in operations:
            template = path.replace("/1", "/{}").replace("people/{}", "people/{identity}")
            template = template.replace("sightings/{}", "sightings/{sighting}")
            assert told[method, template] == role
            for other, client in clients.items():
                reply = client.request(method, path, content=b"x" * 10_000)
                if other == role:
                    assert reply.status_code not in (401, 403, 500)
                else:
                    assert problem(reply) == (403, "wrong-role")
            for client in strangers:
                assert problem(client.request(method, path, content=b"x")) == (401, "no-key")
                assert client.request(method, path).headers["www-authenticate"] == "Bearer"
    assert len(stored()) == 59  # the right key erased one


def test_without_a_key_nothing_is_learnt(server, add_key):
    add_key("somebody", "read")
    client = Client(server)
    for path in ("/openapi.json", "/nosuch", "/sightings/1", "/sightings/999", ""):
        assert problem(client.get(path)) == (401, "no-key")
    for path in ("/health", "/ready"):
        assert client.get(path).json() == {"status": "ok"}
    for header in ("Basic abc", "bearer", "Bearer a b", "Bearer \xff", "Bearer " + "x" * 5000):
        reply = client.get("/gallery", headers={"authorization": header.encode("latin-1")})
        assert problem(reply) == (401, "no-key")


def test_a_key_that_is_taken_back_is_no_longer_taken(server, folder, add_key):
    from reid_hash.web.api.keys import Keys
    from reid_hash.web.api.state import State

    client = Client(server)
    assert client.get("/gallery").status_code == 200  # loopback, and there is no key
    key = add_key("me", "read")
    assert problem(client.get("/gallery")) == (401, "no-key")
    mine = Client(server, key)
    assert mine.get("/gallery").status_code == 200
    state = State(state_folder(folder))
    with pytest.raises(ConfigError, match="there is a key for me already"):
        Keys(state).add("me", ["write"])
    assert [one.name for one in Keys(state).list()] == ["me"]
    Keys(state).add("other", ["write", "read"])
    Keys(state).remove("me")
    state.close()
    assert problem(mine.get("/gallery")) == (401, "no-key")


def test_no_key_is_at_rest(folder, add_key):
    key = add_key("me", "read", "erase")
    secret = key.split("_", 2)[2].encode()
    for path, data in everything_in(state_folder(folder)).items():
        assert secret not in data, path
        assert path.stat().st_mode & 0o077 == 0
    assert state_folder(folder).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_this_machine_a_key_is_needed(serve, folder, add_key, host):
    with pytest.raises(ConfigError, match="make a key with `reid-hash serve key add"):
        serve(folder, host=host)
    key = add_key("me", "read")
    try:
        server = serve(folder, host=host)
    except Exception as error:
        pytest.skip(f"this machine does not listen there: {error}")
    port = server.url.rsplit(":", 1)[1]
    server.url = f"http://127.0.0.1:{port}" if host == "0.0.0.0" else f"http://[::1]:{port}"
    assert problem(Client(server).get("/gallery")) == (401, "no-key")
    assert Client(server, key).get("/gallery").status_code == 200


def test_another_page_reads_and_changes_nothing(client, stored):
    for headers in (
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"},
    ):
        for method, path in READS + WRITES + ERASES:
            reply = client.request(method, path, headers=headers)
            assert reply.status_code == 403
            assert not [name for name in reply.headers if name.startswith("access-control-")]
    for host in ("evil.example", "evil.example:80", "127.0.0.1.example", ""):
        assert client.get("/gallery", headers={"host": host}).status_code == 400
    assert len(stored()) == 60


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../../etc/passwd", "/api/v1/sightings/../gallery",
        "/api/v1/..%2f..%2fetc%2fpasswd", "/api/v1/sightings/1%2fthumbnail",
        "/api/v1/sightings/%00", "/api/v1\\gallery", "/api",
        "/api/", "/api/v1", "/api/v2/gallery", "/api/v1/gallery/gallery.sqlite", "/api/v1//gallery",
        "/gallery.sqlite", "//api/v1/gallery", "/api/v1/service.sqlite", "/API/v1/gallery",
    ],
)  # fmt: skip
def test_path_tricks_lead_nowhere(shared, path):
    host, port = shared.base_url.host, shared.base_url.port
    with socket.create_connection((host, int(port)), 30) as raw:  # no client of good manners
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: raw.recv(65536), b""))
    assert reply.split()[1] in (b"404", b"422", b"400", b"307")
    assert b"SQLite format" not in reply
    assert b"root:" not in reply


def test_a_number_that_is_none(shared):
    for text in ("0", "-1", "1.5", "abc", "9" * 30, "%F0%9F%92%A9", "1e3", "٣"):
        assert shared.get(f"/sightings/{text}").status_code in (404, 422)


BODIES = [b"", b"[]", b"null", b"{", b"[" * 100_000, b'{"queries": 1e999}', b"\xff\xfe", b"NaN"]
BODIES += [b'{"queries": [{"sighting": ' + b"9" * 10_000 + b"}]}", b'{"a":' * 50_000]
BODIES += [b'{"queries": [{"values": [NaN]}]}', b'{"queries": [{"sighting": true}]}']


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_none(shared, body):
    for path in ("/search", "/sightings", "/forget", "/people/assign"):
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=b", ""):
            reply = shared.post(path, content=body, headers={"content-type": kind})
            assert problem(reply) == (422, "invalid")
    reply = shared.post("/sightings/files", content=body)
    assert reply.status_code == 400


FORMS = [b"", b"--b", b"--b\r\nno header\r\n\r\n", b"--b--\r\n", b"x" * 1000]
FORMS += [b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n']


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_is_none(shared, form):
    headers = {"content-type": "multipart/form-data; boundary=b"}
    for path in ("/sightings/files", "/search/files"):
        assert shared.post(path, content=form, headers=headers).status_code == 400
    assert shared.get("/gallery").json()["sightings"] == 60


@pytest.mark.parametrize("content", [b"no picture", b"#EXTM3U\nfile:///etc/passwd\n", b"\x89PNG"])
def test_files_that_are_no_pictures(server, client, content):
    reply = client.post("/sightings/files", files={"files": ("../../a.jpg", content)})
    assert reply.status_code == 415
    assert not list(server.service.inbox.folder.iterdir())


def test_too_many_files(shared):
    files = [("files", (f"{i}.png", picture(0, 8, 4))) for i in range(101)]
    assert problem(shared.post("/search/files", files=files)) == (422, "invalid")
    assert problem(shared.post("/search/files", files=files[:100])) == (409, "no-model")


def test_a_body_that_is_too_large(serve, folder):
    server = serve(folder, Limits(body=10_000))
    client = Client(server)
    assert problem(client.post("/search", content=b"x" * 10_001)) == (413, "too-large")

    def drops():
        for _ in range(11):
            yield b"x" * 1000

    reply = client.post("/search", content=drops())  # nobody says beforehand how much comes
    assert problem(reply) == (413, "too-large")
    assert client.get("/gallery").status_code == 200
    assert server.service.bodies.taken == 0


def test_a_picture_with_too_many_pixels(walkers_server):
    from tests.web.test_uploads import png

    client = Client(walkers_server)
    for sent in ([png(25_000, 20_000)], [picture(i, 600, 500) for i in range(4)]):
        reply = client.post("/search/files", files=[("files", ("a", one)) for one in sent])
        assert problem(reply) == (413, "too-many-pixels")
        queries = [{"image": b64(one)} for one in sent]
        reply = client.post("/search", json={"queries": queries})
        assert problem(reply) == (413, "too-many-pixels")


@pytest.fixture
def walkers_server(tmp_path, serve):
    from reid_hash.models.shipped import WALKERS_GALLERY

    Gallery.load(tmp_path / "walkers", WALKERS_GALLERY).close()
    return serve(tmp_path / "walkers", Limits(pixels=1_000_000))


def test_who_asks_too_often_waits(serve, folder, add_key):
    server = serve(folder, Limits(rate=0.5))  # one at once
    key = add_key("me", "read")
    mine, other = Client(server, key), Client(server, add_key("other", "read"))
    assert mine.get("/gallery").status_code == 200
    reply = mine.get("/gallery")
    assert problem(reply) == (429, "too-many-requests")
    assert int(reply.headers["retry-after"]) >= 1
    assert other.get("/gallery").status_code == 200  # each has its own
    nobody = Client(server)
    assert [nobody.get("/gallery").status_code for _ in range(3)] == [401, 429, 429]
    assert problem(mine.get("/gallery")) == (429, "too-many-requests")


def test_a_rate_fills_up_again():
    now = [0.0]
    rate = Rate(2.0, lambda: now[0])
    for _ in range(4):
        rate.take("a")
    with pytest.raises(Problem):
        rate.take("a")
    rate.take("b")
    now[0] = 0.5
    rate.take("a")
    with pytest.raises(Problem):
        rate.take("a")


def test_slots_are_given_back():
    slots = Slots(2, "things")
    with slots.take(), slots.take():
        with pytest.raises(Problem) as stopped, slots.take():
            pass
        assert stopped.value.status == 503
    assert slots.taken == 0


def test_where_all_work_the_next_is_told(serve, folder, monkeypatch):
    server = serve(folder, Limits(concurrency=2))
    held = threading.Event()
    slow = server.service.served.gallery
    found = slow.find
    monkeypatch.setattr(slow, "find", lambda *a, **k: (held.wait(30), found(*a, **k))[1])
    query = {"queries": [{"sighting": 1}]}
    replies = []
    threads = [
        threading.Thread(target=lambda: replies.append(Client(server).post("/search", json=query)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    while server.service.working.taken < 2:
        time.sleep(0.01)
    reply = Client(server).get("/gallery")
    assert problem(reply) == (503, "busy")
    assert reply.headers["retry-after"] == "1"
    held.set()
    for thread in threads:
        thread.join()
    assert [reply.status_code for reply in replies] == [200, 200]
    assert Client(server).get("/gallery").status_code == 200


def test_slow_clients_hold_no_worker_and_are_given_up(serve, folder):
    server = serve(folder, Limits(concurrency=2, stalled=1.0, sending=3.0))
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /api/v1/search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    waiting = []
    for _ in range(12):
        one = socket.create_connection((host, int(port)), 30)
        one.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        waiting.append(one)
    dripping = waiting[0]
    assert Client(server).post("/search", json={"queries": [{"sighting": 1}]}).status_code == 200
    for one in waiting[1:]:
        assert one.recv(4096).startswith(b"HTTP/1.1 408")
        one.close()
    dripping.settimeout(0.3)
    reply = b""
    while not reply:  # a byte now and then does not help either
        try:
            dripping.sendall(b" ")
            reply = dripping.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            break
    assert reply.startswith(b"HTTP/1.1 408")
    dripping.close()


def test_headers_are_bounded(server):
    assert server._server.config.http == "h11"  # whatever else is installed
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as one:
        one.sendall(f"GET /api/v1/health HTTP/1.1\r\nHost: {host}\r\n".encode())
        sent = 0
        with pytest.raises((ConnectionError, BrokenPipeError)):
            while sent < 64 * 2**20:
                sent += one.send(b"x: " + b"a" * 60_000 + b"\r\n")
    assert Client(server).get("/health").status_code == 200


def test_all_bodies_together_are_bounded(serve, folder):
    server = serve(folder, Limits(bodies=100_000))
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /api/v1/search HTTP/1.1\r\nHost: {host}\r\nContent-Length: 90000\r\n\r\n"
    with socket.create_connection((host, int(port)), 30) as one:
        one.sendall(head.encode() + b"x" * 80_000)
        while server.service.bodies.taken < 80_000:
            time.sleep(0.01)
        assert problem(Client(server).post("/search", content=b"x" * 30_000)) == (503, "busy")
    while server.service.bodies.taken:
        time.sleep(0.01)


def test_a_gallery_that_is_erased_meanwhile(client, folder):
    assert client.get("/sightings/1").status_code == 200
    code = {"code": b64(some_codes(1).packed.tobytes())}
    assert client.post("/sightings", json={"sightings": [code]}).status_code == 201
    shutil.rmtree(folder)
    for method, path, body in [
        ("GET", "/sightings/1", None), ("GET", "/ready", None), ("GET", "/people", None),
        ("POST", "/search", {"queries": [{"sighting": 1}]}),
        ("POST", "/prune", {"keep_seconds": 1}),
        ("POST", "/sightings", {"sightings": [code]}), ("DELETE", "/people/1", None),
    ]:  # fmt: skip
        reply = client.request(method, path, json=body)
        assert problem(reply) == (503, "no-gallery")
        assert str(folder) not in reply.text
    assert client.get("/health").status_code == 200
    make(folder, 5).close()  # another gallery is not this one
    assert problem(client.get("/sightings/1")) == (503, "no-gallery")


def test_another_program_writes(client, folder, stored):
    code = {"code": b64(some_codes(1).packed.tobytes())}
    with Gallery.open(folder):
        reply = client.post("/sightings", json={"sightings": [code]})
        assert problem(reply) == (503, "gallery-busy")
        assert client.get("/sightings/1").status_code == 200
    assert client.post("/sightings", json={"sightings": [code]}).status_code == 201
    assert len(stored()) == 61


def test_methods_and_web_sockets_that_are_not_served(client, server):
    for method in ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"):
        reply = httpx.request(method, f"{client.base_url}gallery")
        assert reply.status_code == 405
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as raw:
        raw.sendall(
            f"GET /api/v1/gallery HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b"101" not in raw.recv(4096).split(b"\r\n")[0]
    assert client.get("/gallery").status_code == 200
