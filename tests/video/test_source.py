"""Sources of frames: what is read, in which order, and what is said of bad ones."""

import os
import threading
import time

import cv2
import numpy as np
import pytest

from reid_hash.errors import ConfigError, DataError
from reid_hash.video.source import Address, Timestamps, open_source, parse_source, parse_sources
from reid_hash.video.stages import Reader
from tests.video.streams import Camera, damage, plain_frames, write_frames, write_timed


def read_all(texts, **options):
    """All frames of some sources, and what was noted."""
    notes = []
    sources = [open_source(address) for address in parse_sources(texts)]
    reader = Reader(sources, 1000.0, lambda kind, line: notes.append((kind, line)), **options)
    frames = list(reader)
    reader.close()
    return frames, notes


def test_a_file_gives_every_frame_with_its_time(tmp_path):
    path = write_frames(tmp_path / "a.mp4", plain_frames(23), fps=10)
    frames, notes = read_all([str(path)])
    assert [frame.number for frame in frames] == list(range(23))
    np.testing.assert_allclose([frame.time for frame in frames], 1000 + np.arange(23) / 10)
    assert frames[0].picture.shape == (120, 160, 3)
    assert frames[0].picture.mean() < 40 < 200 < frames[-1].picture.mean()
    assert notes == []
    assert len(read_all([str(path)], max_frames=5)[0]) == 5


def test_a_file_of_variable_rate_has_the_times_of_its_container(tmp_path):
    seconds = [*np.arange(15) / 10, *(2.0 + np.arange(10))]
    path = write_timed(tmp_path / "a.mp4", plain_frames(25), seconds)
    frames, notes = read_all([str(path)])
    np.testing.assert_allclose([frame.time - 1000 for frame in frames], seconds, atol=2e-3)
    assert notes == []
    # the rate of its fast part: at the mean, the drawn video would leave most of that out
    source = open_source(parse_source(str(path)))
    assert source.fps == pytest.approx(10, rel=0.03)
    source.close()
    # who names a rate does not believe the file
    source = open_source(parse_source(str(path)), fps=5)
    times = [moment for moment, _ in source.frames(threading.Event(), print)]
    np.testing.assert_allclose(times, np.arange(25) / 5)
    source.close()


def test_a_damaged_file_goes_on_after_the_damage_at_the_right_time(tmp_path):
    path = write_timed(tmp_path / "a.mp4", plain_frames(40), np.arange(40) / 10)
    damage(path, range(12, 19))
    frames, notes = read_all([str(path)])
    times = np.array([frame.time - 1000 for frame in frames])
    assert len(frames) < 38
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(3.9, abs=2e-3)
    ((kind, line),) = notes
    assert kind == "note"
    assert f"{len(frames)} of 40 frames can be read: damaged" in line


def test_recordings_that_were_joined_go_on_in_time(tmp_path):
    data = b""
    for number, size in enumerate([(160, 120), (320, 240)]):
        part = write_timed(tmp_path / f"{number}.ts", plain_frames(20, size), np.arange(20) / 10)
        data += part.read_bytes()
    (tmp_path / "a.ts").write_bytes(data)
    frames, _ = read_all([str(tmp_path / "a.ts")])
    assert len(frames) == 40
    steps = np.diff([frame.time for frame in frames])
    assert steps.min() > 0.05
    assert steps.max() < 0.25


def test_time_stamps_that_are_damaged_never_go_back():
    def seconds(stamps):
        timestamps = Timestamps(10)
        following = [*stamps[1:], None]
        return [timestamps.add(*pair) for pair in zip(stamps, following, strict=True)]

    np.testing.assert_allclose(seconds([0, 0.1, 5e6, 0.3, 0.4]), [0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(seconds([3.0] * 4), [0, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(seconds([None, 7.0, 7.5]), [0, 0.1, 0.6])
    np.testing.assert_allclose(seconds([float("nan"), -1e18, 0.2]), [0, 0.1, 0.2])
    assert (np.diff(seconds([0, 0.3, 0.2, 0.4, 0.35, 9, 0, 1])) > 0).all()


def test_time_stamps_of_a_stream_count_until_they_run_away_from_the_clock():
    timestamps = Timestamps(10)
    arrived = [0.0, 0.5, 0.5, 0.5, 0.6, 1.0]  # in bursts
    stamps = [40.0, 40.1, 40.2, 40.3, 40.4, 41.0]
    times = [timestamps.add(*one) for one in zip(stamps, [None] * 6, arrived, strict=True)]
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.3, 0.4, 1.0])
    assert timestamps.add(41.1, None, 60.0) == 60.0  # it was away, and its clock stood still
    assert timestamps.add(None, None, 60.5) == 60.5


def test_frames_of_several_files_come_in_the_order_of_their_times(tmp_path):
    fast = write_frames(tmp_path / "fast.mp4", plain_frames(20), fps=20)
    slow = write_frames(tmp_path / "slow.mp4", plain_frames(10), fps=10)
    frames, _ = read_all([str(fast), str(slow)])
    assert len(frames) == 30
    order = [(frame.time, frame.camera) for frame in frames]
    assert order == sorted(order)


def test_a_folder_is_read_by_number_and_says_what_it_left_out(tmp_path):
    for number, frame in zip((1, 2, 10, 11), plain_frames(4), strict=True):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), frame)
    (tmp_path / "frame3.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no frame")
    frames, notes = read_all([str(tmp_path)])
    levels = [frame.picture.mean() for frame in frames]
    assert levels == sorted(levels)
    assert len(levels) == 4
    assert notes == [("note", f"{tmp_path}: 1 images cannot be read: frame3.png")]


def test_frames_may_be_of_odd_and_of_different_sizes(tmp_path):
    for number, (height, width) in enumerate([(121, 77), (33, 161), (2, 3)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((height, width, 3), np.uint8))
    frames, _ = read_all([str(tmp_path)])
    assert [frame.picture.shape[:2] for frame in frames] == [(121, 77), (33, 161), (2, 3)]


def test_a_cut_off_file_gives_what_it_has_and_says_so(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 120, 160, 3), np.uint8)
    path = write_frames(tmp_path / "a.avi", list(noise), code="MJPG")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames, notes = read_all([str(path)])
    assert 10 < len(frames) < 30
    ((kind, line),) = notes
    assert kind == "note"
    assert f"ends after frame {len(frames)} of 40: cut off or damaged" in line


def test_unusable_files_are_named(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "none").mkdir()
    whole = write_frames(tmp_path / "a.mp4", plain_frames(20)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # the index stands at the end
    for name, message in (
        ("nosuch.mp4", "no such file or folder"),
        ("empty.mp4", "the file is empty"),
        ("text.mp4", "not a video, or cut off"),
        ("cut.mp4", "not a video, or cut off"),
        ("none", "holds no images"),
    ):
        with pytest.raises(DataError, match=message):
            read_all([str(tmp_path / name)])
    with pytest.raises(DataError, match="camera 63: no such camera"):
        read_all(["63"])
    with pytest.raises(DataError, match="127.0.0.1:9/x: no video there, or nobody answers"):
        read_all(["http://me:secret@127.0.0.1:9/x"])


def test_passwords_and_tokens_are_not_shown():
    address = parse_source("rtsp://user:secret@camera.example:554/front?token=abc")
    assert "secret" in address.target
    assert "token=abc" in address.target
    assert address.shown == "rtsp://camera.example:554/front"
    assert address.name == "camera.example/front"


def test_cameras_have_different_names(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_frames(tmp_path / folder / "door.mp4", plain_frames(3))
    texts = [str(tmp_path / folder / "door.mp4") for folder in ("a", "b")]
    assert [one.name for one in parse_sources(texts)] == ["door", "door (2)"]
    assert [one.name for one in parse_sources(texts, ["x", "y"])] == ["x", "y"]
    for names in (["x"], ["x", "x"]):
        with pytest.raises(ConfigError, match="as many names"):
            parse_sources(texts, names)


def test_a_stream_that_goes_away_comes_back():
    camera = Camera(plain_frames()).start()
    notes = []
    source = open_source(parse_source(camera.url))
    assert source.live
    reader = Reader([source], 0.0, lambda kind, line: notes.append(kind), max_frames=60)
    times = []
    for frame in reader:
        times.append(frame.time)
        if len(times) == 10:
            camera.stop()
            threading.Timer(1.0, camera.start).start()
    reader.close()
    camera.stop()
    assert notes[:2] == ["lost", "back"]
    assert len(times) + sum(reader.dropped) == 60
    assert abs(times[-1] - time.time()) < 60  # the clock's time, not that of a file
    assert max(np.diff(times)) > 0.8


def test_a_stream_that_stays_away_ends():
    camera = Camera(plain_frames()).start()
    notes = []
    source = open_source(parse_source(camera.url), patience=0.6)
    reader = Reader([source], 0.0, lambda kind, line: notes.append((kind, line)))
    for count, _ in enumerate(reader):
        if count == 5:
            camera.stop()
    reader.close()
    assert [kind for kind, _ in notes] == ["lost", "ended"]
    assert "away for 0.6 s" in notes[1][1]


def test_a_live_source_drops_frames_where_nobody_takes_them():
    camera = Camera(plain_frames(), fps=100).start()
    reader = Reader([open_source(parse_source(camera.url))], 0.0, print, max_frames=60)
    taken = 0
    for _ in reader:
        taken += 1
        time.sleep(0.1)
    reader.close()
    camera.stop()
    assert reader.dropped[0] > 10
    assert taken + reader.dropped[0] == 60


def test_a_pipe_is_a_live_source(tmp_path):
    video = write_frames(tmp_path / "a.avi", plain_frames(20), code="MJPG")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(video.read_bytes()), daemon=True).start()
    address = parse_source(str(pipe))
    assert address.live
    source = open_source(address, patience=0.1)
    picture = next(iter(source.frames(threading.Event(), print)))[1]
    assert picture.shape == (120, 160, 3)
    source.close()


def test_stopping_ends_at_once(tmp_path):
    path = write_frames(tmp_path / "a.mp4", plain_frames(50))
    reader = Reader([open_source(parse_source(str(path)))], 0.0, print)
    count = 0
    for _ in reader:
        count += 1
        reader.stop()
    reader.close()
    assert count < 10


def test_a_source_is_shown_in_one_line_without_its_password(tmp_path):
    assert "secret" not in repr(parse_source("rtsp://user:secret@10.0.0.7/front?token=secret"))
    path = write_frames(tmp_path / "a.mp4", plain_frames(6), fps=10)
    source = open_source(parse_source(str(path)))
    assert repr(source) == f"VideoSource({path}, 160 × 120 pixels, 10 fps)"
    source.close()


def test_the_source_of_sightings_is_the_real_path_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "a.png").write_bytes(b"x")
    (tmp_path / "clip.mp4").write_bytes(b"x")
    (tmp_path / "link").symlink_to(".")
    assert parse_source("link/clip.mp4").source == str(tmp_path / "clip.mp4")
    assert parse_source("link/frames").source == str(tmp_path / "frames")
    assert parse_source("link/frames/a.png").source == str(tmp_path / "frames" / "a.png")
    assert parse_source("rtsp://u:p@host/front?token=x").source == "rtsp://host/front"
    assert Address("file", "clip", "clip", "clip").source == "clip"  # a file that others named
