"""Class folders with and without train/ and test/."""

import numpy as np
import pytest

from reid_hash.config.schema import DataConfig
from reid_hash.data import load_dataset
from reid_hash.data.folder import folder
from reid_hash.errors import ConfigError, DataError


@pytest.mark.parametrize("below", ["", "folder"])
def test_train_and_test(tmp_path, touch, write_image, below):
    root = tmp_path / below
    touch(root / "train" / "cat", "b.jpg", "a.WEBP")
    touch(root / "train" / "ant", "1.png", "notes.txt", ".hidden.png")
    touch(root / "test" / "cat", "9.jpeg")
    touch(root / "test" / "zebra")
    image = write_image(root / "test" / "bee" / "x.png")
    data = load_dataset(DataConfig(dataset="folder"), tmp_path)
    assert (data.protocol, data.camera_rule, data.single_shot) == ("standard", "none", False)
    assert data.train.names == ["train/ant/1.png", "train/cat/a.WEBP", "train/cat/b.jpg"]
    assert data.train.labels.tolist() == [0, 2, 2]  # ant, bee, cat, zebra
    assert data.gallery is data.train
    assert data.query.names == ["test/bee/x.png", "test/cat/9.jpeg"]
    assert data.query.labels.tolist() == [1, 2]
    assert data.query.cameras.tolist() == [0, 0]
    np.testing.assert_array_equal(data.query.read(0), image)
    assert [n.split(" (")[0] for n in data.notes] == [
        "1 file left out, not named like an image",
        "2 classes in test/ alone, nothing to be found: bee, zebra",
        "1 class without an image: test/zebra",
    ]


def test_classes_alone_draw_one_in_ten(tmp_path, touch):
    for name, count in (("a", 30), ("b", 12), ("c", 2), ("d", 1)):
        touch(tmp_path / name, *(f"{i}.jpg" for i in range(count)))
    data = folder(tmp_path)
    assert (data.protocol, data.camera_rule) == ("held-out", "none")
    assert np.bincount(data.query.labels).tolist() == [3, 1, 1]
    assert np.bincount(data.gallery.labels).tolist() == [27, 11, 1, 1]
    assert not set(data.query.names) & set(data.gallery.names)
    assert len({*data.query.names, *data.gallery.names}) == 45
    assert data.train is data.gallery
    assert data.notes == (
        "no train/ and test/: one image in ten of each class drawn as a query (draw 0)",
    )


def test_draw_depends_on_the_split_alone(tmp_path, touch):
    for name in "ab":
        touch(tmp_path / name, *(f"{i}.jpg" for i in range(20)))

    def drawn(split, seed):
        config = DataConfig(dataset="folder", split=split)
        return tuple(load_dataset(config, tmp_path, seed).query.names)

    assert drawn(0, seed=0) == drawn(0, seed=3)
    assert len({drawn(split, seed=0) for split in range(4)}) > 1


def test_missing_data(tmp_path, touch):
    with pytest.raises(DataError, match="has no class folders; give each class"):
        folder(tmp_path)
    touch(tmp_path, "pictures.tar.gz")
    with pytest.raises(DataError, match=r"pictures\.tar\.gz is still packed"):
        folder(tmp_path)
    touch(tmp_path / "a", "x.txt")
    with pytest.raises(DataError, match="has the class a alone"):
        folder(tmp_path)
    touch(tmp_path / "b" / "inner", "deep.jpg")
    with pytest.raises(DataError, match="2 class folders but no image in them"):
        folder(tmp_path)
    touch(tmp_path / "a", "1.jpg")
    touch(tmp_path / "b", "1.jpg")
    with pytest.raises(DataError, match="one image a class; queries need"):
        folder(tmp_path)


@pytest.mark.parametrize(("there", "lacking"), [("train", "test"), ("test", "train")])
def test_half_of_train_and_test(tmp_path, touch, there, lacking):
    touch(tmp_path / there / "a", "1.jpg")
    with pytest.raises(DataError, match=rf"{there} is there but .*{lacking} is not"):
        folder(tmp_path)


def test_wrong_wishes(tmp_path, touch):
    for part in ("train", "test"):
        for name in "ab":
            touch(tmp_path / part / name, "1.jpg")
    with pytest.raises(DataError, match=r"one split: data\.split is 0, not 1"):
        folder(tmp_path, split=1)
    with pytest.raises(ConfigError, match="protocol standard here, not 'held-out'"):
        load_dataset(DataConfig(dataset="folder", protocol="held-out"), tmp_path)
