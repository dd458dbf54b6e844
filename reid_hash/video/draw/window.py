"""Where pictures go besides a video file: a window."""

import os
import sys

import cv2

from reid_hash.video.types import BgrFrame

_TITLE = "reid-hash demo (q ends)"


class Window:
    """Shows pictures on the screen; a context manager."""

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *error: object) -> None:
        cv2.destroyAllWindows()

    def show(self, picture: BgrFrame) -> bool:
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
