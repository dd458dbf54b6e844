"""Every command, given names that try to command the terminal."""

import json
import os
import shutil
import subprocess
import sys
import unicodedata

import cv2
import pytest

from reid_hash.data.walkers import write_video
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.training.loop import train
from tests.helpers import coloured_pixels, on_terminal, run_cli, tiny_config

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp\r\x08"
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such file names")


def is_harmless(*texts):
    """Whether no character in it commands a terminal; lines have ends, and --plain has tabs."""
    bad = {
        c
        for text in texts
        for c in text
        if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }
    assert not bad, bad
    return True


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A network, a gallery of its codes, a picture and a video, all with evil names."""
    folder = tmp_path_factory.mktemp("world") / f"here{EVIL}"
    folder.mkdir()
    train(tiny_config("train.epochs=1"), coloured_pixels(), folder / "run", device="cpu")
    encoder = TorchEncoder.load(folder / "run" / "model.safetensors", "cpu")
    pixels = coloured_pixels()
    codes = encoder.encode(pixels.images)
    file = str(folder / "run" / "model.safetensors")
    with Gallery.create(folder / "g", codes.bits, codes.weights, codes.model, file) as gallery:
        sightings = [
            Sighting(f"cam{EVIL}{i % 2}", 1000.0 + i, f"from{EVIL}\n{i}", name=f"Ada{EVIL}{i % 3}")
            for i in range(len(codes))
        ]
        gallery.add(codes, sightings)
    cv2.imwrite(str(folder / "p.png"), pixels.images[0])
    shutil.copy(folder / "p.png", folder / f"p{EVIL}.png")
    (folder / f"bad{EVIL}.png").write_bytes(b"no picture")
    write_video(folder, identities=3, seconds=3, fps=8, size=(320, 180))
    shutil.copy(folder / "camera1.mp4", folder / f"film{EVIL}.mp4")
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@posix
def test_commands_show_it(world, capsys, tmp_path):
    g, picture, out = world / "g", world / f"p{EVIL}.png", tmp_path / f"out{EVIL}"
    out.mkdir()
    commands = [
        ["gallery", "info", g, "--identities"],
        ["gallery", "verify", g],
        ["gallery", "add", g, picture, "--camera", EVIL],
        ["gallery", "name", g, "#1", f"Eve{EVIL}"],
        ["gallery", "export", g, out / "e.npz"],
        ["gallery", "import", out / "copy", out / "e.npz"],
        ["search", picture, "--gallery", g],
        ["search", picture, "--gallery", g, "--plain"],
        [
            "encode",
            picture,
            world,
            "--skip-unreadable",
            "-o",
            out / "c.npz",
            "--model",
            world / "run",
        ],
        ["export", "onnx", "--model", world / "run", "-o", out / "m.onnx"],
        ["data", "info"],
        ["models"],
        ["models", "small"],
    ]
    for command in commands:
        if command[0] == "export":
            pytest.importorskip("onnx")
        code, text, err = run_cli(capsys, *command)
        assert code == 0, (command, err)
        assert is_harmless(text, err)
        if command[0] == "search" or "--identities" in command:
            assert "\\x1b[2J" in text
            assert "Ada\\x1b" in text or "Eve\\x1b" in text
            if "--plain" in command:  # a table folds it
                assert "from\\x1b[2J" in text


@posix
def test_the_demo_shows_it(world, capsys, tmp_path):
    code, text, err = run_cli(
        capsys,
        *["demo", world / f"film{EVIL}.mp4", "--model", world / "run", "--detector", "motion"],
        *["--min-height", "20", "--camera", f"door{EVIL}", "--gallery", tmp_path / f"g{EVIL}"],
        *["--watch", world / f"p{EVIL}.png", "--json", tmp_path / "f.json"],
    )
    assert code == 0, err
    assert is_harmless(text, err)
    assert "door\\x1b[2J" in text
    # what programs read is as it was
    assert json.loads((tmp_path / "f.json").read_text())["cameras"][0]["name"] == f"door{EVIL}"


def test_json_stays_as_it_is(world, capsys, tmp_path):
    code, _, _ = run_cli(
        capsys, "search", world / "p.png", "--gallery", world / "g", "--json", tmp_path / "a.json"
    )
    assert code == 0
    (query,) = json.loads((tmp_path / "a.json").read_text())["queries"]
    assert EVIL in query["matches"][0]["camera"]
    assert EVIL in query["matches"][0]["source"]


@posix
@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (["gallery", "info", f"no{EVIL}"], 1),
        (["encode", f"no{EVIL}.png", "-o", "c.npz", "--model", f"no{EVIL}"], 1),
        (["encode", "bad", "-o", "c.npz", "--model", "small"], 1),
        (["models", f"no{EVIL}"], 1),
        ([f"no{EVIL}"], 2),
        (["encode", f"--no{EVIL}"], 2),
        (["encode", "x", "-o", "c", "--bits", f"no{EVIL}"], 2),
        (["cmc", "--bits", f"1{EVIL}"], 2),
        (["demo", f"no{EVIL}.mp4", "--detector", f"no{EVIL}"], 1),
        (["train", f"no{EVIL}"], 1),
        (["train", "walkers", "--set", f"model.no{EVIL}=1"], 2),
        (["train", "walkers", "--config", f"no{EVIL}.yaml"], 2),
    ],
)
def test_errors_show_it(world, capsys, command, exit_code):
    command = [str(world / f"bad{EVIL}.png") if one == "bad" else one for one in command]
    code, text, err = run_cli(capsys, *command)
    assert code in (exit_code, 2), err
    assert is_harmless(text, err)
    assert "\\x1b" in err
    assert "Traceback" not in err


@posix
def test_so_do_tracebacks(world):
    command = [sys.executable, "-m", "reid_hash", "gallery", "info", f"no{EVIL}", "--debug"]
    got = subprocess.run(command, capture_output=True, check=False)
    err = got.stderr.decode()
    assert got.returncode == 1
    assert "Traceback" in err
    assert "GalleryError" in err
    assert is_harmless(err)


@posix
def test_on_a_real_terminal(world):
    """Where nothing strips what the names hold, as pipes' writers do."""
    command = [sys.executable, "-m", "reid_hash", "gallery", "info", world / "g", "--identities"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "300"}
    code, data = on_terminal(command, 300, errors=True, env=environment)
    assert code == 0
    text = data.decode()
    assert "Ada\\x1b[2J" in text
    assert is_harmless(text.replace("\r\n", "\n"))


def test_a_message_of_several_lines_is_one(capsys, tmp_path):
    code, _, err = run_cli(capsys, "models", "a\nerror: all is well\u2028x")
    assert code == 1
    assert len(err.splitlines()) == 1
