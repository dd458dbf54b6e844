"""NUS-WIDE's lists on an invented tree."""

import numpy as np
import pytest

from reid_hash.config.schema import DataConfig
from reid_hash.data import load_dataset
from reid_hash.data.images import decode
from reid_hash.data.nuswide import FOLDERS, nuswide
from reid_hash.errors import ConfigError, DataError

TRAIN = "images/a.png 1 0 0\nimages/b.png 0 1 1\n"
TEST = "images/c.png 1 1 0\r\nimages/d.png 0 0 0\r\n\r\n"
DATABASE = TRAIN + "images/e.png\t0  0 1\n"


def write_lists(folder, train=TRAIN, test=TEST, database=DATABASE):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("train", train), ("test", test), ("database", database)):
        (folder / f"{name}.txt").write_text(content)


@pytest.fixture
def root(tmp_path, touch):
    write_lists(tmp_path / "nuswide")
    touch(tmp_path / "nuswide" / "images", *(f"{x}.png" for x in "abcde"))
    return tmp_path


@pytest.mark.parametrize("below", FOLDERS)
def test_lists(tmp_path, write_image, below):
    write_lists(tmp_path / below)
    image = write_image(tmp_path / below / "images" / "a.png")
    data = load_dataset(DataConfig(dataset="nuswide"), tmp_path)
    assert (data.name, data.protocol, data.camera_rule) == ("nuswide", "standard", "none")
    assert data.classes == ("c0", "c1", "c2")
    assert data.train.labels.dtype == bool
    assert data.train.labels.tolist() == [[True, False, False], [False, True, True]]
    assert data.query.labels.tolist() == [[True, True, False], [False, False, False]]
    assert data.gallery.names == ["images/a.png", "images/b.png", "images/e.png"]
    np.testing.assert_array_equal(data.train.read(0), image)
    pixels = decode(data.gallery, 16, 8, skip_unreadable=True)
    assert pixels.labels.tolist() == [[True, False, False]]
    assert len(pixels.unreadable) == 2
    assert data.notes == (
        "2 queries, 2 training images, a database of 3 with 2 of the training images, 3 labels",
        "not the usual lists, which have 2,100 queries, 10,500 training images and 21 labels",
        "1 query without a label: nothing to be found",
    )


def test_the_usual_counts_need_no_remark(tmp_path, touch):
    def lines(first, n):
        marks = " ".join(["1"] + ["0"] * 20)
        return "".join(f"images/{i}.jpg {marks}\n" for i in range(first, first + n))

    write_lists(tmp_path, lines(0, 10_500), lines(20_000, 2100), lines(0, 15_000))
    touch(tmp_path / "images", "0.jpg")
    data = nuswide(tmp_path)
    assert data.train.labels.shape == (10_500, 21)
    assert data.notes == (
        "2,100 queries, 10,500 training images, a database of 15,000 with 10,500 of the training "
        "images, 21 labels",
    )


def test_images_beside_another_folder_of_the_set(root, touch):
    write_lists(root / "nuswide", test="images/x.png 1 0 0\n")
    (root / "nuswide" / "images").rename(root / "images")
    with pytest.raises(DataError, match="cannot be read"):  # found, though empty
        decode(nuswide(root).train, 16, 16)


def test_queries_in_the_database_are_counted(root):
    write_lists(root / "nuswide", test="images/e.png 0 0 1\n")
    assert "1 query is in the database too" in nuswide(root).notes


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("images/c.png 1 2 0", "test.txt, line 2: labels are 0 or 1, not '2'"),
        ("images/c.png 1 x 0", "test.txt, line 2: labels are 0 or 1, not 'x'"),
        ("images/c.png 1 01 0", "test.txt, line 2: labels are 0 or 1, not '01'"),
        ("images/c.png", "test.txt, line 2: 0 labels after the path, the lines before have 3"),
        ("images/c.png 1 1", "test.txt, line 2: 2 labels after the path, the lines before have 3"),
    ],
)
def test_a_wrong_line_is_named(root, line, reason):
    write_lists(root / "nuswide", test=f"images/d.png 0 1 0\n{line}\n")
    with pytest.raises(DataError, match=reason):
        nuswide(root)


def test_lists_that_do_not_fit(root):
    folder = root / "nuswide"
    write_lists(folder, test="images/c.png 1\n")
    with pytest.raises(DataError, match="line 1: 1 label after the path, two or more are needed"):
        nuswide(root)
    write_lists(folder, test="images/c.png 1 1\n")
    with pytest.raises(DataError, match="have 3, 2, 3 labels a line, not the same"):
        nuswide(root)
    write_lists(folder, test="\n\n")
    with pytest.raises(DataError, match="test.txt lists no image"):
        nuswide(root)
    (folder / "test.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="test.txt cannot be read as a list of images"):
        nuswide(root)
    (folder / "test.txt").unlink()
    with pytest.raises(DataError, match="lacks test.txt; all of train.txt, test.txt, database"):
        nuswide(root)


def test_missing_data(tmp_path, touch):
    with pytest.raises(DataError, match="no NUS-WIDE in .*: train.txt, test.txt, database.txt are"):
        nuswide(tmp_path)
    touch(tmp_path, "NUS-WIDE.tar.gz")
    with pytest.raises(DataError, match="NUS-WIDE.tar.gz is still packed"):
        nuswide(tmp_path)
    write_lists(tmp_path)
    with pytest.raises(DataError, match="none of their images, such as .*a.png; .*still packed"):
        nuswide(tmp_path)
    (tmp_path / "NUS-WIDE.tar.gz").unlink()
    with pytest.raises(DataError, match="a.png; put the images there"):
        nuswide(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        nuswide(tmp_path / "nowhere")


def test_wrong_wishes(root):
    with pytest.raises(DataError, match=r"one split: data\.split is 0, not 1"):
        nuswide(root, split=1)
    with pytest.raises(ConfigError, match="protocol standard here, not '5k'"):
        load_dataset(DataConfig(dataset="nuswide", protocol="5k"), root)


@pytest.mark.parametrize(
    "form",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("/", "\\").replace("\n", "\r\n").encode(),
        lambda text: text.replace("images/", "./images/").encode(),
    ],
)
def test_lists_of_other_systems(root, form):
    plain = nuswide(root)
    for path in (root / "nuswide").glob("*.txt"):
        path.write_bytes(form(path.read_bytes().decode()))
    found = nuswide(root)
    for part in ("train", "query", "gallery"):
        assert getattr(found, part).names == getattr(plain, part).names
        assert (getattr(found, part).labels == getattr(plain, part).labels).all()


def test_paths_with_spaces(tmp_path, touch):
    lists = [text.replace("images/", "my images/a 1 0 ") for text in (TRAIN, TEST, DATABASE)]
    write_lists(tmp_path, *lists)
    touch(tmp_path / "my images", *(f"a 1 0 {x}.png" for x in "abcde"))
    found = nuswide(tmp_path)
    assert found.train.names == ["my images/a 1 0 a.png", "my images/a 1 0 b.png"]
    assert found.train.labels.tolist() == [[True, False, False], [False, True, True]]
