"""Where pictures go: a video file, a window."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import cv2

from reid_hash.errors import ReidHashError
from reid_hash.files import replacing
from reid_hash.video.types import Picture

_TITLE = "reid-hash demo (q ends)"


class VideoFile:
    """Writes an MP4 file, whole or not at all; a context manager.

    Args:
        path: the file.
        size: width and height, even.
        fps: pictures a second.

    Raises:
        ReidHashError: it cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        self.path, self._size, self._fps = path, size, fps
        self._replacing: AbstractContextManager[Path] = replacing(path)
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> "VideoFile":
        temporary = self._replacing.__enter__()
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(temporary), code, self._fps, self._size)
        if not self._writer.isOpened():
            error = ReidHashError(f"cannot write {self.path}: name a file that ends in .mp4")
            self._replacing.__exit__(type(error), error, None)
            raise error
        return self

    def __exit__(self, *error: object) -> None:
        assert self._writer is not None
        self._writer.release()
        # what was filmed until an interruption is worth keeping, so it counts as no error
        self._replacing.__exit__(None, None, None)

    def write(self, picture: Picture) -> None:
        """Add a picture."""
        assert self._writer is not None
        self._writer.write(picture)


class Window:
    """Shows pictures on the screen; a context manager."""

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *error: object) -> None:
        cv2.destroyAllWindows()

    def show(self, picture: Picture) -> bool:
        """Show a picture; False where the user has closed the window, or pressed q or Escape."""
        cv2.imshow(_TITLE, picture)
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
            return False
        return bool(cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1)


def has_display() -> bool:
    """Whether a window can be opened here."""
    # OpenCV's Qt would end the whole process where there is none
    there = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return there and any(
        "GUI:" in line and "NONE" not in line for line in cv2.getBuildInformation().splitlines()
    )
