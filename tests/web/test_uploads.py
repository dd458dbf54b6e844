"""What visitors send: pictures and videos are taken, everything else is refused in one line."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from reid_hash.errors import DataError
from reid_hash.web import uploads
from reid_hash.web.uploads import check_video, read_upload


def png(width, height):
    """A PNG file of black pixels, made line by line: the pixels are never all in memory."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(1)
    line = bytes(1 + (width + 7) // 8)
    lines = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", lines), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp", ".bmp"])
def test_a_picture_is_read(tmp_path, kind):
    picture = np.full((40, 20, 3), (10, 20, 200), np.uint8)
    cv2.imwrite(str(tmp_path / f"a{kind}"), picture)
    read = read_upload(tmp_path / f"a{kind}")
    assert read.shape == (40, 20, 3)
    assert np.abs(read.astype(int) - picture[:, :, ::-1]).max() <= 12


@pytest.mark.parametrize(("width", "height"), [(25_000, 20_000), (9_000, 6_000)])
def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch, width, height):
    file = tmp_path / "large.png"
    file.write_bytes(png(width, height))
    assert file.stat().st_size < 4e6
    monkeypatch.setattr(uploads, "decode_image", lambda data, name: pytest.fail("it was decoded"))
    with pytest.raises(DataError, match="more than 50 million pixels; cut out the person"):
        read_upload(file)


def test_a_large_file_is_refused_unread(tmp_path, monkeypatch):
    file = tmp_path / "large.png"
    with file.open("wb") as hole:
        hole.truncate(21 * 2**20)
    with pytest.raises(DataError, match=r"large.png has 21 MiB; send a file of at most 20 MiB"):
        read_upload(file)
    monkeypatch.setattr(uploads, "MOST_VIDEO_BYTES", 2**20)
    with pytest.raises(DataError, match="at most 1 MiB"):
        check_video(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello, I am text",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a\1\0\1\0",
        png(8, 8)[:60],
    ],
)
def test_what_is_no_picture_is_refused_whatever_it_is_called(tmp_path, content):
    file = tmp_path / "text.jpg"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"text.jpg is not a picture \(JPEG, PNG, WebP or BMP\)"):
        read_upload(file)


def test_a_file_that_is_gone_is_told(tmp_path):
    with pytest.raises(DataError, match=r"gone.png cannot be read; send it again"):
        read_upload(tmp_path / "gone.png")


@pytest.mark.parametrize("kind", [".mp4", ".avi", ".mkv"])
def test_a_video_is_taken_by_what_it_is(tmp_path, kind):
    file = tmp_path / f"film{kind}"
    code = cv2.VideoWriter.fourcc(*("MJPG" if kind == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(file), code, 10, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    check_video(file)
    check_video(file.rename(tmp_path / "called.txt"))


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"",
    ],
)
def test_lists_of_other_files_are_no_videos(tmp_path, content):
    file = tmp_path / "film.mp4"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"film.mp4 is not a video in MP4"):
        check_video(file)
