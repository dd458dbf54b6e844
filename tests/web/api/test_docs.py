"""What docs/service.md shows works."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

import reid_hash
from reid_hash.data.walkers import walkers
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.shipped import WALKERS_GALLERY
from tests.web.api.conftest import Client

PAGE = (Path(__file__).parents[3] / "docs" / "service.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture
def url(tmp_path, serve, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = walkers(train_identities=1, test_identities=2).query
    for i, name in enumerate(("ada.jpg", "who.jpg")):
        cv2.imwrite(name, shown.read(i)[:, :, ::-1])
    Gallery.load(tmp_path / "people", WALKERS_GALLERY).close()
    return serve(tmp_path / "people").url


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_commands(url):
    (block,) = [one for one in BLOCKS if one.startswith("A=")]
    lines = [line.split(" #")[0].strip() for line in block.splitlines()[1:]]
    assert len(lines) >= 8
    Client(type("S", (), {"url": url})).post("/people/assign", json={"ids": [1], "identity": 12})
    for line in lines:
        # -f: a status of 400 or more is an error
        done = subprocess.run(
            ["sh", "-c", line.replace("curl ", "curl -sSf ", 1)],
            env={**os.environ, "A": f"{url}/api/v1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (line, done.stderr)


def test_the_client(url, capsys):
    (block,) = [one for one in BLOCKS if one.startswith("gallery = reid_hash.Gallery")]
    source = re.sub(r'"https://[^"]*", key="[^"]*"', repr(url), block)
    exec(compile(source, "snippet", "exec"), {"reid_hash": reid_hash})
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_hook_is_valid():
    (block,) = [one for one in BLOCKS if "class Hook" in one]
    compile(block, "snippet", "exec")
