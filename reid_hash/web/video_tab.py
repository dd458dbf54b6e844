"""The video page: a file or the webcam of the browser, with boxes and identities, live."""

import base64
import threading
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np

from reid_hash.errors import GalleryError, ReidHashError
from reid_hash.video.draw.boxes import identity_colour
from reid_hash.video.summary import Person
from reid_hash.video.types import BgrFrame
from reid_hash.web.follow import Follower, follow_files
from reid_hash.web.html import note, picture, problem
from reid_hash.web.inbox import Inbox
from reid_hash.web.page_gallery import PageGallery
from reid_hash.web.uploads import VIDEOS, check_video

_EVERY = 0.15  # seconds between two frames that are sent to the browser
_WEBCAM = 0.25  # seconds between two frames that the browser sends
_IDLE = 20.0  # seconds without a frame after which a webcam is taken as gone
_MOST = 4  # webcams at a time


def build(page_gallery: PageGallery, inbox: Inbox, page: gr.Blocks) -> None:
    """Lay out the page, and connect it."""
    webcams = Webcams(page_gallery)
    stops: dict[str, threading.Event] = {}
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            keep = gr.Checkbox(
                label="Add whoever is seen to the gallery",
                info="else people are looked up, and nothing is kept",
                elem_id="keep",
            )
            with gr.Tab("File"):
                file = gr.File(label="Video", file_types=VIDEOS, height=130)
                film = gr.Button(
                    "Film the walkers", visible=page_gallery.settings.demo, elem_id="film"
                )
                stop = gr.Button("Stop", elem_id="stop")
            with gr.Tab("Webcam"):
                camera = gr.Image(
                    sources=["webcam"], streaming=True, type="numpy", label="Webcam", height=240
                )
        with gr.Column(scale=3, min_width=480):
            shown = gr.HTML(note("Send a video, or switch the webcam on."), elem_id="frame")
            people = gr.HTML(elem_id="seen")

    def run(files: list[Path], kept: bool, session: str) -> Iterator[tuple[str, str]]:
        stopped = stops[session] = threading.Event()
        try:
            yield from _frames(page_gallery, files, kept, stopped)
        except Exception as error:
            yield problem(error), ""
        finally:
            if stops.get(session) is stopped:
                del stops[session]

    def film_sent(path: str, kept: bool, request: gr.Request) -> Iterator[tuple[str, str]]:
        try:
            check_video(Path(path))
            yield from run([Path(path)], kept, str(request.session_hash))
        except ReidHashError as error:
            yield problem(error), ""
        finally:
            inbox.remove(Path(path))

    def walkers(kept: bool, request: gr.Request) -> Iterator[tuple[str, str]]:
        yield note("Two cameras film the walkers …"), ""
        try:
            files = page_gallery.film()
        except ReidHashError as error:
            yield problem(error), ""
            return
        yield from run(files, kept, str(request.session_hash))

    def end(request: gr.Request) -> None:
        if stopped := stops.get(str(request.session_hash)):
            stopped.set()

    def live(frame: Any, kept: bool, request: gr.Request) -> tuple[Any, Any]:
        if frame is None:
            return gr.skip(), gr.skip()
        try:
            return webcams.follow(str(request.session_hash), frame, kept)
        except Exception as error:
            return problem(error), ""

    def gone(request: gr.Request) -> None:
        end(request)
        webcams.close(str(request.session_hash))

    plain = {"show_progress": "hidden", "api_visibility": "private"}
    out = [shown, people]
    file.upload(film_sent, [file, keep], out, concurrency_limit=2, concurrency_id="videos", **plain)
    film.click(walkers, keep, out, concurrency_limit=2, concurrency_id="videos", **plain)
    stop.click(end, None, None, queue=False, **plain)
    camera.stream(
        live, [camera, keep], out, stream_every=_WEBCAM, time_limit=600, concurrency_limit=_MOST,
        **plain,
    )  # fmt: skip
    page.unload(gone)


class Webcams:
    """The followers of the webcams that are on, one a session.

    Args:
        page_gallery: the gallery, and the network.
    """

    def __init__(self, page_gallery: PageGallery) -> None:
        self._page_gallery = page_gallery
        self._turn = threading.Lock()
        self._open: dict[str, tuple[Follower, bool, float]] = {}

    def follow(self, session: str, frame: np.ndarray, keep: bool) -> tuple[str, str]:
        """A frame [height, width, 3] uint8 RGB → frame and people as HTML."""
        with self._turn:  # frames of one session come in order
            now = time.time()
            for other, (_, _, last) in list(self._open.items()):
                if now - last > _IDLE:
                    self._close(other)
            if session in self._open and self._open[session][1] != keep:
                self._close(session)
            if session not in self._open:
                if len(self._open) >= _MOST:
                    raise GalleryError(f"{_MOST} webcams are on already; try again later")
                made = Follower(self._page_gallery, ["webcam"], [1 / _WEBCAM], keep)
                self._open[session] = (made, keep, now)
            follower = self._open[session][0]
            self._open[session] = (follower, keep, now)
            drawn = follower.update(0, now, np.ascontiguousarray(frame[:, :, ::-1]))
            return frame_html(drawn, "webcam"), people_html(follower.people())

    def close(self, session: str) -> None:
        """End a session's webcam, if it has one."""
        with self._turn:
            self._close(session)

    def _close(self, session: str) -> None:
        if session in self._open:
            self._open.pop(session)[0].close()


def _frames(
    page_gallery: PageGallery, files: list[Path], keep: bool, stop: threading.Event
) -> Iterator[tuple[str, str]]:
    sent, last = 0.0, None
    for frame, follower in follow_files(page_gallery, files, keep, stop):
        last = frame, follower.people()
        if time.monotonic() - sent >= _EVERY:
            sent = time.monotonic()
            yield frame_html(frame.picture, _said(frame.frames, keep)), people_html(last[1])
    if last is not None:
        frame, people = last
        words = _said(frame.frames, keep) + (" Stopped." if stop.is_set() else " That was all.")
        yield frame_html(frame.picture, words), people_html(people)


def _said(frames: int, keep: bool) -> str:
    where = "who is seen is added to the gallery" if keep else "nothing is kept"
    return f"{frames:,} frames; {where}."


def frame_html(drawn: BgrFrame, words: str) -> str:
    """A frame [height, width, 3] uint8 BGR as HTML."""
    jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    data = base64.b64encode(jpeg.tobytes()).decode("ascii")
    return (
        f'<img class="rh-frame" src="data:image/jpeg;base64,{data}" alt="frame with boxes">'
        f'<p class="rh-said">{escape(words)}</p>'
    )


def people_html(people: list[Person]) -> str:
    """A card for each person of a video, in the colour of the boxes."""
    cards = []
    for one in people:
        blue, green, red = identity_colour(one.identity)
        jpeg = next((visit.thumbnail for visit in one.visits if visit.thumbnail), None)
        near = next((visit.distance for visit in one.visits if visit.distance is not None), None)
        state = "known" if one.known else "new"
        distance = "" if near is None else f"<span>nearest {near:.1f}</span>"
        cameras = ", ".join(one.cameras)
        cards.append(
            f'<div class="rh-card" style="border-color:rgb({red},{green},{blue})">'
            f"<b>{escape(one.label)}</b>{picture(jpeg, one.label)}"
            f"<span>{state}</span>{distance}"
            f'<span title="{escape(cameras)}">{escape(cameras)}</span></div>'
        )
    return f'<div class="rh-people">{"".join(cards)}</div>'
