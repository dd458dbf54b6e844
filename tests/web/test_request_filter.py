"""The door of the page, attacked: what comes from elsewhere, and what Gradio must not see."""

import asyncio
import os
import re
import socket
import threading
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")

import httpx

from reid_hash.errors import ConfigError
from reid_hash.web.request_filter import COOKIE
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings
from tests.web.client import VIEW, Client, described
from tests.web.test_uploads import png

SECRET = b"root:x:0:0 a secret of the server"


@pytest.fixture(scope="module")
def server(walkers):
    """The page of the walkers' gallery, which no test here changes."""
    with Server(Settings(walkers, port=0, detector="motion")) as server:
        yield server


@pytest.fixture
def client(server):
    return Client(server.url)


@pytest.fixture
def secret(tmp_path):
    """A file that no visitor sent."""
    file = tmp_path / "secret.txt"
    file.write_bytes(SECRET)
    return file


def leaked(server):
    """Files of the server's temporary folder that hold the secret."""
    files = [file for file in server.gate.inbox.folder.rglob("*") if file.is_file()]
    return [file for file in files if SECRET in file.read_bytes()]


def smuggled(path):
    """A file's description as values that are meant for something else."""
    file = described(str(path))
    yield file
    yield [file]
    yield {"a": file}
    yield [[file], None]
    yield {"url": f"file://{path}", "path": str(path), "meta": {"_type": "gradio.FileData"}}


def test_no_function_of_the_page_takes_a_file_of_the_server(client, server, secret):
    """Every input of every function: a new component cannot open the door again."""
    functions = client.http.get("/config").json()["dependencies"]
    assert len(functions) > 30
    statuses = {}
    for function in functions:
        for place in range(len(function["inputs"])):
            for value in smuggled(secret):
                data = [None] * len(function["inputs"])
                data[place] = value
                for path in ("queue/join", "run/predict", "stream/none"):
                    body = {"data": data, "fn_index": function["id"], "session_hash": "s"}
                    reply = client.http.post(f"/gradio_api/{path}", json=body)
                    kind = server.gate.kinds[function["id"]][place]
                    statuses.setdefault(kind == "state", set()).add(reply.status_code)
                    assert SECRET not in reply.content
    assert statuses.pop(False) == {422}
    # what a state holds the server knows itself: the value is dropped, and the function is run
    assert 422 not in statuses.pop(True)
    assert leaked(server) == []


def test_gradio_itself_refuses_it_too(server, secret):
    transport = httpx.ASGITransport(server.gate.app)

    async def ask():
        async with httpx.AsyncClient(transport=transport, base_url=server.url) as http:
            functions = (await http.get("/config")).json()["dependencies"]
            number = next(one["id"] for one in functions if one["api_name"] == "pick")
            body = {"data": [described(str(secret)), *VIEW], "fn_index": number}
            body["session_hash"] = "s"
            reply = await http.post("/gradio_api/run/predict", json=body)
            given = await http.get(f"/gradio_api/file={secret}")
            return reply, given

    reply, given = asyncio.run(ask())
    assert reply.status_code == 500
    assert given.status_code in (403, 404)
    assert leaked(server) == []


def test_events_carry_no_file(client, server, secret):
    number = client.functions()["mark"]
    data = [None] * len(server.gate.kinds[number])
    body = {"data": data, "fn_index": number, "session_hash": "e"}
    for event in smuggled(secret):
        body["event_data"] = {"id": event}
        client.http.post("/gradio_api/queue/join", json=body)
    assert leaked(server) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no FIFOs")
def test_a_file_that_never_ends_stops_nobody(client, server, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    functions = client.functions()
    for path in (fifo, "/dev/zero", server.gate.inbox.folder):
        answer = client.ask(functions["sent"], [described(str(path)), *VIEW])
        assert "send it again" in answer["error"]
        answer = client.ask(functions["pick"], [described(str(path)), *VIEW])
        assert "only texts and numbers" in answer["error"]
    assert "10 nearest" in client.ask(functions["pick"], [1, *VIEW])["data"][1]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"null", b"[" * 100_000, b'{"fn_index": 1e999}', b"\xff\xfe",
        b'{"fn_index": 0, "session_hash": "s"}', b'{"fn_index": [], "session_hash": "s"}',
        b'{"fn_index": 0, "data": {}, "session_hash": "s"}', b'{"fn_index": 0, "session_hash": []}',
        b'{"fn_index": 99999, "data": [], "session_hash": "s"}',
        b'{"fn_index": 0, "data": [], "session_hash": "../../x"}',
        b'{"fn_index": ' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_refused(client, body):
    for path in ("queue/join", "run/predict", "stream/none"):
        reply = client.http.post(f"/gradio_api/{path}", content=body)
        assert reply.status_code in (400, 422)
        assert "Traceback" not in reply.text


def test_large_requests_and_values_are_refused(client, server):
    number = client.functions()["pick"]
    long = {"fn_index": number, "data": ["a" * 20_000, *VIEW], "session_hash": "s"}
    assert client.http.post("/gradio_api/queue/join", json=long).status_code == 422
    reply = client.http.post("/gradio_api/queue/join", content=b" " * (13 * 2**20))
    assert reply.status_code == 413


def test_only_what_the_page_asks_for_is_open(client, server):
    """Every route that this version of Gradio has, by every method."""
    opened = set()
    for route in gradio_routes():
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            path = route.replace("{path:path}", "x").replace("{", "").replace("}", "")
            if "heartbeat" in path:
                continue  # an answer without end, which is open
            with client.http.stream(method, path) as reply:
                if reply.status_code != 404:
                    opened.add((method, route, reply.status_code))
    called = {"queue/join", "run/{api_name}", "stream/{event_id}", "stream/{event_id}/close"}
    called |= {"upload", "cancel", "reset"}
    called = {f"/gradio_api/{path}" for path in called}
    pages = {"/", "/config", "/theme.css", "/favicon.ico", "/assets/{path:path}"}
    pages |= {"/static/{path:path}", "/gradio_api/queue/data", "/gradio_api/upload_progress"}
    for method, route, _ in opened:
        assert (method == "GET" and route in pages) or (method == "POST" and route in called)


def gradio_routes():
    """Paths that this version of Gradio serves, as templates, from its source."""
    import gradio.routes

    source = Path(gradio.routes.__file__).read_text()
    found = re.findall(r'@(router|app)\.\w+\(\s*f?"(/[^"]*)"', source)
    assert len(found) > 50
    return {("/gradio_api" if kind == "router" else "") + path for kind, path in found}


ELSEWHERE = [
    {"origin": "https://elsewhere.example"},
    {"origin": "http://localhost:3000"},
    {"origin": "http://127.0.0.1:3000"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
@pytest.mark.parametrize("password", [None, "secret"])
def test_another_page_reads_and_changes_nothing(walkers, server, guarded, headers, password):
    client = Client(server.url if password is None else guarded.url)
    if password is not None:
        assert client.http.post("/login", data={"password": password}).status_code == 200
    for method, path in [
        ("GET", "/config"), ("GET", "/gradio_api/queue/data?session_hash=s"), ("GET", "/"),
        ("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/run/predict"), ("OPTIONS", "/gradio_api/queue/join"),
        ("POST", "/logout"), ("POST", "/gradio_api/cancel"),
    ]:  # fmt: skip
        reply = client.http.request(method, path, headers=headers)
        assert reply.status_code == 403
        assert not [name for name in reply.headers if name.startswith("access-control-")]
    assert client.http.get("/config").status_code == 200


def test_a_link_to_the_page_works(client):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    link["sec-fetch-dest"] = "document"
    assert client.http.get("/", headers=link).status_code == 200
    assert client.http.get("/config", headers=link).status_code == 403


HOSTS = ["evil.example", "evil.example:80", "", "127.0.0.1.example", "["]
# what some servers would take for a part of the path
HOSTS += ["127.0.0.1/config?", "127.0.0.1#", "me@127.0.0.1", "127.0.0.1\\config", "127.0.0.1:80:80"]


@pytest.mark.parametrize("host", HOSTS)
def test_another_page_that_calls_itself_this_machine_gets_nothing(client, host):
    assert client.http.get("/config", headers={"host": host}).status_code == 400


def test_any_address_of_this_machine_will_do(walkers):
    try:
        socket.create_server(("127.0.0.2", 0)).close()
    except OSError:
        pytest.skip("this machine has no 127.0.0.2")
    with Server(Settings(walkers, "127.0.0.2", 0, detector="motion")) as server:
        client = Client(server.url)
        assert client.http.get("/config").status_code == 200
        assert "10 nearest" in client.ask(client.functions()["pick"], [1, *VIEW])["data"][1]


@pytest.fixture(scope="module")
def guarded(walkers):
    with Server(Settings(walkers, port=0, password="secret", detector="motion")) as server:
        yield server


def test_a_password_is_asked_for(guarded):
    client = Client(guarded.url)
    for path in ("/config", "/gradio_api/info", "/openapi.json", "/docs", "/theme.css"):
        assert client.http.get(path).status_code == 401
    reply = client.http.get("/")
    assert reply.status_code == 401
    assert 'type="password"' in reply.text
    assert client.send("a", png(8, 8)).status_code == 401
    assert "error" in client.ask(0, VIEW)
    assert client.http.post("/login", data={"username": "me", "password": "no"}).status_code == 400
    reply = client.http.post("/login", data={"username": "me", "password": " secret\n"})
    assert reply.status_code == 200
    assert client.http.get("/config").status_code == 200
    assert client.http.get("/openapi.json").status_code == 404
    assert client.http.post("/logout").status_code == 303
    assert client.http.get("/config").status_code == 401


def test_a_form_that_is_none_is_refused_before_anybody_logged_in(walkers):
    form = {"content-type": "application/x-www-form-urlencoded"}
    broken = {"content-type": "multipart/form-data; boundary=b"}
    with Server(Settings(walkers, port=0, password="secret", detector="motion")) as server:
        client = Client(server.url)
        send = client.http.post
        assert send("/login", data={"password": "x" * 20_000}).status_code == 413
        assert send("/login", content=b"a&" * 2000, headers=form).status_code == 400
        for content in (b"", b"--b", b"--b\r\nno header\r\n\r\n", b"x" * 1000):
            reply = send("/login", content=content, headers=broken)
            assert (reply.status_code, reply.text) == (400, "This password is wrong.")
        assert client.http.get("/config").status_code == 401


def test_the_cookie_is_for_this_page_alone(walkers, guarded):
    reply = Client(guarded.url).http.post("/login", data={"password": "secret"})
    cookie = reply.headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}=")
    assert "; httponly" in cookie
    assert "; samesite=lax" in cookie
    assert "; secure" not in cookie


@pytest.fixture(scope="module")
def proxied(walkers):
    settings = Settings(
        walkers, port=0, password="secret", url="https://people.example/", proxies=("127.0.0.1",)
    )
    with Server(settings) as server:
        yield server


def test_behind_a_proxy_its_address_is_the_page(proxied):
    client = Client(proxied.url)
    seen = {"host": "people.example", "origin": "https://people.example"}
    reply = client.http.post("/login", data={"password": "secret"}, headers=seen)
    assert reply.status_code == 200
    assert "; secure" in reply.headers["set-cookie"].lower()
    token = reply.cookies[COOKIE]
    for headers in (seen, {"origin": "https://people.example"}):  # some proxies change the host
        reply = client.http.get("/config", headers={**headers, "cookie": f"{COOKIE}={token}"})
        assert reply.status_code == 200
    for origin in ("http://evil.people.example", "https://people.example:444"):
        headers = {"host": "people.example", "origin": origin, "cookie": f"{COOKIE}={token}"}
        assert client.http.get("/config", headers=headers).status_code == 403


def test_a_proxy_tells_whose_passwords_are_wrong(proxied):
    client = Client(proxied.url)

    def enter(password, address):
        headers = {"x-forwarded-for": address}
        return client.http.post("/login", data={"password": password}, headers=headers).status_code

    assert [enter("no", "10.0.0.1") for _ in range(6)] == [400] * 5 + [429]
    assert enter("secret", "10.0.0.1") == 429
    # a visitor cannot take another address: the proxy adds the true one at the end
    assert enter("secret", "10.0.0.9, 10.0.0.1") == 429
    assert enter("secret", "10.0.0.2") == 200


@pytest.mark.parametrize(
    ("url", "proxies", "message"),
    [
        ("people.example", (), "is no address such as https"),
        ("ftp://people.example", (), "is no address such as https"),
        ("https://people.example/x", (), "is no address such as https"),
        ("https://people.example:x", (), "is no address such as https"),
        ("https://people.example", (), "set a password .* or leave out --url"),
        (None, ("my-proxy",), "is no address such as 127.0.0.1"),
    ],
)
def test_a_wrong_address_is_told(tmp_path, url, proxies, message):
    with pytest.raises(ConfigError, match=message):
        Settings(tmp_path, url=url, proxies=proxies)


def test_slow_visitors_do_not_stop_others(client, server):
    host, port = server.url.removeprefix("http://").split(":")
    waiting = []
    for _ in range(12):
        one = socket.create_connection((host, int(port)))
        one.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        waiting.append(one)
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(client.ask(client.functions()["pick"], [1, *VIEW]))
    )
    asking.start()
    asking.join(60)
    for one in waiting:
        one.close()
    assert "10 nearest" in answers[0]["data"][1]
