"""`reid-hash demo` as a person uses it."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import pytest

from reid_hash.data.walkers import write_video
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.nn.checkpoint import load_checkpoint
from reid_hash.training.loop import train
from tests.helpers import coloured_pixels, tiny_config
from tests.helpers import run_cli as run

if sys.platform != "win32":
    import fcntl
    import termios


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two videos of walkers and a network, all of them small."""
    folder = tmp_path_factory.mktemp("world")
    write_video(folder, identities=4, seconds=5, fps=8, size=(320, 180))
    train(tiny_config("train.epochs=2"), coloured_pixels(), folder / "run", device="cpu")
    return folder


@pytest.fixture
def usual(world, monkeypatch, tmp_path):
    """Options of every command here; it runs in an empty folder without a display."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return ["--model", world / "run", "--detector", "motion", "--min-height", "20"]


def test_a_run_prints_a_table_and_writes_everything(world, usual, capsys, tmp_path):
    code, out, err = run(
        capsys,
        *["demo", world / "camera1.mp4", world / "camera2.mp4", *usual, "-o", "out/drawn.mp4"],
        *["--json", "f.json", "--events", "e.jsonl", "--gallery", "people", "--camera", "door"],
        *["--camera", "hall", "--start", "2026-03-01T12:00:00Z", "--bits", "12"],
    )
    assert code == 0, err
    facts = json.loads((tmp_path / "f.json").read_text())
    assert facts["frames"] == 80
    assert [camera["name"] for camera in facts["cameras"]] == ["door", "hall"]
    assert facts["start"] == "2026-03-01T12:00:00Z"
    assert f"{len(facts['people'])} people in" in out
    assert "frames  door: 40, hall: 40" in out
    assert "limit   " in out
    assert "the gallery is not calibrated" in out
    for person in facts["people"]:
        assert person["label"] in out
    assert "detector: motion" in err
    (folder,) = (tmp_path / "runs" / "demo").iterdir()
    for path in ("out/drawn.mp4", "e.jsonl", "f.json", "people", folder / "timeline.html"):
        assert (tmp_path / path).exists()
        assert f"wrote {path}".replace(f"{tmp_path}/", "") in err
    assert int(cv2.VideoCapture("out/drawn.mp4").get(cv2.CAP_PROP_FRAME_COUNT)) == 40
    first = json.loads((tmp_path / "e.jsonl").read_text().splitlines()[0])
    assert first["time"].startswith("2026-03-01T12:00:0")

    # the gallery's own command corrects it
    numbers = [f"#{person['identity']}" for person in facts["people"]]
    code, out, _ = run(capsys, "gallery", "merge", "people", *numbers[:2])
    assert code == 0
    with Gallery.open("people") as gallery:
        assert gallery.model == load_checkpoint(world / "run/model.safetensors").fingerprint
        assert len(gallery.people.identities()) == len(numbers) - 1


@pytest.mark.slow
def test_without_a_source_the_walkers_are_filmed_and_scored(world, usual, capsys, tmp_path):
    arguments = ["demo", *usual, "--max-frames", "16", "--json", "f.json"]
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    score = json.loads((tmp_path / "f.json").read_text())["score"]
    assert f"{score['matched']} of {score['matches']} tracks" in out
    assert f"IDF1 over both cameras {100 * score['idf1']:.1f}" in out
    (folder,) = (tmp_path / "runs" / "demo").iterdir()
    names = {path.name for path in folder.iterdir()}
    assert names == {"demo.mp4", "events.jsonl", "gallery", "timeline.html", "walkers"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nosuch.mp4"], 1, "no such file or folder: nosuch.mp4"),
        (["EMPTY"], 1, "the file is empty"),
        (["TEXT"], 1, "not a video, or cut off"),
        (["VIDEO", "--camera", "a", "--camera", "b"], 2, "as many names of cameras"),
        (["VIDEO", "--bits", "17"], 2, "the gallery has 16; choose 1 to 16"),
        (["VIDEO", "--detector", "nosuch"], 2, "there is no detector nosuch"),
        (["VIDEO", "--detector", "TEXT"], 1, "no ONNX file"),
        (["VIDEO", "--gallery", "OTHER"], 1, "holds codes of model another"),
        (["VIDEO", "--watch", "TEXT"], 1, "not an image, or cut off"),
        (["VIDEO", "--tracker", "nosuch"], 2, "is not one of"),
        (["VIDEO", "-o", "TEXT/x.mp4"], 1, "cannot write"),
        (["VIDEO", "-o", "x.txt"], 1, "name a file that ends in .mp4"),
        (["VIDEO", "--start", "yesterday"], 2, "is no time in ISO 8601"),
        (["77"], 1, "camera 77: no such camera here"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    world, usual, capsys, tmp_path, arguments, code, message
):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    Gallery.create(tmp_path / "other", 16, model="another").close()
    places = {
        "VIDEO": str(world / "camera1.mp4"),
        "EMPTY": "empty.mp4",
        "TEXT": "text.mp4",
        "OTHER": "other",
    }
    given = []
    for argument in arguments:
        for word, place in places.items():
            argument = argument.replace(word, place)
        given.append(argument)
    got, _, err = run(capsys, "demo", *usual, "--max-frames", "3", *given)
    assert message in err
    assert got == code
    assert len([line for line in err.splitlines() if line.lower().startswith("error")]) == 1
    assert "Traceback" not in err


def test_a_second_run_of_a_source_says_what_it_doubles(world, usual, capsys, tmp_path):
    video = tmp_path / "clip.mp4"
    video.write_bytes((world / "camera1.mp4").read_bytes())
    (tmp_path / "link").symlink_to(tmp_path)
    first = ["demo", "clip.mp4", *usual, "--gallery", "people", "--no-video", "--json", "f.json"]
    code, out, err = run(capsys, *first, "--start", "2026-03-01T12:00:00Z")
    assert (code, "before" in out.replace("known before", "")) == (0, False), err
    with Gallery.open("people") as gallery:
        before = len(gallery)
        assert {one.source for one in gallery.sightings()} == {str(video)}
    assert before

    again = [argument.replace("clip", "link/clip") for argument in map(str, first)]
    code, out, err = run(capsys, *again, "--camera", "clip")
    assert code == 0, err
    assert f"{video}: the gallery has {before} sightings of it from before, and this run" in out
    (note,) = json.loads((tmp_path / "f.json").read_text())["notes"]
    with Gallery.open("people") as gallery:
        added = len(gallery) - before
    assert f"{video} was in the gallery before: {before} sightings, and {added} more" in note
    assert f"note    {note}" in out

    # the command that it names takes the older ones out
    command = note.partition("reid-hash ")[2].split()
    code, out, err = run(capsys, *command, "--yes")
    assert (code, f"erased {before} sightings; gallery people has {added}" in out) == (0, True), err

    # with times among the older ones, all must go
    code, out, _ = run(capsys, *first, "--start", "2026-03-01T12:00:00Z")
    assert f"run the demo once more: reid-hash gallery forget people --source {video}" in out
    assert (
        run(capsys, *first[:2], *usual, "--no-video", "--json", "f.json")[0] == 0
    )  # a new gallery
    assert json.loads((tmp_path / "f.json").read_text())["notes"] == []


@pytest.mark.slow
def test_the_built_in_film_is_the_same_each_time(world, usual, capsys):
    arguments = ["demo", *usual, "--max-frames", "16", "--gallery", "people", "--no-video"]
    assert run(capsys, *arguments)[0] == 0
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    assert "walkers, seed 0: camera1.mp4: the gallery has " in out
    code, out, _ = run(capsys, *arguments, "--seed", "5")
    assert "walkers, seed 5" not in out


def _demo(place, *arguments, terminal=None):
    """Start a demo of a long film in a process of its own, and wait until it has written events."""
    command = [sys.executable, "-m", "reid_hash", "demo", "long.mp4", *map(str, arguments)]
    command += ["--gallery", "people", "-o", "o.mp4", "--events", "e.jsonl", "--timeline", "t.html"]

    def prepare():  # in the background some signals are ignored
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [*command, "--json", "f.json"],
        cwd=place,
        stdin=terminal,
        stdout=subprocess.PIPE if terminal is None else terminal,
        stderr=subprocess.STDOUT if terminal is None else terminal,
        start_new_session=True,
        preexec_fn=prepare,
    )
    events = place / "e.jsonl"
    for _ in range(600):
        if process.poll() is not None or (events.exists() and events.stat().st_size):
            break
        time.sleep(0.1)
    return process


def _film(world, place, times=60):
    reader = cv2.VideoCapture(str(world / "camera1.mp4"))
    frames = []
    while (read := reader.read())[0]:
        frames.append(read[1])
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(place / "long.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 8, size)
    for _ in range(times):
        for frame in [*frames, *frames[::-1]]:
            writer.write(frame)
    writer.release()


def _is_finished(place):
    names = {path.name for path in place.iterdir()}
    assert names == {"long.mp4", "people", "o.mp4", "e.jsonl", "t.html", "f.json"}
    facts = json.loads((place / "f.json").read_text())
    assert facts["interrupted"]
    assert 0 < facts["frames"] < 4800
    assert cv2.VideoCapture(str(place / "o.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 0
    assert "stopped before the end" in (place / "t.html").read_text()
    with Gallery.open(place / "people") as gallery:
        assert len(gallery)


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@posix
@pytest.mark.slow
@pytest.mark.parametrize("names", [["SIGINT"], ["SIGTERM"], ["SIGHUP"], ["SIGTERM"] * 3])
def test_a_signal_ends_a_run_with_its_files_finished(world, usual, tmp_path, names):
    _film(world, tmp_path)
    process = _demo(tmp_path, *usual)
    for name in names:
        process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert b"stopped before the end" in out
    _is_finished(tmp_path)


@posix
@pytest.mark.slow
def test_a_closed_terminal_ends_a_run_with_its_files_finished(world, usual, tmp_path):
    _film(world, tmp_path)
    ours, theirs = os.openpty()
    process = _demo(tmp_path, *usual, terminal=theirs)
    os.close(theirs)
    os.close(ours)
    assert process.wait(timeout=120) == 0
    _is_finished(tmp_path)
