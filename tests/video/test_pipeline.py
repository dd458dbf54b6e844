"""From frames to identities, pictures and a page: the whole of reid_hash.video."""

import json
import os
import re
import signal
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from reid_hash.app.demo.options import DemoOptions
from reid_hash.app.demo.run import run_demo
from reid_hash.errors import CodeError, ReidHashError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.report.pages.timeline import Timeline, clock, write_timeline
from reid_hash.video.draw import text
from reid_hash.video.draw.blur import blur_boxes, blurred_crop
from reid_hash.video.draw.boxes import identity_colour, ink_on
from reid_hash.video.score import read_truth
from tests.video.streams import Camera, plain_frames, write_frames, write_timed


@pytest.fixture
def options(film, model, tmp_path):
    return DemoOptions(
        sources=[str(one.video) for one in film],
        folder=tmp_path / "run",
        detector="motion",
        model=model,
        start=1_000_000.0,
        output=tmp_path / "out.mp4",
        no_window=True,
        events=tmp_path / "events.jsonl",
        device="cpu",
        min_height=24,
    )


def frames_of(path):
    video, frames = cv2.VideoCapture(str(path)), []
    while (got := video.read())[0]:
        frames.append(got[1])
    return frames


@pytest.mark.parametrize("what", ["people", "heads"])
def test_who_is_blurred_is_blurred_in_all_that_is_kept_and_found_as_before(options, tmp_path, what):
    plain = run_demo(options, print)
    with Gallery.open(tmp_path / "run" / "gallery", read_only=True) as gallery:
        seen, (codes, _) = gallery.sightings(thumbnails=True), gallery.codes()
    blurred_options = replace(
        options, blur=what, folder=tmp_path / "blurred", output=tmp_path / "blurred.mp4"
    )
    blurred = run_demo(blurred_options, print)
    with Gallery.open(tmp_path / "blurred" / "gallery", read_only=True) as gallery:
        hidden, (hidden_codes, _) = gallery.sightings(thumbnails=True), gallery.codes()
    assert len(plain.people) == len(blurred.people)
    assert np.array_equal(codes.packed, hidden_codes.packed)
    for one, other in zip(seen, hidden, strict=True):
        shown, kept = (
            cv2.imdecode(np.frombuffer(each.thumbnail, np.uint8), cv2.IMREAD_COLOR).astype(int)
            for each in (one, other)
        )
        rows = len(shown)
        assert np.abs(shown - kept)[: rows // 5].mean() > 3
        below = np.abs(shown - kept)[rows // 2 :].mean()
        assert below > 3 if what == "people" else below < 3
    pictures = [
        {visit.thumbnail for person in result.people for visit in person.visits}
        for result in (plain, blurred)
    ]  # of the timeline
    assert pictures[0].isdisjoint(pictures[1])
    frames = zip(*map(frames_of, (tmp_path / "out.mp4", tmp_path / "blurred.mp4")), strict=True)
    assert max(np.abs(a.astype(int) - b).max() for a, b in frames) > 40


@pytest.mark.parametrize("what", ["people", "heads"])
def test_only_a_few_blocks_are_left_of_a_box(what):
    picture = np.random.default_rng(0).integers(0, 256, (100, 80, 3), np.uint8)
    before = picture.copy()
    boxes = np.array([[20, 20, 50, 90], [70, -10, 95, 30], [200, 0, 210, 20], [5, 5, 5, 5]])
    blur_boxes(picture, boxes.astype(np.float32), what)
    head = picture[20:39, 20:50].reshape(-1, 3)
    assert len(np.unique(head, axis=0)) <= 25
    body = slice(60, 90), slice(20, 50)
    assert np.array_equal(picture[body], before[body]) == (what == "heads")
    assert not np.array_equal(picture[:5, 72:], before[:5, 72:])
    assert np.array_equal(picture[50:, 55:65], before[50:, 55:65])
    assert not np.array_equal(blurred_crop(before, what), before)


def test_two_cameras_from_end_to_end(film, options, tmp_path):
    truths = [read_truth(one.truth, 24) for one in film]
    result = run_demo(options, print, truths=truths)
    assert [one["frames"] for one in result.cameras] == [56, 56]
    assert [one["frames_dropped"] for one in result.cameras] == [0, 0]
    assert result.error == ""
    assert not result.interrupted
    assert len(result.people) >= 3
    assert set(result.stages) == {"detect", "track", "hash", "search", "draw", "write"}
    score = result.score
    assert 0.2 < score.idf1 <= 1
    assert score.true == 4
    assert score.right <= score.people
    assert score.matched <= score.matches

    drawn = frames_of(options.output)
    assert len(drawn) == 56  # one picture for both cameras at each time
    assert drawn[0].shape[0] % 2 == drawn[0].shape[1] % 2 == 0

    events = [json.loads(line) for line in options.events.read_text().splitlines()]
    kinds = {event["event"] for event in events}
    assert {"new", "leave"} <= kinds
    assert all(event["time"].startswith("1970-01-12T13:46") for event in events)

    # what is said is in the gallery
    with Gallery.open(tmp_path / "run" / "gallery") as gallery:
        identities = {one.id: one for one in gallery.people.identities()}
        assert set(identities) == {person.identity for person in result.people}
        seen = gallery.sightings(thumbnails=True)
        assert len(seen) >= len(identities)
        for one in seen:
            assert one.camera in ("camera1", "camera2")
            assert one.thumbnail[:2] == b"\xff\xd8"
            assert 1_000_000 <= one.time <= 1_000_007
            assert one.track >= 1
            assert one.box[3] >= 24
            assert one.frame == round((one.time - 1_000_000) * 8)
        # and can be corrected afterwards
        first, second = sorted(identities)[:2]
        assert gallery.people.merge(first, second) == first

    page = tmp_path / "timeline.html"
    write_timeline(page, result.timeline())
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)""", html)
    assert all(person.label in html for person in result.people)
    assert html.count('class="bar"') == sum(len(person.visits) for person in result.people)


def test_the_same_files_give_the_same_result(options, tmp_path):
    found = []
    for name in ("a", "b"):
        again = replace(options, folder=tmp_path / name, max_frames=30, output=None)
        result = run_demo(again, print).to_json()
        found.append((result["people"], result["frames"]))
    assert found[0] == found[1]


def test_people_are_known_the_second_time_and_watched_ones_are_told(options, tmp_path):
    gallery = tmp_path / "gallery"
    first = run_demo(replace(options, gallery=gallery, output=None), print)
    image = tmp_path / "wanted.jpg"
    image.write_bytes(next(v.thumbnail for p in first.people for v in p.visits if v.thumbnail))
    said = []
    again = replace(options, gallery=gallery, model=None, watch=[image], start=2_000_000.0)
    second = run_demo(again, said.append)
    assert sum(person.known for person in second.people) >= 0.5 * len(second.people)
    assert any(line.startswith("watch: ") and "wanted.jpg" in line for line in said)
    watched = [v for p in second.people for v in p.visits if v.watched]
    assert watched
    # the mark is in the picture
    red = [
        (np.abs(f.astype(int) - (40, 40, 235)).max(2) < 60).sum() for f in frames_of(again.output)
    ]
    assert max(red) > 200


def test_a_gallery_of_another_model_is_refused(options, tmp_path):
    with Gallery.create(tmp_path / "g", 16, model="another"):
        pass
    with pytest.raises(CodeError, match="holds codes of model another"):
        run_demo(replace(options, gallery=tmp_path / "g"), print)


def test_nobody_and_odd_sizes(options, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i, shape in enumerate([(121, 77), (121, 77), (64, 64), (33, 161)]):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((*shape, 3), 90, np.uint8))
    result = run_demo(replace(options, sources=[str(folder)]), print)
    assert result.people == []
    assert result.frames == 4
    assert len(frames_of(options.output)) == 4
    write_timeline(tmp_path / "t.html", result.timeline())
    assert "Nobody was identified" in (tmp_path / "t.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("tracker", ["bytetrack", "sort"])
def test_the_tracker_gets_the_times_of_the_container(options, tmp_path, monkeypatch, tracker):
    import trackers

    seconds = [*np.arange(8) / 10, *(2.0 + np.arange(4))]
    film = write_timed(tmp_path / "a.mp4", plain_frames(12), seconds)
    kind = {"bytetrack": trackers.ByteTrackTracker, "sort": trackers.SORTTracker}[tracker]
    update, given = kind.update, []

    def recorded(self, detections, frame=None, timestamp=None):
        given.append(timestamp)
        return update(self, detections, frame, timestamp)

    monkeypatch.setattr(kind, "update", recorded)
    asked = replace(options, sources=[str(film)], output=None, no_video=True, tracker=tracker)
    run_demo(asked, print)
    np.testing.assert_allclose(np.array(given) - 1_000_000.0, seconds, atol=2e-3)


def test_an_error_in_the_middle_keeps_what_was_seen(options, tmp_path, monkeypatch):
    from reid_hash.video.detectors.classical import Motion

    calls = []
    detect = Motion.detect

    def failing(self, picture):
        calls.append(1)
        if len(calls) > 70:
            raise ReidHashError("the detector broke")
        return detect(self, picture)

    monkeypatch.setattr(Motion, "detect", failing)
    result = run_demo(options, print)
    assert result.error == "the detector broke"
    assert result.frames == 70
    assert result.people
    with Gallery.open(tmp_path / "run" / "gallery") as gallery:
        assert len(gallery) >= len(result.people)
    assert len(frames_of(options.output)) > 20


@pytest.mark.slow
def test_a_stream_that_vanishes_and_ctrl_c(film, options, tmp_path):
    frames = frames_of(film[0].video)
    camera = Camera(frames, fps=8).start()
    said = []

    def act():
        camera.stop()
        threading.Timer(5.0, camera.start).start()
        threading.Timer(6.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    threading.Timer(3.0, act).start()
    before = signal.getsignal(signal.SIGINT)
    result = run_demo(replace(options, sources=[camera.url], start=None), said.append)
    camera.stop()
    assert result.interrupted
    assert result.error == ""
    assert signal.getsignal(signal.SIGINT) is before
    assert any("no frames any more; trying again" in line for line in said)
    assert any("back after" in line for line in said)
    assert result.people
    with Gallery.open(tmp_path / "run" / "gallery") as gallery:
        assert len(gallery) >= len(result.people)
    assert len(frames_of(options.output)) > 8


def test_several_sources_go_on_where_one_ends(options, film, tmp_path):
    short = write_frames(tmp_path / "short.mp4", plain_frames(5, (384, 216)), fps=8)
    result = run_demo(replace(options, sources=[str(short), str(film[0].video)]), print)
    assert [one["frames"] for one in result.cameras] == [5, 56]
    assert len(frames_of(options.output)) == 56


def test_colours_are_far_apart_and_labels_can_be_read():
    colours = [identity_colour(i) for i in range(1, 13)]
    apart = [np.abs(np.subtract(a, b)).sum() for a in colours for b in colours if a != b]
    assert min(apart) > 40
    assert len(set(colours)) == 12
    for colour in colours:
        assert np.abs(np.subtract(colour, ink_on(colour))).sum() > 150


def test_text_of_any_length_stays_in_the_picture():
    picture = np.zeros((40, 60, 3), np.uint8)
    for x, y, words in (
        (0, 0, "Zoë Łuk"),
        (-20, -5, "cut"),
        (55, 35, "cut"),
        (500, 0, "off"),
        (0, 0, ""),
    ):
        text.put(picture, words, x, y, (255, 255, 255))
    assert picture.max() == 255
    fitted = text.fit("a long name of a camera", 60)
    assert fitted.endswith("…")
    assert text.width(fitted) <= 60


def test_a_timeline_escapes_what_it_is_told(tmp_path):
    write_timeline(
        tmp_path / "t.html", Timeline(["<b>"], [], 0.0, [("a", "<script>")], ["<i>note</i>"])
    )
    html = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert (clock(0), clock(59.9), clock(86400)) == ("0:00", "0:59", "24:00:00")
