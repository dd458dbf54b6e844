"""`reid-hash serve`, as a person starts it."""

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


def start(folder, *arguments, ignoring=()):
    """A real process with its temporary folders in `folder`."""

    def before():
        for number in ignoring:
            signal.signal(number, signal.SIG_IGN)

    return subprocess.Popen(
        [sys.executable, "-m", "reid_hash", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
        preexec_fn=before,
    )


def page_of(process):
    """Wait until it serves, and look at the page."""
    url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline()).group()
    with urllib.request.urlopen(url, timeout=60) as reply:
        assert b"480 sightings" in reply.read()
    return url


def send_picture(url):
    """Give the page a picture, as a visitor does."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="me.png"\r\n\r\nface'
    request = urllib.request.Request(
        f"{url}/gradio_api/upload",
        body + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return Path(json.loads(reply.read())[0])


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("model", "name"), [("", "SIGINT"), ("small", "SIGINT"), ("", "SIGTERM"), ("", "SIGHUP")]
)  # packed codes, or made when it starts
def test_the_demo_serves_until_it_is_told_to_end(tmp_path, model, name):
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
    model = ["--model", model] if model else []
    process = start(tmp_path, "serve", "--demo", "--port", 0, "-q", *model)
    try:
        sent = send_picture(page_of(process))
        assert sent.read_bytes() == b"face"
        assert tmp_path in sent.parents
        assert list(tmp_path.glob("reid-hash-*/gallery.sqlite"))
    finally:
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_nothing_is_left_where_it_ends_while_it_starts(tmp_path, name):
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
    process = start(tmp_path, "serve", "--demo", "--port", 0, "-q")
    try:
        while not list(tmp_path.glob("reid-hash-*")):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) in [(1, "error: interrupted"), (0, "")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@posix
def test_under_nohup_the_terminal_may_go(tmp_path):
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
    process = start(tmp_path, "serve", "--demo", "--port", 0, "-q", ignoring=[signal.SIGHUP])
    try:
        url = page_of(process)
        process.send_signal(signal.SIGHUP)
        with urllib.request.urlopen(url, timeout=60) as reply:
            assert b"480 sightings" in reply.read()
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_demo_keeps_what_it_has_when_it_is_told_to_end(tmp_path, name):
    """A video of minutes, ended after the first people."""
    write_video(tmp_path, identities=4, seconds=120, fps=8, size=(320, 180))
    process = start(
        tmp_path,
        *["demo", "camera1.mp4", "--detector", "motion", "--model", "small", "--min-height", "20"],
        *["--gallery", "people", "-o", "drawn.mp4", "--events", "events.jsonl"],
        *["--json", "facts.json"],
    )
    events = tmp_path / "events.jsonl"
    try:
        while not events.is_file() or "new" not in events.read_text():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
    finally:
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "stopped before the end; everybody seen so far is in the gallery" in out
    assert json.loads((tmp_path / "facts.json").read_text())["interrupted"]
    assert cv2.VideoCapture(str(tmp_path / "drawn.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 0
    left = {path.name for path in tmp_path.iterdir()}
    assert not [one for one in left if one.startswith((".", "tmp", "reid-hash"))], left
