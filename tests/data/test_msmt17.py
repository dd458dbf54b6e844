"""MSMT17 as it is handed out, on invented files."""

import pytest

from reid_hash.data import load_dataset
from reid_hash.errors import DataError

FOLDERS = {1: ("train", "test"), 2: ("mask_train_v2", "mask_test_v2")}


def name(identity, camera, n=0):
    return f"{identity:04d}/{identity:04d}_{n:03d}_{camera:02d}_0303morning_0008_0.jpg"


@pytest.fixture
def write(tmp_path, write_image):
    def make(version, folder="MSMT17", change=lambda text: text.encode()):
        train, test = FOLDERS[version]
        rows = {
            "train": (train, [(0, 1), (0, 2), (1, 1)]),
            "val": (train, [(1, 4)]),
            "query": (test, [(0, 1), (1, 15)]),
            "gallery": (test, [(0, 3), (1, 2), (2, 1)]),
        }
        for part, (below, pairs) in rows.items():
            lines = [f"{name(identity, camera)} {identity}" for identity, camera in pairs]
            for identity, camera in pairs:
                path = tmp_path / folder / below / name(identity, camera)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path)
            (tmp_path / folder / f"list_{part}.txt").write_bytes(change("\n".join(lines) + "\n"))
        return tmp_path

    return make


@pytest.mark.parametrize("folder", ["MSMT17_V1", "MSMT17", "msmt17/MSMT17_V2", "."])
@pytest.mark.parametrize("version", [1, 2])
def test_the_version_is_that_of_the_folders_and_in_the_protocol(write, version, folder):
    found = load_dataset("msmt17", write(version, folder))
    assert found.protocol == f"standard-v{version}"
    assert found.camera_rule == "market"
    assert (len(found.train), len(found.query), len(found.gallery)) == (4, 2, 3)
    assert found.query.labels.tolist() == [0, 1]
    assert found.query.cameras.tolist() == [1, 15]
    assert not set(found.train.labels.tolist()) & set(found.gallery.labels.tolist())
    assert found.query.read(1).shape[2] == 3
    with pytest.raises(DataError, match="one split"):
        load_dataset("msmt17", write(version, folder), split=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("/", "\\").replace("\n", "\r\n").encode(),
        lambda text: (
            text.replace("0000/", "mask_test_v2/0000/").encode()
            if "_03_" in text
            else text.encode()
        ),
    ],
)
def test_lists_of_any_system_are_read(write, change):
    found = load_dataset("msmt17", write(2, change=change))
    assert found.protocol == "standard-v2"
    assert [found.gallery.read(i).shape[2] for i in range(3)] == [3, 3, 3]


def test_evaluation_needs_no_training_list(write):
    root = write(1)
    (root / "MSMT17/list_train.txt").unlink()
    (root / "MSMT17/list_val.txt").unlink()
    assert len(load_dataset("msmt17", root).train) == 0


def test_what_is_wrong_is_told(write, tmp_path):
    with pytest.raises(DataError, match=r"no list_query\.txt"):
        load_dataset("msmt17", tmp_path)
    root = write(1)
    (root / "MSMT17/list_query.txt").write_text("0000/a.jpg 0\n")
    with pytest.raises(DataError, match="line 1 is not like"):
        load_dataset("msmt17", root)
    (root / "MSMT17/list_gallery.txt").unlink()
    with pytest.raises(DataError, match=r"lacks list_gallery\.txt|not like"):
        load_dataset("msmt17", root)
