"""A service of a small gallery, started as a person starts it."""

import base64

import cv2
import httpx
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra: pip install 'reid-hash[service]'")
pytest.importorskip("prometheus_client", reason="needs the extra: pip install 'reid-hash[service]'")

from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.api.keys import Keys
from reid_hash.web.api.state import State, state_folder
from reid_hash.web.server import Server
from reid_hash.web.settings import Limits, Settings
from tests.gallery.galleries import make


class Client(httpx.Client):
    """Asks a service.

    Args:
        server: it.
        key: sent with every request; None for none.
    """

    def __init__(self, server, key=None):
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        super().__init__(base_url=f"{server.url}/api/v1", headers=headers, timeout=60)

    def send(self, request, **options):
        """Send a request; whatever is no success is a problem as RFC 9457 has it."""
        reply = super().send(request, **options)
        if reply.status_code >= 400:
            reply.read()
            assert reply.headers["content-type"] == "application/problem+json", reply.text
            told = reply.json()
            assert told["status"] == reply.status_code
            assert told["type"].startswith("urn:reid-hash:problem:")
            assert "Traceback" not in reply.text
        return reply


def problem(reply):
    """(status, name of the problem)."""
    assert reply.status_code >= 400, reply.text
    return reply.status_code, reply.json()["type"].rsplit(":", 1)[1]


def b64(data):
    return base64.b64encode(data).decode()


def picture(seed=0, height=64, width=32, kind=".png"):
    """A picture of noise, as a file's content."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(kind, pixels)[1].tobytes()


@pytest.fixture(autouse=True, scope="session")
def _no_warming():
    """Services of tests load no network before a test asks for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Server, "_warm", lambda self: None)
        yield


@pytest.fixture(scope="session")
def shared(_no_warming, tmp_path_factory):
    """A client of a service whose gallery no test changes."""
    folder = tmp_path_factory.mktemp("shared") / "gallery"
    make(folder).close()
    with Server(Settings(folder, port=0, page=False)) as server, Client(server) as client:
        yield client


@pytest.fixture
def folder(tmp_path):
    """A gallery of 60 sightings without pictures, codes of 44 bits, nobody writing to it."""
    make(tmp_path / "gallery").close()
    return tmp_path / "gallery"


@pytest.fixture
def serve():
    """Start a service of a gallery; it ends with the test."""
    started = []

    def start(folder, limits=None, **settings):
        made = Settings(folder, port=0, page=False, limits=limits or Limits(), **settings)
        started.append(Server(made))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def server(serve, folder):
    return serve(folder)


@pytest.fixture
def client(server):
    return Client(server)


@pytest.fixture
def add_key(folder):
    """Make a key for the service of the gallery."""
    state = State(state_folder(folder))
    yield lambda name, *roles: Keys(state).add(name, roles)
    state.close()


@pytest.fixture
def stored(folder):
    """What the gallery holds, as another program sees it."""

    def look():
        with Gallery.open(folder, read_only=True) as gallery:
            return gallery.sightings(thumbnails=True)

    return look
