"""Reading, scaling and decoding image files."""

import io
import shutil
import types
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from reid_hash.data import images as module
from reid_hash.data.images import as_image, decode, find_images, read_image, resize
from reid_hash.data.listing import file_set
from reid_hash.errors import DataError, UnreadableError


@pytest.fixture
def made(tmp_path, write_image):
    """Five images a.png … e.png of one content."""
    for letter in "abcde":
        image = write_image(tmp_path / f"{letter}.png")
    return tmp_path, image


def as_set(root, names="abcde"):
    n = len(names)
    return file_set(root, [f"{x}.png" for x in names], range(10, 10 + n), range(n))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".ppm", ".tiff"])
def test_reads_rgb(tmp_path, suffix):
    image = np.zeros((5, 4, 3), np.uint8)
    image[..., 0], image[0, 0, 2] = 200, 90
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []  # 101: lossless
    cv2.imwrite(str(tmp_path / f"ü{suffix}"), image[..., ::-1], options)
    np.testing.assert_array_equal(read_image(tmp_path / f"ü{suffix}"), image)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_images_become_rgb(tmp_path, channels):
    image = np.full((5, 4, channels), 77, np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), image)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), np.full((5, 4, 3), 77))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_cut_off(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(DataError, match=f"x{suffix}: not an image, or cut off"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "the file is empty"), (b"<html>", "not an image")]
)
def test_no_image(tmp_path, content, reason):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=rf"x\.jpg: {reason}"):
        read_image(tmp_path / "x.jpg")


def test_no_file(tmp_path):
    with pytest.raises(DataError, match=r"x\.jpg: No such file"):
        read_image(tmp_path / "x.jpg")
    with pytest.raises(DataError, match="directory"):
        read_image(tmp_path)


def test_resize():
    checks = np.indices((8, 8)).sum(0)[..., None].repeat(3, 2) % 2 * 200
    assert set(np.unique(resize(checks.astype(np.uint8), 4, 4))) == {100}  # by area
    grown = resize(np.full((4, 2, 3), 9, np.uint8), 10, 6)
    assert grown.shape == (10, 6, 3)
    assert (grown == 9).all()
    same = np.zeros((3, 2, 3), np.uint8)
    assert resize(same, 3, 2) is same


def test_decode_keeps_the_order(made):
    root, image = made
    (root / "c.png").unlink()
    cv2.imwrite(str(root / "c.png"), 255 - image[..., ::-1])
    ticks = []
    pixels = decode(as_set(root), 16, 8, progress=ticks.append)
    assert (pixels.images.shape, pixels.images.dtype) == ((5, 16, 8, 3), np.uint8)
    np.testing.assert_array_equal(pixels.images[1], image)
    np.testing.assert_array_equal(pixels.images[2], 255 - image)
    assert pixels.labels.tolist() == [10, 11, 12, 13, 14]
    assert pixels.names[4] == "e.png"
    assert ticks == [1] * 5
    assert decode(as_set(root), 8, 8).images.shape == (5, 8, 8, 3)


def test_decode_counts_and_names_what_cannot_be_read(made):
    root, _ = made
    for letter in "abde":
        (root / f"{letter}.png").write_bytes(b"" if letter == "a" else b"x")
    with pytest.raises(UnreadableError, match=r"4 of 5 images cannot be read \(") as e:
        decode(as_set(root), 16, 8)
    assert "a.png: the file is empty" in str(e.value)
    assert "d.png" in str(e.value)
    assert "e.png" not in str(e.value)


@pytest.mark.parametrize("memory", [2**40, 0])
def test_decode_skips_what_cannot_be_read(made, monkeypatch, memory):
    state = types.SimpleNamespace(available=memory)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: state)
    root, image = made
    cv2.imwrite(str(root / "e.png"), 255 - image[..., ::-1])
    (root / "a.png").write_bytes(b"")
    (root / "d.png").write_bytes(b"x")
    pixels = decode(as_set(root), 16, 8, skip_unreadable=True)
    assert isinstance(pixels.images, np.memmap) == (memory == 0)
    assert pixels.names == ["b.png", "c.png", "e.png"]
    assert pixels.labels.tolist() == [11, 12, 14]
    assert pixels.cameras.tolist() == [1, 2, 4]
    np.testing.assert_array_equal(pixels.images[:2], np.stack([image, image]))
    np.testing.assert_array_equal(pixels.images[2], 255 - image)
    assert [reason.split("/")[-1] for reason in pixels.unreadable] == [
        "a.png: the file is empty",
        "d.png: not an image, or cut off",
    ]


def test_decode_nothing(made):
    root, _ = made
    with pytest.raises(DataError, match="there is no image to read"):
        decode(as_set(root, ""), 16, 8)
    (root / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="no image can be read"):
        decode(as_set(root, "a"), 16, 8, skip_unreadable=True)


def test_neither_memory_nor_disk(made, monkeypatch):
    root, _ = made
    state = types.SimpleNamespace(available=0)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: state)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=100))
    with pytest.raises(DataError, match=r"need 0\.0 GiB, more than memory and the temporary"):
        decode(as_set(root), 16, 8)


def test_hidden_files_are_no_images_and_linked_folders_are_read_once(tmp_path, write_image):
    for name in ("a/b.jpg", "a/._b.jpg", "a/.c/d.jpg", "__MACOSX/a/b.jpg", "e/f.jfif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "x.png")
        (tmp_path / "x.png").rename(tmp_path / name)
    other = tmp_path / "other"
    (tmp_path / "e").rename(other)
    (tmp_path / "in").mkdir()
    (tmp_path / "a").rename(tmp_path / "in/a")
    (tmp_path / "__MACOSX").rename(tmp_path / "in/__MACOSX")
    (tmp_path / "in/link").symlink_to(other)
    (tmp_path / "in/circle").symlink_to(tmp_path / "in")
    found = [str(path.relative_to(tmp_path)) for path in find_images([tmp_path / "in"]).files]
    assert found == ["in/a/b.jpg", "in/link/f.jfif"]


def test_what_is_left_out_of_folders_is_counted_in_one_line(tmp_path, write_image):
    for place in ("a", "b"):
        (tmp_path / place / "real").mkdir(parents=True)
        write_image(tmp_path / place / "real" / "x.png")
        (tmp_path / place / "a-link").symlink_to("real")  # comes before the folder in the alphabet
        (tmp_path / place / "gone.jpg").symlink_to("nowhere")
        for name in ("a.GIF", "b.gif", "c.avif", "README", ".hidden.png"):
            (tmp_path / place / name).touch()
    files, note = find_images([tmp_path / "a"])
    assert [str(file.relative_to(tmp_path)) for file in files] == ["a/real/x.png"]
    left_out = (
        "2 .gif files, 1 .avif file, 1 broken link, 1 hidden file, 1 repeated folder, "
        "1 suffixless file"
    )
    assert note == f"left out of {tmp_path / 'a'}: {left_out}"
    _, note = find_images([tmp_path / "a", tmp_path / "b", files[0]])
    assert note.startswith("left out of 2 folders: 4 .gif files, 2 .avif files, 2 broken links")
    assert find_images(files) == (files, "")
    files[0].unlink()
    with pytest.raises(DataError, match=r"a holds no images \(.*\); it holds 2 .gif files"):
        find_images([tmp_path / "a"])


def test_many_kinds_of_files_are_told_in_one_line(tmp_path, write_image):
    write_image(tmp_path / "x.png")
    for number in range(30):
        (tmp_path / f"x.{number:03}").touch()
    kinds = ", ".join(f"1 .{number:03} file" for number in range(8))
    note = find_images([tmp_path]).note
    assert note == f"left out of {tmp_path}: {kinds}, 22 other files"


def claiming(width, height, suffix):
    """The bytes of a small image file whose header says that it is a huge one."""
    data = bytearray(cv2.imencode(suffix, np.zeros((40, 30, 3), np.uint8))[1].tobytes())
    if suffix == ".png":
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif suffix == ".jpg":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    elif suffix == ".bmp":
        data[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    elif suffix == ".ppm":
        data = bytearray(b"P6\n%d %d\n255\n" % (width, height)) + data[-3600:]
    return bytes(data)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".ppm"])
def test_sizes_are_not_taken_on_trust(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(claiming(30000, 30000, suffix))
    monkeypatch.setattr(module.cv2, "imdecode", None)  # nothing may be made room for
    with pytest.raises(DataError, match="more than 67 million pixels, the most"):
        read_image(path)


def test_sizes_are_those_that_opencv_finds(tmp_path, write_image):
    for suffix in (".png", ".jpg", ".bmp", ".ppm", ".webp", ".tiff", ".gif"):
        image = np.zeros((41, 31, 3), np.uint8)
        data = cv2.imencode(suffix, image)[1].tobytes()
        assert module._size(data) == (41, 31), suffix


def test_an_image_of_pillow_is_not_decoded_on_trust(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # a page in this process lowers it
    with (
        Image.open(io.BytesIO(claiming(9000, 9000, ".png"))) as image,
        pytest.raises(DataError, match="a PIL image: it says that it has more than 67 million"),
    ):
        as_image(image)
