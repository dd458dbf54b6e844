"""`reid-hash serve`, as a person starts it."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

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
    from tests.search.galleries import make

    make(tmp_path / "g").close()
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, err = run(capsys, "serve", "--gallery", tmp_path / "g", "--port", "0")
    assert code == 1
    assert "pip install 'reid-hash[web]'" in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize("model", [None, "small"])  # packed codes, or made when it starts
def test_the_demo_serves_until_it_is_interrupted(tmp_path, model):
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "reid_hash", "serve", "--demo", "--port", "0", "-q"),
            *(["--model", model] if model else []),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    try:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line).group()
        with urllib.request.urlopen(url, timeout=60) as reply:
            assert b"480 sightings" in reply.read()
        assert list(tmp_path.glob("reid-hash-*/gallery.sqlite"))
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert list(tmp_path.glob("reid-hash-*")) == []
