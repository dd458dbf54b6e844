"""What a source on the command line means: a file, a folder, a camera's number, an address."""

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from reid_hash.data.images import SUFFIXES
from reid_hash.errors import ConfigError, DataError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


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
    target: str
    name: str
    shown: str

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
