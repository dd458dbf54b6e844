"""A disk that gets full: one line that says so, and no part of a file under its name."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from reid_hash.data.walkers import write_video
from reid_hash.errors import ReidHashError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.training.loop import train
from reid_hash.utils.files import LineFile, check_space
from reid_hash.utils.mp4 import VideoFile
from tests.helpers import coloured_pixels, run_cli, tiny_config

FULL = "the disk is full; free some space"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a megabyte, and a function that leaves so many bytes free on it."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", str(place)]
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("needs Linux's mount for a disk that is small")
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")

    def leave(free):
        filler = place / "filler"
        filler.write_bytes(b"")
        size = shutil.disk_usage(place).free - free
        filler.write_bytes(bytes(max(0, size)))
        return place

    try:
        yield leave
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_video(folder, identities=3, seconds=4, fps=8, size=(320, 180))
    train(tiny_config("train.epochs=1"), coloured_pixels(), folder / "run", device="cpu")
    for name, image in zip("abcd", coloured_pixels().images, strict=False):
        cv2.imwrite(str(folder / f"{name}.png"), image)
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def names(place):
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


@pytest.mark.parametrize("free", [0, 4096, 40_960])
def test_the_demos_video(small_disk, world, capsys, free):
    place = small_disk(free)
    code, _, err = run_cli(
        capsys,
        *["demo", world / "camera1.mp4", "--model", world / "run", "--detector", "motion", "-q"],
        *["--min-height", "20", "--gallery", "g", "-o", place / "out.mp4", "--timeline", "t.html"],
        *["--events", "e.jsonl", "--json", "f.json"],
    )
    assert code == 1
    assert f"cannot write {place}/out.mp4: {FULL}" in err
    assert "wrote " + str(place) not in err
    assert err.count("error:") == 1
    assert names(place) == ["filler"]
    if free:  # it began: whoever was seen is kept
        assert json.loads(Path("f.json").read_text())["error"].endswith(
            "run the same command again"
        )
        with Gallery.open("g") as gallery:
            assert len(gallery) > 0


@pytest.mark.parametrize("free", [0, 4096])
@pytest.mark.parametrize(("option", "name"), [("--json", "f.json"), ("--timeline", "t.html")])
def test_the_demos_pages(small_disk, world, capsys, free, option, name):
    place = small_disk(free)
    given = {"--timeline": "t.html", "--json": "f.json"} | {option: place / name}
    code, _, err = run_cli(
        capsys,
        *["demo", world / "camera1.mp4", "--model", world / "run", "--detector", "motion", "-q"],
        *["--min-height", "20", "--gallery", "g", "--no-video", "--events", "e.jsonl"],
        *(part for pair in given.items() for part in pair),
    )
    if free and name == "f.json" and code == 0:
        pytest.skip("this file fits into a page")
    assert (code, err.count("\n")) == (1, 1), err
    assert f"cannot write {place}/{name}: {FULL}" in err
    assert names(place) == ["filler"]


def test_the_demos_events(small_disk, world, capsys):
    place = small_disk(0)
    code, _, err = run_cli(
        capsys,
        *["demo", world / "camera1.mp4", "--model", world / "run", "--detector", "motion", "-q"],
        *["--min-height", "20", "--gallery", "g", "--no-video", "--events", place / "e.jsonl"],
    )
    assert code == 1
    assert f"cannot write {place}/e.jsonl: {FULL}" in err
    assert (place / "e.jsonl").read_bytes() == b""  # no part of a line


def test_lines_are_whole(small_disk):
    place = small_disk(8192)
    file = LineFile(place / "lines")
    with pytest.raises(ReidHashError, match=FULL):
        for i in range(10_000):
            file.write(json.dumps({"line": i, "ä": "x" * (i % 50)}))
    lines = (place / "lines").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["line"] for line in lines] == list(range(len(lines)))
    assert (place / "lines").read_bytes().endswith(b"\n")
    (place / "filler").write_bytes(b"")
    file.write("again")
    file.close()
    assert (place / "lines").read_text(encoding="utf-8").splitlines() == [*lines, "again"]
    more = LineFile(place / "lines", append=True)
    more.write("more")
    more.close()
    assert (place / "lines").read_text(encoding="utf-8").splitlines() == [*lines, "again", "more"]


def test_a_long_video_ends_when_the_disk_is_full(small_disk):
    place = small_disk(100_000)
    random = np.random.default_rng(0)
    written = 0
    with pytest.raises(ReidHashError, match=FULL), VideoFile(place / "v.mp4", (64, 64), 8) as file:
        for _ in range(2_000):
            file.write(random.integers(0, 256, (64, 64, 3), np.uint8))
            written += 1
    assert written < 1_000  # not at the end alone
    assert names(place) == ["filler"]


def test_a_whole_video_stays(tmp_path):
    with VideoFile(tmp_path / "v.mp4", (64, 64), 8) as file:
        for i in range(300):
            file.write(np.full((64, 64, 3), i % 256, np.uint8))
    assert cv2.VideoCapture(str(tmp_path / "v.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 300
    with (
        pytest.raises(ValueError, match="mine"),
        VideoFile(tmp_path / "w.mp4", (64, 64), 8) as file,
    ):
        file.write(np.zeros((64, 64, 3), np.uint8))
        raise ValueError("mine")
    assert cv2.VideoCapture(str(tmp_path / "w.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 1
    with pytest.raises(ReidHashError, match=r"name a file that ends in \.mp4"):
        VideoFile(tmp_path / "v.txt", (64, 64), 8).__enter__()
    assert names(tmp_path) == ["v.mp4", "w.mp4"]


def commands(world, place):
    run = ["--model", world / "run"]
    return {
        "encode": ["encode", world / "a.png", "-o", place / "c.npz", *run],
        "export": ["export", "onnx", "-o", place / "m.onnx", *run],
        "prepare": ["data", "prepare", "walkers", place],
        "train": [
            *["train", "walkers", "--output", place / "r", "--set", "train.epochs=1"],
            *["--set", "model.backbone=paper", "--set", "data.height=32", "--set", "data.width=16"],
        ],
    }


@pytest.mark.parametrize("name", ["encode", "export", "prepare", "train"])
@pytest.mark.parametrize("free", [0, 4096, 16384])
def test_other_commands(small_disk, world, capsys, name, free):
    place = small_disk(free)
    if name == "export":
        pytest.importorskip("onnx", reason="needs the extra: pip install 'reid-hash[onnx]'")
    if name == "encode" and free:
        pytest.skip("these codes fit")
    code, _, err = run_cli(capsys, *commands(world, place)[name], "-q")
    assert code == 1, err
    assert err.count("error:") == err.count("\n") == 1, err
    assert FULL in err
    whole = {"config.yaml", "metrics.jsonl"}  # of a training: each is whole
    left = [Path(one).name for one in names(place) if one != "filler"]
    left = [one for one in left if one not in whole and "tfevents" not in one]
    assert not left or name == "prepare", left
    assert not [one for one in left if one.startswith(".")], left  # no temporary file
    assert all(cv2.imread(str(place / one)) is not None for one in names(place) if "png" in one)


@pytest.mark.parametrize("free", [0, 4096])
def test_figures_and_plots(small_disk, free, capsys, monkeypatch):
    from reid_hash.evaluation.describe import write_json
    from reid_hash.report.plots import save_figure

    place = small_disk(free)
    with pytest.raises(ReidHashError, match=FULL):
        write_json(place / "f.json", {"values": list(range(10_000))})
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot(np.random.default_rng(0).random(5_000))
    for suffix in ("png", "svg"):
        with pytest.raises(ReidHashError, match=FULL):
            save_figure(figure, place / f"p.{suffix}")
    assert names(place) == ["filler"]


def test_space_is_there(tmp_path):
    check_space(tmp_path / "x")
    assert names(tmp_path) == []
    with pytest.raises(ReidHashError, match="cannot write"):
        check_space(tmp_path / "nosuch" / "x")
