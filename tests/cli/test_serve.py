"""`reid-hash serve`, as a person starts it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from reid_hash.data.walkers import write_video
from tests.helpers import run_cli as run


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["serve"], 2, "name a gallery with --gallery DIR, or take the walkers with --demo"),
        (["serve", "--demo", "--gallery", "g"], 2, "name a gallery with --gallery DIR, or"),
        (["serve", "--gallery", "nosuch"], 1, "nosuch is no gallery"),
        (
            ["serve", "--gallery", "g", "--host", "0.0.0.0"],
            2,
            "set a password with --password-file",
        ),
        (["serve", "--gallery", "g", "--password-file", "nosuch"], 2, "nosuch holds no password"),
        (["serve", "--gallery", "g", "--password-file", "empty"], 2, "the password is empty"),
        (["serve", "--gallery", "g", "--port", "70000"], 2, "0<=x<=65535"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(capsys, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REID_HASH_PASSWORD", raising=False)
    (tmp_path / "empty").write_text("\n")
    got, _, err = run(capsys, *arguments)
    assert got == code
    assert "Traceback" not in err
    assert message in err


def test_where_gradio_is_missing_the_way_to_it_is_said(capsys, tmp_path, monkeypatch):
    from tests.gallery.galleries import make

    make(tmp_path / "g").close()
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, err = run(capsys, "serve", "--gallery", tmp_path / "g", "--port", "0")
    assert code == 1
    assert "pip install 'reid-hash[web]'" in err


@pytest.fixture
def start(tmp_path):
    """Start `reid-hash` in a process with its temporary folders in `tmp_path`."""
    with contextlib.ExitStack() as stack:

        def started(*arguments, ignoring=()):
            def before():
                # not as the tests were started: in the background some of them are ignored
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN if number in ignoring else signal.SIG_DFL)

            process = subprocess.Popen(
                [sys.executable, "-m", "reid_hash", *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
                preexec_fn=before,
            )
            stack.enter_context(process)
            stack.callback(process.kill)  # where a check failed it would go on
            return process

        yield started


def page_of(process):
    """Wait until it serves, and look at the page."""
    url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline()).group()
    with urllib.request.urlopen(url, timeout=60) as reply:
        assert b"480 sightings" in reply.read()
    return url


def send_picture(url, content):
    """Give the page a picture, as a visitor does."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="me.png"\r\n\r\n'
    request = urllib.request.Request(
        f"{url}/gradio_api/upload",
        head + content + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return Path(json.loads(reply.read())[0])


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("model", "name"),
    # packed codes, or made when it starts
    [([], "SIGINT"), (["--model", "small"], "SIGINT"), ([], "SIGTERM"), ([], "SIGHUP")],
)
def test_the_demo_serves_until_it_is_told_to_end(start, tmp_path, model, name):
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
    picture = cv2.imencode(".png", np.zeros((8, 4, 3), np.uint8))[1].tobytes()
    process = start("serve", "--demo", "--port", 0, "-q", *model)
    sent = send_picture(page_of(process), picture)
    assert sent.read_bytes() == picture
    assert tmp_path in sent.parents
    assert list(tmp_path.glob("reid-hash-*/gallery.sqlite"))
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_nothing_is_left_where_it_ends_while_it_starts(start, tmp_path, name):
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
    process = start("serve", "--demo", "--port", 0, "-q")
    while not list(tmp_path.glob("reid-hash-*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) in [(1, "error: interrupted"), (0, "")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@posix
def test_under_nohup_the_terminal_may_go(start, tmp_path):
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
    process = start("serve", "--demo", "--port", 0, "-q", ignoring=[signal.SIGHUP])
    url = page_of(process)
    process.send_signal(signal.SIGHUP)
    with urllib.request.urlopen(url, timeout=60) as reply:
        assert b"480 sightings" in reply.read()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A video of minutes."""
    folder = tmp_path_factory.mktemp("film")
    return write_video(folder, identities=4, seconds=120, fps=8, size=(320, 180))[0].video


@pytest.mark.slow
@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_demo_keeps_what_it_has_when_it_is_told_to_end(start, film, tmp_path, name):
    """A video of minutes, ended after the first people."""
    process = start(
        *["demo", film, "--detector", "motion", "--model", "small", "--min-height", "20"],
        *["--gallery", "people", "-o", "drawn.mp4", "--events", "events.jsonl"],
        *["--json", "facts.json"],
    )
    events = tmp_path / "events.jsonl"
    while not events.is_file() or "new" not in events.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "stopped before the end; everybody seen so far is in the gallery" in out
    assert json.loads((tmp_path / "facts.json").read_text())["interrupted"]
    assert cv2.VideoCapture(str(tmp_path / "drawn.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 0
    left = {path.name for path in tmp_path.iterdir()}
    assert not [one for one in left if one.startswith((".", "tmp", "reid-hash"))], left
