"""The page's server: whom it answers, what it gives out, what it stands."""

import subprocess
import sys
import threading

import pytest

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")

import httpx

from reid_hash.errors import ConfigError, ReidHashError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings
from tests.web.client import VIEW, Client
from tests.web.test_uploads import png


@pytest.fixture(scope="module")
def server(walkers, tmp_path_factory):
    """The page of the walkers' gallery, which no test here changes."""
    with Server(Settings(walkers, port=0, detector="motion")) as server:
        yield server


@pytest.fixture
def client(server):
    return Client(server.url)


def test_the_page_is_there_and_loads_nothing_from_elsewhere(client):
    reply = client.http.get("/")
    assert reply.status_code == 200
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'self' data: blob:")
    assert "http" not in policy
    assert "fonts.googleapis" not in reply.text
    assert "cdnjs" not in reply.text
    config = client.http.get("/config").json()
    assert config["analytics_enabled"] is False
    assert "googleapis" not in client.http.get("/theme.css").text


def test_the_page_waits_for_neither_torch_nor_matplotlib():
    source = (
        "import inspect, pathlib, sys\n"
        "from reid_hash.web.server import without_stubs_of\n"
        "before, read, sources = inspect.getfile, pathlib.Path.read_text, []\n"
        "def reading(path, *options, **named):\n"
        "    sources.extend([path] * (path.suffix == '.py'))\n"  # stubs are made of sources
        "    return read(path, *options, **named)\n"
        "pathlib.Path.read_text = reading\n"
        "with without_stubs_of('gradio'):\n"
        "    import gradio\n"
        "assert inspect.getfile is before\n"
        "assert not sources, sources\n"
        "import reid_hash.web.page\n"
        "print(sorted({'torch', 'matplotlib.figure', 'scipy'} & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert (out.stdout, out.stderr) == ("[]\n", "")


def test_the_page_asks_one_thing_when_it_is_opened(client):
    functions = client.http.get("/config").json()["dependencies"]
    opening = [one for one in functions if "load" in [event for _, event in one["targets"]]]
    assert len(opening) == 1


def test_a_sighting_is_searched_for(client):
    answer = client.ask(client.functions()["pick"], [1, *VIEW])
    assert "10 nearest of 47 sightings by the first 64 bits" in answer["data"][1]


def test_a_picture_is_searched_for_and_the_slider_asks_again(client, crop):
    sent = client.upload("walker.png", crop.read_bytes())
    functions = client.functions()
    answer = client.ask(functions["sent"], [sent, *VIEW])
    assert "walker 03" in answer["data"][1].split("data-id=")[1]
    answer = client.ask(functions["answer"], [None, 16, *VIEW[1:]])
    assert "by the first 16 bits" in answer["data"][0]


def test_a_bad_picture_is_refused_in_one_line(client):
    sent = client.upload("large.png", png(25_000, 20_000))
    shown = client.ask(client.functions()["sent"], [sent, *VIEW])["data"][1]
    assert "more than 50 million pixels" in shown
    assert 'role="alert"' in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", ["text.jpg", "film.mp4", ".."])
@pytest.mark.parametrize("content", [b"no picture at all", b"#EXTM3U\nfile:///etc/passwd\n", b""])
def test_what_is_no_picture_or_video_is_refused_as_it_comes(client, server, name, content):
    reply = client.send(name, content)
    assert (reply.status_code, "Traceback" in reply.text) == (415, False)
    assert "is not a picture (JPEG" in reply.text
    assert not list(server.gate.inbox.folder.glob("*/*"))


def test_a_picture_is_no_film(client):
    sent = client.upload("film.mp4", png(8, 8))
    answer = client.ask(client.functions()["film_sent"], [sent, False])
    assert "film.mp4 is not a video" in answer["data"][0]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../etc/passwd",
        "/gradio_api/file=..%2f..%2f..%2fetc%2fpasswd",
        "/file=/etc/passwd",
        "/static/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/file=GALLERY/gallery.sqlite",
        "/gradio_api/file=GALLERY/../gallery/gallery.sqlite",
        "/gradio_api/proxy=http://127.0.0.1:1/x",
    ],
)
def test_no_file_is_given_out(client, walkers, path):
    # as raw bytes: a client of good manners takes the dots out
    reply = client.http.get(
        httpx.URL(str(client.http.base_url).rstrip("/") + path.replace("GALLERY", str(walkers)))
    )
    assert reply.status_code == 404
    assert "root:" not in reply.text
    assert "SQLite format" not in reply.text


def test_fifty_searches_at_once(server):
    functions = Client(server.url).functions()
    answers = []

    def search(number):
        asked = Client(server.url).ask(functions["pick"], [number, *VIEW])
        answers.append((number, asked["data"][1]))

    threads = [threading.Thread(target=search, args=(1 + i % 48,)) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50
    assert all("10 nearest of 47 sightings" in page for _, page in answers)
    # each got its own answer: nobody finds the own sighting
    assert all(f'data-id="{number}"' not in page for number, page in answers)


def test_a_gallery_is_searched_while_it_is_written(folder):
    with Server(Settings(folder, port=0)) as server, Gallery.open(folder) as writer:
        client = Client(server.url)
        functions = client.functions()
        codes, _ = writer.codes(ids=[1])
        for count in range(1, 6):
            writer.add(codes, [Sighting(camera="new")])
            answer = client.ask(functions["pick"], [1, *VIEW])
            assert f"of {47 + count} sightings" in answer["data"][1]
            assert ">new<" in answer["data"][1]
        # the page may not change it meanwhile, and says why
        answer = client.ask(functions["do_name"], ["", None, "Ann"])
        assert "another process writes" in str(answer)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_nobody_else_is_served_without_a_password(walkers, host):
    with pytest.raises(ConfigError, match="set a password with --password-file"):
        Settings(walkers, host=host)
    assert Settings(walkers, host=host, password="secret").host == host
    with pytest.raises(ConfigError, match="the password is empty"):
        Settings(walkers, host=host, password="")


def test_what_visitors_sent_goes_with_the_server(folder, crop):
    from pathlib import Path

    with Server(Settings(folder, port=0)) as server:
        sent = Path(Client(server.url).upload("walker.png", crop.read_bytes())["path"])
        assert sent.read_bytes() == crop.read_bytes()
        assert folder not in sent.parents
    assert not sent.exists()


def test_a_server_that_ended_leaves_another_one_its_folder(server, client, folder):
    with Server(Settings(folder, port=0)):
        pass
    sent = client.upload("film.mp4", png(8, 8))
    answer = client.ask(client.functions()["film_sent"], [sent, False])
    assert "film.mp4 is not a video" in answer["data"][0]


def test_a_port_that_is_taken_is_told(server, walkers):
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(ReidHashError, match=r"cannot listen at 127.0.0.1, port \d+: .*--port"):
        Server(Settings(walkers, port=port))
