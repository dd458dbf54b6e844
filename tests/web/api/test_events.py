"""Events: told as they happen, resumed where they broke off, sent to webhooks until taken."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import sys
import threading
import time

import httpx
import pytest

from reid_hash.errors import ConfigError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.api.keys import Keys
from reid_hash.web.api.state import State, state_folder
from reid_hash.web.api.webhooks import Webhook
from reid_hash.web.settings import Settings
from tests.gallery.galleries import some_codes
from tests.web.api.conftest import Client, b64, problem

SECRET = "a secret of this test"


def add(client, **more):
    code = {"code": b64(some_codes(1).packed.tobytes()), **more}
    return client.post("/sightings", json={"sightings": [code]}).json()["ids"][0]


def listen(client, count, after=None, begun=None):
    """The next events: (number, kind, data)."""
    headers = {} if after is None else {"last-event-id": str(after)}
    found, event = [], {}
    with client.stream("GET", "/events", headers=headers) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            if begun is not None:
                begun.set()
            key, _, value = line.partition(": ")
            event[key] = value
            if not line and "event" in event:
                found.append((int(event["id"]), event["event"], json.loads(event["data"])))
                event = {}
                if len(found) == count:
                    return found
    raise AssertionError(f"the stream ended after {found}")


def in_thread(work):
    """Start a piece of work; gives a function that waits for what it gives."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()

    def result():
        thread.join(60)
        return found[0]

    return result


def test_what_happens_is_told_whoever_does_it(server, client, folder):
    begun = threading.Event()
    told = in_thread(lambda: listen(Client(server), 5, begun=begun))
    assert begun.wait(60)
    first = add(client, camera="door")
    while server.service.events.last < 1:  # the service looks for sightings at times
        time.sleep(0.01)
    client.post("/people/assign", json={"ids": [3], "identity": "Ann"})
    receipt = client.post("/forget", json={"ids": [9]}).json()["receipt"]
    client.put("/people/1/name", json={"name": "Bob"})
    while True:  # the service keeps the gallery for two seconds
        try:
            with Gallery.open(folder) as gallery:
                (other,) = gallery.add(some_codes(1), [Sighting("yard")]).tolist()
            break
        except Exception:
            time.sleep(0.1)
    events = told()
    assert [kind for _, kind, _ in events] == [
        "sighting", "people", "erased", "people", "sighting",
    ]  # fmt: skip
    assert events[0][2]["id"] == first
    assert events[0][2]["camera"] == "door"
    assert events[1][2]["identity"] == 1
    assert events[2][2]["receipt"] == receipt
    assert events[4][2]["id"] == other


def test_the_stream_resumes_also_after_a_restart(server, serve, client, folder):
    ids = [add(client) for _ in range(3)]
    while server.service.events.last < 3:
        time.sleep(0.01)
    everything = listen(client, 3, after=0)
    assert [data["id"] for _, _, data in everything] == ids
    assert listen(client, 2, after=everything[0][0]) == everything[1:]
    server.close()
    with Gallery.open(folder) as gallery:  # while nobody serves it
        (later,) = gallery.add(some_codes(1), [Sighting()]).tolist()
    client = Client(serve(folder))
    events = listen(client, 2, after=everything[1][0])
    assert events[0] == everything[2]
    assert events[1][2]["id"] == later


@contextlib.contextmanager
def process(folder):
    """A service in a process of its own; gives it and its address."""
    command = [sys.executable, "-m", "reid_hash", "serve", "--gallery", str(folder)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--no-page", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as started:
        try:
            yield started, httpx.Client(base_url=started.stdout.readline().split()[4], timeout=60)
        finally:
            started.kill()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_the_stream_resumes_after_a_kill_and_tells_all_that_was_acknowledged(folder):
    acknowledged, heard, enough = [], [], threading.Event()

    def write(client):
        with contextlib.suppress(httpx.HTTPError):
            while True:
                acknowledged.append(add(client))
                if len(acknowledged) >= 30:
                    enough.set()

    def hear(client):
        with contextlib.suppress(httpx.HTTPError):
            heard.extend(listen(client, 10, after=0))  # then it is away

    with process(folder) as (started, client):
        threads = [threading.Thread(target=write, args=[client]) for _ in range(2)]
        threads.append(threading.Thread(target=hear, args=[client]))
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        threads[-1].join()
        started.kill()  # while two write
        for thread in threads:
            thread.join()
    last = heard[-1][0] if heard else 0
    with process(folder) as (_, client):
        final = add(client)
        while not heard or heard[-1][2].get("id") != final:
            heard += listen(client, 1, after=last)
            last = heard[-1][0]
    assert {kind for _, kind, _ in heard} == {"sighting"}
    told = [data["id"] for _, _, data in heard]
    assert len(set(told)) == len(told)
    assert set(acknowledged) <= set(told)


def test_who_is_erased_is_no_longer_told(server, client):
    ids = [add(client, camera="door") for _ in range(3)]
    while server.service.events.last < 3:
        time.sleep(0.01)
    client.delete(f"/sightings/{ids[1]}")
    events = listen(client, 3, after=0)
    assert [kind for _, kind, _ in events] == ["sighting", "sighting", "erased"]
    assert [data.get("id") for _, _, data in events] == [ids[0], ids[2], None]


def test_a_gap_is_told(server, client):
    assert [kind for _, kind, _ in listen(client, 1, after=999)] == ["gap"]
    assert problem(client.get("/events", headers={"last-event-id": "x"})) == (422, "invalid")


def test_a_key_that_is_taken_back_hears_no_more(server, folder, add_key):
    key = add_key("me", "read")
    begun = threading.Event()

    def until_it_ends():
        with pytest.raises(AssertionError, match="the stream ended"):
            listen(Client(server, key), 1, begun=begun)
        return True

    ended = in_thread(until_it_ends)
    assert begun.wait(60)
    assert problem(Client(server, add_key("writer", "write")).get("/events")) == (403, "wrong-role")
    state = State(state_folder(folder))
    Keys(state).remove("me")
    state.close()
    assert ended()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes events, after it has refused some."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((dict(self.headers), body))
        refused = len(self.server.got) <= self.server.refusals
        self.send_response(503 if refused else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.got, server.refusals = [], 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}/hook?a=b"
        yield server
        server.shutdown()


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_a_webhook_gets_signed_events_until_it_takes_them(server, client, receiver):
    service = server.service
    receiver.refusals = 2
    hook = Webhook(receiver.url, SECRET, service.state, service.events, first_wait=0.01)
    ids = [add(client), add(client)]
    wait_for(lambda: len(receiver.got) == 4)  # the first one three times
    bodies = [json.loads(body) for _, body in receiver.got]
    assert [one["data"]["id"] for one in bodies] == [ids[0]] * 3 + [ids[1]]
    for headers, body in receiver.got:
        headers = {name.lower(): value for name, value in headers.items()}
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    hook.close()
    later = add(client)
    wait_for(lambda: service.events.last == 3)
    again = Webhook(receiver.url, SECRET, service.state, service.events, first_wait=0.01)
    wait_for(lambda: len(receiver.got) == 5)  # what happened while it was away, and no more
    assert json.loads(receiver.got[4][1])["data"]["id"] == later
    again.close()


def test_a_webhook_that_is_none(tmp_path):
    for url, secret, message in [
        ("ftp://a", SECRET, "is no address"), ("http://", SECRET, "is no address"),
        ("https://a", None, "needs a secret"), ("https://a", "short", "needs a secret"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            Webhook(url, secret, None, None)
    assert "secret of" not in repr(Settings(tmp_path, webhook_secret=SECRET))
