"""Where frames come from: files, folders, cameras and streams, each frame with its time."""

import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np

from reid_hash.data.images import MOST_PIXELS, SUFFIXES, is_hidden, read_image
from reid_hash.errors import ConfigError, DataError
from reid_hash.gallery.sighting import source_of_file
from reid_hash.utils.files import is_ordinary
from reid_hash.video.types import BgrFrame

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our own message names the bad file

USUAL_FPS = 25.0
"""Frames a second where a source does not say."""

_TIMEOUT = 5000  # milliseconds that a stream may take to open, or be silent
_PAUSES = (0.25, 0.5, 1.0, 2.0)  # seconds between attempts to get a source back; the last repeats
_DAMAGED = 1000  # frames in a row that may be undecodable before a file counts as ended
_BACK = 3  # frames by which time stamps go back out of order; further back they start again
_NO_STAMP = 1e9  # seconds: FFmpeg's value for a missing time stamp lies far beyond
_DRIFT = 3.0  # seconds by which a stream's time stamps may differ from the clock
_MISSING = 0.01  # share of the announced frames that may be missing: some formats only estimate
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

Note = Callable[[str, str], object]
"""Called with a kind ("lost", "back", "ended", "note") and a line that says what happened."""


@dataclass(frozen=True)
class Address:
    """Where frames come from.

    Attributes:
        kind: "file" (a video), "images" (a folder of frames, or one image), "camera" (its number)
            or "stream" (RTSP, HTTP, a pipe).
        target: what is opened; an address with its password, which nothing else here has.
        name: what the camera is called in the gallery and on the screen.
        shown: the target as it may be printed and kept.
    """

    kind: str
    target: str = field(repr=False)
    name: str
    shown: str

    @property
    def source(self) -> str:
        """What its sightings have as their source: of files and folders the real path."""
        return source_of_file(self.target) if self.kind in ("file", "images") else self.shown

    @property
    def live(self) -> bool:
        """Whether frames come when they come, and are lost where nobody takes them."""
        return self.kind in ("camera", "stream")


def parse_source(text: str) -> Address:
    """Read a source.

    Raises:
        DataError: there is no such file, or it cannot hold a video.

    Example:
        >>> address = parse_source("rtsp://user:secret@10.0.0.7:554/front?token=x")
        >>> address.kind, address.name, address.shown
        ('stream', '10.0.0.7/front', 'rtsp://10.0.0.7:554/front')
    """
    if text.isdecimal():
        return Address("camera", text, f"camera {int(text)}", f"camera {int(text)}")
    if text.lower() == "webcam":
        return parse_source("0")
    if _SCHEME.match(text):
        return _stream(text)
    path = Path(text)
    if not path.exists():
        raise DataError(f"no such file or folder: {text}")
    if path.is_dir():
        return Address("images", text, path.resolve().name, text)
    if stat.S_ISFIFO(path.stat().st_mode):
        return Address("stream", text, path.name, text)
    if path.stat().st_size == 0:
        raise DataError(f"{text}: the file is empty")
    kind = "images" if path.suffix.lower() in SUFFIXES else "file"
    return Address(kind, text, path.stem, text)


def _stream(text: str) -> Address:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"{text.split('@')[-1]} is no address: {error}") from error
    # passwords stand before the host, tokens behind the question mark: neither is ever shown
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    return Address("stream", text, f"{host}{parts.path}".rstrip("/") or shown, shown)


def parse_sources(texts: Sequence[str], names: Sequence[str] = ()) -> list[Address]:
    """Read several sources; two cameras never have one name.

    Args:
        texts: what the user wrote.
        names: of the cameras, one a source; none to take those of the files and hosts.

    Raises:
        ConfigError: there are names, but not one a source, or one twice.
        DataError: see `parse_source`.
    """
    found = [parse_source(text) for text in texts]
    if names:
        if len(names) != len(found) or len(set(names)) != len(names):
            raise ConfigError(f"{len(found)} sources need as many names of cameras, all different")
        return [replace(one, name=name) for one, name in zip(found, names, strict=True)]
    taken: dict[str, int] = {}
    unique = []
    for one in found:
        taken[one.name] = taken.get(one.name, 0) + 1
        number = taken[one.name]
        unique.append(one if number == 1 else replace(one, name=f"{one.name} ({number})"))
    return unique


class Source(Protocol):
    """A source of frames, open.

    Attributes:
        address: where it is.
        fps: frames a second; `USUAL_FPS` where it does not say.
        size: width and height of the first frame, in pixels.
        length: number of frames as far as it says; None where it does not, or has no end.
        live: whether frames come when they come, and are lost where nobody takes them.
    """

    address: Address
    fps: float
    size: tuple[int, int]
    length: int | None
    live: bool

    def frames(self, stop: threading.Event, note: Note) -> Iterator[tuple[float, BgrFrame]]:
        """Frames in order, with the seconds since the start of the source."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def open_source(address: Address, fps: float | None = None, patience: float = 60.0) -> Source:
    """Open a source, and make sure that it has a first frame.

    Args:
        address: which.
        fps: frames a second, in place of what the source says.
        patience: seconds that a live source may be away before it counts as ended.

    Raises:
        DataError: it cannot be read; the message says why.
    """
    if address.kind == "images":
        return ImageSource(address, fps or USUAL_FPS)
    if address.kind == "file":
        return VideoSource(address, fps)
    return LiveSource(address, fps, patience)


class ImageSource:
    """The images of a folder, in the order of the numbers in their names; see `Source`."""

    live = False

    def __init__(self, address: Address, fps: float) -> None:
        self.address, self.fps = address, fps
        path = Path(address.target)
        files = [path]
        if path.is_dir():
            files = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES]
            files = [file for file in files if not is_hidden(file.name) and is_ordinary(file)]
        if not files:
            raise DataError(f"{path} holds no images ({', '.join(SUFFIXES)})")
        self._files = sorted(files, key=lambda file: _natural(file.name))
        self.length: int | None = len(files)
        first = next((one for one in map(_image, self._files) if one is not None), None)
        if first is None:
            raise DataError(f"{address.shown}: no image in it can be read")
        self.size = _size(first)

    def __repr__(self) -> str:
        return f"ImageSource({self.address.shown}, {_rate(self)})"

    def frames(self, stop: threading.Event, note: Note) -> Iterator[tuple[float, BgrFrame]]:
        """See `Source`; images that cannot be read are left out, and noted."""
        bad = []
        for index, file in enumerate(self._files):
            if stop.is_set():
                return
            picture = _image(file)
            if picture is None:
                bad.append(file.name)
                continue
            yield index / self.fps, picture
        if bad:
            more = " …" if len(bad) > 1 else ""
            note("note", f"{self.address.shown}: {len(bad)} images cannot be read: {bad[0]}{more}")

    def close(self) -> None:
        """See `Source`."""


class VideoSource:
    """A video file; see `Source`. Times are the container's, unless `fps` is given."""

    live = False

    def __init__(self, address: Address, fps: float | None) -> None:
        self.address, self._rated = address, fps is not None
        # the FFmpeg back end alone: the others would take a file name with digits for a series
        self._capture = cv2.VideoCapture(address.target, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise DataError(f"{address.shown}: not a video, or cut off")
        _check_size(self._capture, address)
        self.fps = fps or _said_fps(self._capture)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.length = int(count) if 0 < count < 1e9 else None
        self._failed = 0
        first = self._next(0)
        if first is None:
            self.close()
            raise DataError(f"{address.shown}: no frame of it can be decoded; empty or damaged")
        self._first, self.size = first, _size(first.picture)
        self._second = self._next(1)
        if fps is None and self._second is not None:
            # the rate that a file of variable rate says is its mean, at which fast parts are lost
            passed = self._second.stamp - first.stamp
            if 1 / 240 <= passed < 0.5 / self.fps:
                self.fps = 1 / passed

    def __repr__(self) -> str:
        return f"VideoSource({self.address.shown}, {_rate(self)})"

    def frames(self, stop: threading.Event, note: Note) -> Iterator[tuple[float, BgrFrame]]:
        """See `Source`; says so where frames that the file announces are missing."""
        timestamps = Timestamps(self.fps)
        now: _Stamped | None = self._first
        then = self._second
        count = gaps = 0
        while now is not None and not stop.is_set():
            count += 1
            following = None if then is None or self._rated else then.stamp
            yield timestamps.add(None if self._rated else now.stamp, following), now.picture
            gaps = self._failed if then is not None else gaps
            now, then = then, None if then is None else self._next(count + 1)
        announced = self.length or 0
        if not stop.is_set() and announced - count > max(2, _MISSING * announced):
            line = f"{self.address.shown} ends after frame {count:,} of {announced:,}: cut off or "
            if gaps:
                line = f"{self.address.shown}: {count:,} of {announced:,} frames can be read: "
            note("note", f"{line}damaged")

    def _next(self, count: int) -> "_Stamped | None":
        """The next frame that can be decoded; `count` were before it."""
        # decoding fails at a damaged frame as it does at the end
        tries = 1 + min(_DAMAGED, max(0, (self.length or 0) - count))
        for _ in range(tries):
            picture = _read(self._capture)
            if picture is not None:
                return _Stamped(_stamp(self._capture), picture)
            self._failed += 1
        return None

    def close(self) -> None:
        """See `Source`."""
        self._capture.release()


class LiveSource:
    """A camera or a stream, opened again where it goes away; see `Source`."""

    def __init__(self, address: Address, fps: float | None, patience: float) -> None:
        self.address, self._patience = address, patience
        self._capture = _connect(address)
        _check_size(self._capture, address)
        first = _read(self._capture)
        if first is None:
            self.close()
            where = (
                "no such camera here, or it is in use"
                if address.kind == "camera"
                else ("no video there, or nobody answers")
            )
            raise DataError(f"{address.shown}: {where}")
        self._first, self.size = first, _size(first)
        self._first_stamp = _stamp(self._capture)
        self.fps, self._rated = fps or _said_fps(self._capture), fps is not None
        # a video that is served as a file is read like one
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.length = int(count) if address.kind == "stream" and 0 < count < 1e9 else None
        self.live = self.length is None
        # pictures over HTTP and cameras bear no time stamps: FFmpeg counts those by a usual rate
        bare = address.kind == "camera" or (
            address.target.lower().startswith("http") and _codec(self._capture) == "MJPG"
        )
        self._stamps = not (self.live and bare)
        # a pipe holds what was filmed before, at any speed
        self._follows_clock = self.live and (
            address.kind == "camera" or bool(_SCHEME.match(address.target))
        )

    def __repr__(self) -> str:
        return f"LiveSource({self.address.shown}, {_rate(self)})"

    def frames(self, stop: threading.Event, note: Note) -> Iterator[tuple[float, BgrFrame]]:
        """See `Source`; "lost" and "back" say where it was away, "ended" that it stayed away."""
        began = time.monotonic()
        timestamps = Timestamps(self.fps)
        picture: BgrFrame | None = self._first
        while picture is not None and not stop.is_set():
            stamp = self._first_stamp if picture is self._first else _stamp(self._capture)
            clock = time.monotonic() - began if self._follows_clock else None
            trusted = self._stamps and not self._rated
            yield timestamps.add(stamp if trusted else None, clock=clock), picture
            picture = _read(self._capture)
            if picture is None and self.live and not stop.is_set():
                picture = self._again(stop, note)

    def _again(self, stop: threading.Event, note: Note) -> BgrFrame | None:
        """Open it again and again; gives its first frame, None where it stays away."""
        since = time.monotonic()
        note("lost", f"{self.address.name}: no frames any more; trying again")
        attempt = 0
        while time.monotonic() - since < self._patience:
            if stop.wait(_PAUSES[min(attempt, len(_PAUSES) - 1)]):
                return None
            attempt += 1
            self._capture.release()
            self._capture = _connect(self.address)
            picture = _read(self._capture)
            if picture is not None:
                away = time.monotonic() - since
                note("back", f"{self.address.name}: back after {away:.1f} s")
                return picture
        note("ended", f"{self.address.name}: away for {self._patience:g} s, taken as ended")
        return None

    def close(self) -> None:
        """See `Source`."""
        self._capture.release()


class Timestamps:
    """Time stamps of a video → seconds since its first frame, which always increase.

    A stamp that is missing, or stands still, counts as a frame later. Where stamps start again, as
    in recordings that were joined, they go on from the frame before.

    Args:
        fps: frames a second where there are no stamps.

    Example:
        >>> timestamps = Timestamps(fps=10)
        >>> [timestamps.add(stamp) for stamp in (5.0, 5.5, 6.5, 0.0, 1.0)]
        [0.0, 0.5, 1.5, 1.6, 2.6]
    """

    def __init__(self, fps: float) -> None:
        self._step = 1 / fps
        self._last: float | None = None  # seconds of the frame before
        self._stamp: float | None = None  # the last stamp that counted
        self._offset = 0.0  # from stamps to seconds

    def add(
        self, stamp: float | None, following: float | None = None, clock: float | None = None
    ) -> float:
        """Seconds of the next frame.

        Args:
            stamp: its time stamp in seconds; None where it has none.
            following: of the frame after it, where that is known: tells a damaged one.
            clock: of a live source, seconds that have passed since its first frame: what counts
                without stamps, and where these run away from it.
        """
        last, before = self._last, self._stamp
        if stamp is not None and not abs(stamp) < _NO_STAMP:
            stamp = None
        known = stamp is not None and before is not None and following is not None
        if known and before < following < stamp:  # type: ignore[operator]
            stamp = None  # one damaged stamp between two sound ones
        if last is None:
            seconds = 0.0
            self._offset = -(stamp or 0.0)
        else:
            seconds = last + self._step
            if stamp is None or stamp == before:
                seconds = seconds if clock is None else clock
            elif before is None or stamp < before - _BACK * self._step:
                seconds = seconds if clock is None else clock
                self._offset = seconds - stamp
            else:
                seconds = stamp + self._offset
                if clock is not None and abs(seconds - clock) > _DRIFT:
                    self._offset += clock - seconds
                    seconds = clock
            seconds = max(seconds, last + 1e-3)
        self._last = seconds
        self._stamp = before if stamp is None else stamp
        return seconds


class _Stamped(NamedTuple):
    """A frame with its time stamp in seconds, which may be none."""

    stamp: float
    picture: BgrFrame


def _stamp(capture: cv2.VideoCapture) -> float:
    return float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000


def _codec(capture: cv2.VideoCapture) -> str:
    return (
        int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True).decode("latin-1")
    )


def _rate(source: Source) -> str:
    return f"{source.size[0]} × {source.size[1]} pixels, {source.fps:g} fps"


def _connect(address: Address) -> cv2.VideoCapture:
    if address.kind == "camera":
        return cv2.VideoCapture(int(address.target))
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT]
    return cv2.VideoCapture(address.target, cv2.CAP_FFMPEG, limits)


def _read(capture: cv2.VideoCapture) -> BgrFrame | None:
    try:
        there, picture = capture.read()
    except cv2.error:
        return None
    return np.asarray(picture, np.uint8) if there and picture is not None and picture.size else None


def _image(file: Path) -> BgrFrame | None:
    try:
        return read_image(file)[:, :, ::-1].copy()
    except DataError:
        return None


def _size(picture: BgrFrame) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


def _check_size(capture: cv2.VideoCapture, address: Address) -> None:
    """Raise DataError where frames are larger than images may be."""
    width, height = (
        int(capture.get(one)) for one in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    if width * height > MOST_PIXELS:
        capture.release()
        raise DataError(
            f"{address.shown}: frames of {width:,} × {height:,} pixels, and "
            f"{MOST_PIXELS / 1e6:.0f} million are the most"
        )


def _said_fps(capture: cv2.VideoCapture) -> float:
    """What the source says, unless it says nonsense: some streams give their clock's rate."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 0.1 <= fps <= 240 else USUAL_FPS


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key: frame2 before frame10."""
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
