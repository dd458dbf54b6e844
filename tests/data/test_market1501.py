"""Market-1501's naming: distractors, junk, and sets without a test."""

import numpy as np
import pytest

from reid_hash.config.schema import DataConfig
from reid_hash.data import data_root, load_dataset
from reid_hash.data.market1501 import market1501
from reid_hash.errors import ConfigError, DataError


def name(identity, camera, frame=1):
    shown = "-1" if identity == -1 else f"{identity:04d}"
    return f"{shown}_c{camera}s1_{frame:06d}_00.jpg"


@pytest.fixture
def root(tmp_path, touch):
    touch(tmp_path / "bounding_box_train", name(2, 1), name(2, 3), name(7, 2), "Thumbs.db")
    touch(tmp_path / "query", name(11, 1), name(12, 6))
    gallery = [name(11, 1), name(11, 4), name(12, 6), name(0, 1), name(0, 2), name(-1, 5)]
    touch(tmp_path / "bounding_box_test", *gallery)
    return tmp_path


@pytest.fixture
def persons(tmp_path, touch):
    """Ten persons from two cameras each, an eleventh from one, no query and no gallery."""
    names = [name(i, camera, frame) for i in range(1, 11) for camera in (1, 2) for frame in (1, 2)]
    touch(tmp_path / "bounding_box_train", *names, name(11, 1))
    return tmp_path


@pytest.mark.parametrize("below", ["", "market1501", "Market-1501-v15.09.15"])
def test_standard(root, tmp_path_factory, below, write_image):
    image = write_image(root / "query" / "0012_c6s1_000002_00.png")
    top = tmp_path_factory.mktemp("top")
    if below:
        root.rename(top / below)
    data = market1501(top if below else root)
    assert (data.protocol, data.camera_rule, data.single_shot) == ("standard", "market", False)
    assert data.train.labels.tolist() == [2, 2, 7]
    assert data.train.cameras.tolist() == [1, 3, 2]
    assert data.query.labels.tolist() == [11, 12, 12]
    assert data.gallery.labels.tolist() == [0, 0, 11, 11, 12]
    assert data.gallery.names[2] == "bounding_box_test/0011_c1s1_000001_00.jpg"
    np.testing.assert_array_equal(data.query.read(2), image)
    assert data.notes == (
        "bounding_box_test/: 1 junk image left out (identity −1)",
        "2 distractors in the gallery (identity 0)",
        "2 query images of 3 without a gallery image of the same identity from another camera",
    )


def test_no_query_matches_a_distractor(root, touch):
    touch(root / "query", name(0, 3))
    touch(root / "bounding_box_train", name(0, 3), name(11, 2))
    data = market1501(root)
    assert 0 not in data.query.labels
    assert 0 not in data.train.labels
    assert (data.gallery.labels == 0).sum() == 2
    assert "query/: 1 distractor left out (identity 0)" in data.notes
    assert data.notes[-1] == "1 query identity is among the training identities"


def test_other_sets_of_the_same_naming(tmp_path, touch):
    touch(tmp_path / "query", "0003_c12_21.png", "0005_c2_f0046985.jpg")
    touch(tmp_path / "bounding_box_test", "0003_c1_25.png", "0005_c5_f0051725.jpg")
    data = market1501(tmp_path)
    assert data.query.cameras.tolist() == [12, 2]
    assert data.query.labels.tolist() == [3, 5]
    assert len(data.train) == 0
    assert data.notes == ("no bounding_box_train/: nothing to train on",)


def test_held_out(persons):
    data = market1501(persons)
    assert (data.protocol, data.camera_rule, data.single_shot) == ("held-out", "cuhk03", True)
    tested = set(data.query.labels.tolist())
    assert tested <= set(range(1, 11))  # 11 was seen by one camera only
    assert len(tested) == 2
    assert set(data.gallery.labels.tolist()) == tested
    assert set(data.train.labels.tolist()) == set(range(1, 12)) - tested
    assert (len(data.train), len(data.query)) == (33, 8)
    assert data.notes == (
        "no published test: 2 of 11 identities held out of bounding_box_train/ (draw 0), "
        "8 images, all against all",
    )


def test_held_out_draw_depends_on_the_split_alone(persons):
    def held_out(split, seed):
        config = DataConfig(dataset="market1501", split=split)
        return frozenset(load_dataset(config, persons, seed).query.labels.tolist())

    assert held_out(0, seed=0) == held_out(0, seed=5)
    assert len({held_out(split, seed=0) for split in range(6)}) > 1


def test_train_only(persons, root):
    data = market1501(persons, "train-only")
    assert len(data.train) == 42  # both fixtures fill the same folder, one name is in both
    assert (len(data.query), len(data.gallery), data.protocol) == (0, 0, "train-only")
    assert data.notes == ("all identities are for training: there is no query and no gallery",)


@pytest.mark.parametrize("lacking", ["query", "bounding_box_test"])
def test_half_extracted(root, lacking):
    for file in (root / lacking).iterdir():
        file.unlink()
    with pytest.raises(DataError, match=f"{lacking} holds no image.*extract the data set again"):
        market1501(root)
    (root / lacking).rmdir()
    with pytest.raises(DataError, match=f"lacks {lacking}/; extract the data set again"):
        market1501(root)


def test_names_that_do_not_fit(root, touch):
    touch(root / "query", "0011_c1s1_000001_00.jpg.crdownload", "face.jpg", "12_c.jpg", "a.jpg")
    data = market1501(root)
    assert len(data.query) == 2
    assert data.notes[0] == (
        "query/: 4 files left out, not named like 0002_c1s1_000451_03.jpg: "
        "0011_c1s1_000001_00.jpg.crdownload, 12_c.jpg, a.jpg, …"
    )


def test_missing_data(tmp_path, touch):
    with pytest.raises(DataError, match=r"no bounding_box_train/.*name the folder.*--data"):
        market1501(tmp_path)
    touch(tmp_path / "cuhk01" / "bounding_box_train", name(1, 1))
    with pytest.raises(DataError, match="cuhk01 has one: name it with --data"):
        market1501(tmp_path)
    with pytest.raises(DataError, match=r"1 identity 0 were seen by two.*protocol=train-only"):
        market1501(tmp_path / "cuhk01")
    touch(tmp_path / "x", "Market-1501-v15.09.15.zip")
    with pytest.raises(DataError, match=r"v15\.09\.15\.zip is still packed"):
        market1501(tmp_path / "x")
    with pytest.raises(DataError, match="is a file; --data wants the folder"):
        market1501(tmp_path / "x" / "Market-1501-v15.09.15.zip")


def test_wrong_wishes(root):
    with pytest.raises(ConfigError, match="not 'new'"):
        market1501(root, "new")
    with pytest.raises(DataError, match=r"one split: data\.split is 0, not 2"):
        market1501(root, split=2)


def test_unknown_and_joined_names(tmp_path):
    with pytest.raises(ConfigError, match="unknown data set 'viping'; known are walkers, cuhk03"):
        load_dataset(DataConfig(dataset="viping"), tmp_path)
    with pytest.raises(ConfigError, match=r"are joined .* to be trained on only"):
        load_dataset(DataConfig(dataset="cuhk03+market1501"), tmp_path)


def test_data_root(tmp_path, monkeypatch):
    monkeypatch.delenv("REID_HASH_DATA", raising=False)
    assert str(data_root(None)) == "data"
    monkeypatch.setenv("REID_HASH_DATA", "elsewhere")
    assert str(data_root(None)) == "elsewhere"
    assert data_root(tmp_path) == tmp_path


def test_the_real_cuhk01(tmp_path, shared_zip, touch):
    with shared_zip("cuhk01-train.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".jpg")]
        archive.extract(names[0], tmp_path)
        for file in names[1:]:
            (tmp_path / file).touch()
    data = market1501(tmp_path / "cuhk01")
    assert len(set(data.train.labels.tolist())) == 388
    assert len(set(data.query.labels.tolist())) == 97
    assert len(data.train) + len(data.query) == 1940
    everything = market1501(tmp_path / "cuhk01", "train-only").train
    assert len(everything) == 1940
    first = everything.names.index(names[0].removeprefix("cuhk01/"))
    assert everything.read(first).shape[2] == 3


def test_evaluation_needs_no_training_images(root):
    for path in (root / "bounding_box_train").iterdir():
        path.unlink()
    found = market1501(root)
    assert (len(found.train), len(found.query), len(found.gallery)) == (0, 2, 5)
    assert any("nothing to train on" in note for note in found.notes)
    with pytest.raises(DataError, match="holds no image"):
        market1501(root, "train-only")


def test_another_camera_rule_is_asked_for(root, persons):
    assert load_dataset("market1501", root, camera_rule="none").camera_rule == "none"
    with pytest.raises(ConfigError, match="camera_rule"):
        load_dataset("market1501", root, camera_rule="left")


def test_queries_that_are_their_own_gallery_keep_their_camera_rule(persons):
    with pytest.raises(ConfigError, match="held-out.*by their cameras"):
        load_dataset("market1501", persons, camera_rule="none")


def test_names_as_in_mars(tmp_path, touch):
    touch(tmp_path / "query", "0002C1T0001F001.jpg")
    touch(
        tmp_path / "bounding_box_test",
        *("0002C6T0004F011.jpg", "0000C1T0001F001.jpg", "00-1C2T0001F001.jpg"),
    )
    found = market1501(tmp_path)
    assert (found.query.labels.tolist(), found.query.cameras.tolist()) == ([2], [1])
    assert (found.gallery.labels.tolist(), found.gallery.cameras.tolist()) == ([0, 2], [1, 6])


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("above", ["", "pytorch", "market1501/pytorch"])
def test_a_folder_for_each_identity(tmp_path, touch, above, whole):
    parts = {"train": [(2, 1), (7, 1)], "val": [(2, 3)], "query": [(11, 1)], "gallery": [(11, 2)]}
    parts["gallery"] += [(0, 1), (-1, 1)]
    if whole:
        parts["train_all"] = parts["train"] + parts["val"]
    for part, pairs in parts.items():
        for identity, camera in pairs:
            shown = "-1" if identity == -1 else f"{identity:04d}"
            touch(tmp_path / above / part / shown, name(identity, camera), ".hidden")
    found = market1501(tmp_path)
    assert sorted(found.train.labels.tolist()) == [2, 2, 7]
    assert (found.query.labels.tolist(), found.query.cameras.tolist()) == ([11], [1])
    assert sorted(found.gallery.labels.tolist()) == [0, 11]
    assert found.protocol == "standard"
