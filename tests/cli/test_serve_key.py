"""`reid-hash serve key`: keys made, listed and taken back."""

import re

import pytest

pytest.importorskip("fastapi", reason="needs the extra: pip install 'reid-hash[service]'")

from reid_hash.web.api.keys import Keys
from reid_hash.web.api.state import State, state_folder
from tests.gallery.galleries import make
from tests.helpers import run_cli as run


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "people", 3).close()
    return tmp_path / "people"


def caller(folder, key):
    state = State(state_folder(folder))
    try:
        return Keys(state).caller(key)
    finally:
        state.close()


def test_a_key_is_made_listed_and_taken_back(capsys, folder):
    of = ["--gallery", folder]
    code, out, err = run(capsys, "serve", "key", "list", *of)
    assert (code, out.strip(), err) == (0, "there is no key", "")
    code, out, _ = run(capsys, "serve", "key", "add", "NVR", "--role", "write", *of)
    assert code == 0
    key = out.strip()
    assert re.fullmatch(r"rh_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", key)
    assert caller(folder, key) == ("NVR", {"write"})
    run(capsys, "serve", "key", "add", "me", "--role", "erase", "--role", "read", *of)
    _, out, _ = run(capsys, "serve", "key", "list", *of)
    assert "NVR" in out
    assert "read erase" in out
    assert key.split("_", 2)[2] not in out
    code, out, _ = run(capsys, "serve", "key", "remove", "NVR", *of)
    assert (code, out.strip()) == (0, "the key of NVR is no longer taken")
    assert caller(folder, key) is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["list"], 2, "name a gallery with --gallery PLACE, or its --state DIR"),
        (["list", "--gallery", "nosuch"], 1, "nosuch is no gallery"),
        (["add", "me", "--gallery", "people"], 2, "Missing option '--role'"),
        (["add", "me", "--role", "all", "--gallery", "people"], 2, "'all' is not one of"),
        (["add", "\x1b[2J", "--role", "read", "--gallery", "people"], 2, "is no name of a key"),
        (["remove", "me", "--gallery", "people"], 2, "there is no key for me"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(capsys, folder, monkeypatch, arguments, code, message):
    monkeypatch.chdir(folder.parent)
    got, _, err = run(capsys, "serve", "key", *arguments)
    assert got == code
    assert message in err
    assert "\x1b" not in err


def test_a_service_for_others_needs_a_key(capsys, folder):
    code, _, err = run(
        capsys, "serve", "--gallery", folder, "--no-page", "--host", "0.0.0.0", "--port", "0"
    )
    assert code == 2
    assert "make a key with `reid-hash serve key add NAME --role read`" in err
