"""Video files that are written whole or not at all."""

from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ReidHashError
from reid_hash.utils.files import check_space, replacing

_EVERY = 250  # frames between two checks of the disk


class VideoFile:
    """Context manager that writes an MP4 file, whole or not at all.

    OpenCV does not report write errors. So free disk space is checked at intervals, and at the end
    whether the file has all frames.

    Args:
        path: the file.
        size: width and height in pixels, both even.
        fps: frames per second.

    Raises:
        ReidHashError: the disk is full, or the file name is unsuitable.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        self.path, self._size, self._fps = path, size, fps
        self._replacing: AbstractContextManager[Path] = replacing(path)
        self._temporary = path
        self._writer: cv2.VideoWriter | None = None
        self._written = 0
        self._broken: ReidHashError | None = None

    def __enter__(self) -> "VideoFile":
        self._temporary = self._replacing.__enter__()
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._temporary), code, self._fps, self._size)
        if not self._writer.isOpened():
            error = self._reason(f"cannot write {self.path}: name a file that ends in .mp4")
            self._replacing.__exit__(type(error), error, None)
            raise error
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.close()
        except ReidHashError:
            if not any(error):  # otherwise that error is reported
                raise

    def close(self) -> None:
        """Finish the file and rename it to its final name.

        Raises:
            ReidHashError: frames are missing; the file is then deleted.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        broken = self._broken
        if broken is None and self._written and self._frames() != self._written:
            broken = self._reason(f"cannot write {self.path}: OpenCV wrote a part of it only")
        if broken is None and not self._written:  # interrupted at once, with nothing to keep
            self._replacing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
            return
        # A video up to an interruption is worth keeping, so an interruption is not an error.
        if broken is None:
            self._replacing.__exit__(None, None, None)
            return
        self._replacing.__exit__(type(broken), broken, None)
        raise broken

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Write a frame [height, width, 3] uint8 BGR.

        Raises:
            ReidHashError: the disk is full.
        """
        assert self._writer is not None
        self._writer.write(picture)
        self._written += 1
        if self._written % _EVERY == 0:
            try:
                check_space(self.path)
            except ReidHashError as error:
                self._broken = error
                raise

    def _frames(self) -> int:
        """Return the number of frames that the file claims; 0 if it cannot be read."""
        reader = cv2.VideoCapture(str(self._temporary))
        try:
            return int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
        finally:
            reader.release()

    def _reason(self, otherwise: str) -> ReidHashError:
        """Return an error that the disk is full, if it is, or else the given error."""
        try:
            check_space(self.path)
        except ReidHashError as error:
            return error
        return ReidHashError(otherwise)
