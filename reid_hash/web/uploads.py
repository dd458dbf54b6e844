"""What comes in from outside is looked at before anything decodes it."""

import io
from pathlib import Path
from typing import Literal

from PIL import Image as Pillow

from reid_hash.data.dataset import RgbImage
from reid_hash.data.images import decode_image
from reid_hash.errors import DataError
from reid_hash.web.settings import MOST_PICTURE_BYTES, MOST_PIXELS, MOST_VIDEO_BYTES


class TooLargeError(DataError):
    """A picture has more pixels than are decoded."""


FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""Pictures that are taken, by content: a file's name says nothing."""

TAKEN = "a picture (JPEG, PNG, WebP or BMP) or a video (MP4, MOV, Matroska, WebM or AVI)"
"""What is taken, in words."""

HEAD_BYTES = 16
"""First bytes of a file that tell its kind."""

PICTURES = [".jpg", ".jpeg", ".png", ".webp", ".bmp"]
VIDEOS = [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"]
"""Suffixes that the browser offers to choose from."""


def read_upload(path: Path) -> RgbImage:
    """Read a picture that somebody sent.

    Args:
        path: the file.

    Returns:
        [height, width, 3] uint8 RGB.

    Raises:
        DataError: it is too large, has too many pixels, or is no picture.
    """
    _check_size(path, MOST_PICTURE_BYTES)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read; send it again") from error
    return read_picture(data, path.name)


def read_picture(data: bytes, name: str, most: int = MOST_PIXELS) -> RgbImage:
    """Read a picture that somebody sent.

    Args:
        data: the content of its file.
        name: for the message.
        most: pixels that it may have.

    Returns:
        [height, width, 3] uint8 RGB.

    Raises:
        TooLargeError: it has too many pixels.
        DataError: it is no picture, or is damaged.
    """
    kinds = "JPEG, PNG, WebP or BMP"
    try:
        # reads the header alone
        with Pillow.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
    except Pillow.DecompressionBombError as error:
        raise TooLargeError(_too_many_pixels()) from error
    except Exception as error:  # each format has its own for damaged files
        raise DataError(f"{name} is not a picture ({kinds}), or is damaged") from error
    if width * height > min(most, MOST_PIXELS):
        raise TooLargeError(_too_many_pixels())
    try:
        return decode_image(data, name)
    except DataError as error:
        raise DataError(f"{name} is not a picture ({kinds}), or is damaged") from error


def kind_of(head: bytes) -> Literal["picture", "video"] | None:
    """Tell pictures from videos by a file's first bytes; None where it is neither.

    FFmpeg also plays lists of addresses (HLS, concat) that come under any name: those would make
    the server read its own files and ask other machines.

    Args:
        head: the first `HEAD_BYTES` bytes, fewer where the file has fewer.
    """
    riff = head[8:12] if head[:4] == b"RIFF" else b""
    jpeg, png = head[:3] == b"\xff\xd8\xff", head[:8] == b"\x89PNG\r\n\x1a\n"
    if jpeg or png or head[:2] == b"BM" or riff == b"WEBP":
        return "picture"
    boxes = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # MP4, MOV
    matroska = head[:4] == b"\x1a\x45\xdf\xa3"  # WebM too
    return "video" if boxes or matroska or riff == b"AVI " else None


def most_bytes(kind: Literal["picture", "video"]) -> int:
    """Size that a file of a kind may have."""
    return MOST_PICTURE_BYTES if kind == "picture" else MOST_VIDEO_BYTES


def size_text(most: int) -> str:
    """A limit in words."""
    return f"at most {most // 2**20} MiB"


def check_video(path: Path) -> None:
    """Make sure that a file is a video that names no other files; see `kind_of`.

    Raises:
        DataError: it is too large or of another kind.
    """
    _check_size(path, MOST_VIDEO_BYTES)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if kind_of(head) != "video":
        raise DataError(f"{path.name} is not a video in MP4, MOV, Matroska, WebM or AVI")


def _check_size(path: Path, most: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path.name} cannot be read; send it again") from error
    if size > most:
        raise DataError(f"{path.name} has {size / 2**20:.0f} MiB; send a file of {size_text(most)}")


def _too_many_pixels() -> str:
    return (
        f"the picture has more than {MOST_PIXELS // 10**6} million pixels; cut out the person and "
        "send that"
    )
