"""Extracted folders, split files, both protocols, and what is said of incomplete copies."""

import json

import numpy as np
import pytest
import scipy.io

from reid_hash.config.schema import DataConfig
from reid_hash.data import cuhk03 as module
from reid_hash.data import load_dataset
from reid_hash.data.cuhk03 import cuhk03
from reid_hash.errors import ConfigError, DataError


def crops(pair, persons, views=(1, 2), suffix=".jpg"):
    """Two crops a view."""
    return [
        f"{pair}_{person:03d}_{view}_{5 * (view - 1) + i:02d}{suffix}"
        for person in persons
        for view in views
        for i in (1, 2)
    ]


def write_split(root, train, test, pair=1):
    lists = {"train": list(train), "test": list(test)}
    (root / f"splits_pair{pair}.json").write_text(json.dumps(lists))


def write_new_protocol(root, names, train, query, gallery):
    """The published list: all crops, and 1-based indices of each part."""
    listed = np.array([[np.array([name])] for name in names], object).reshape(-1, 1)
    index = {name: i + 1 for i, name in enumerate(names)}
    parts = {"train_idx": train, "query_idx": query, "gallery_idx": gallery}
    content = {key: np.array([[index[n]] for n in part], np.uint16) for key, part in parts.items()}
    scipy.io.savemat(
        root / "cuhk03_new_protocol_config_labeled.mat", {"filelist": listed, **content}
    )


@pytest.fixture
def root(tmp_path, touch):
    """Persons 1 to 6 of pair 1; 5 and 6 are tested."""
    touch(tmp_path / "images_labeled", *crops(1, range(1, 7)))
    write_split(tmp_path, range(1, 5), (5, 6))
    return tmp_path


@pytest.mark.parametrize("below", ["", "cuhk03", "cuhk03_release"])
def test_single_shot_from_extracted_images(tmp_path, touch, write_image, below):
    root = tmp_path / below
    touch(root / "images_labeled", *crops(1, range(1, 7)), ".hidden", "Thumbs.db")
    write_split(root, range(1, 5), (5, 6))
    image = write_image(root / "images_labeled" / "1_001_2_11.png")
    data = cuhk03(tmp_path)
    assert (data.protocol, data.camera_rule, data.single_shot) == ("single-shot", "cuhk03", True)
    assert len(data.train) == 17
    assert sorted(set(data.train.labels.tolist())) == [10_001, 10_002, 10_003, 10_004]
    assert data.query.labels.tolist() == [10_005] * 4 + [10_006] * 4 == data.gallery.labels.tolist()
    assert data.query.cameras.tolist() == [1, 1, 2, 2] * 2
    assert data.query.names[0] == "images_labeled/1_005_1_01.jpg"
    np.testing.assert_array_equal(data.train.read(4), image)
    assert data.notes == (
        "splits_pair1.json (not one of the 20 published splits), labeled boxes",
        "partial copy, camera pair 1 alone: 4 of 1,367 training identities, 2 of 100 test "
        "identities, 25 of 14,096 images; images missing: 8,152 of pair 1",
    )


def test_cross_camera_has_the_first_view_search_in_the_second(root):
    data, drawn = cuhk03(root, "cross-camera"), cuhk03(root)
    assert (data.protocol, data.camera_rule, data.single_shot) == ("cross-camera", "cuhk03", False)
    assert data.query.names == [name for name in drawn.query.names if "_1_0" in name[19:]]
    assert set(data.query.cameras.tolist()) == {1}
    assert set(data.gallery.cameras.tolist()) == {2}
    assert len(data.query) + len(data.gallery) == len(drawn.query)
    assert data.train.names == drawn.train.names


def test_what_a_copy_lacks(root, touch, monkeypatch):
    monkeypatch.setattr(module, "_PERSONS", {1: 6, 2: 1})
    monkeypatch.setattr(module, "_IMAGES", {"labeled": {1: 24, 2: 5}})
    assert cuhk03(root).notes[1].endswith("2 of 100 test identities, 24 of 29 images")
    touch(root / "images_labeled", *crops(2, [1]))
    assert cuhk03(root).notes[1].endswith("28 of 29 images; images missing: 1 of pair 2")
    touch(root / "images_labeled", "2_001_1_03.jpg")
    assert not any("partial copy" in note for note in cuhk03(root).notes)


def test_identities_of_two_pairs_are_told_apart(root, touch):
    touch(root / "images_labeled", *crops(3, (1, 5), suffix=".png"))
    write_split(root, [1], [5], pair=3)
    data = cuhk03(root)
    assert set(data.train.labels.tolist()) == {10_001, 10_002, 10_003, 10_004, 30_001}
    assert set(data.query.labels.tolist()) == {10_005, 10_006, 30_005}
    assert "camera pairs 1, 3: 5 of 1,367" in data.notes[1]


def test_identities_of_no_list_are_left_out_and_counted(root, touch):
    touch(root / "images_labeled", *crops(2, (1, 2)))
    data = cuhk03(root)
    assert data.train.labels.max() < 20_000
    assert data.notes[2] == ("2 identities left out, in neither list of the split: 2_001, 2_002")


def test_torchreid_split_file(root):
    old = [[f"/old/place/1_{p:03d}_1_01.png", p, 0] for p in range(1, 7)]
    windows = [["C:\\old\\1_002_2_07.png", 0, 1]]
    splits = [{"train": old[2:], "query": old[:2]}, {"train": old[:1], "query": windows}]
    path = root / "splits_classic_labeled.json"
    path.write_text(json.dumps(splits))
    assert set(cuhk03(root).query.labels.tolist()) == {10_001, 10_002}
    second = cuhk03(root, split=1)
    assert set(second.query.labels.tolist()) == {10_002}
    assert set(second.train.labels.tolist()) == {10_001}
    with pytest.raises(DataError, match=r"holds 2 splits; data\.split is 0 to 1, not 2"):
        cuhk03(root, split=2)
    path.write_text('[{"train": [["a.png", 1, 0]]}]')
    with pytest.raises(DataError, match="not in torchreid's layout"):
        cuhk03(root)


def test_new_protocol(root):
    names = crops(1, range(1, 7), suffix=".png")
    write_new_protocol(root, names, names[:8], names[8:24:4], names[9:24:2])
    data = load_dataset(DataConfig(dataset="cuhk03", protocol="new"), root)
    assert (data.protocol, data.camera_rule, data.single_shot) == ("new", "market", False)
    assert data.train.names == [f"images_labeled/{n[:-4]}.jpg" for n in names[:8]]
    assert data.query.names == [f"images_labeled/{n[:-4]}.jpg" for n in names[8:24:4]]
    assert len(data.gallery) == 8
    assert data.query.labels.tolist() == [10_003, 10_004, 10_005, 10_006]
    assert len(data.notes) == 2
    with pytest.raises(DataError, match="one split"):
        cuhk03(root, "new", split=1)


def test_new_protocol_on_a_partial_copy(root):
    names = crops(1, range(1, 7)) + crops(2, range(1, 4))
    gallery = [n for n in names[8:12] if "_1_" in n[5:8]] + names[28:]
    write_new_protocol(root, names, names[:8] + names[24:28], [*names[8:12], names[30]], gallery)
    data = cuhk03(root, "new")
    assert (len(data.train), len(data.query), len(data.gallery)) == (8, 4, 2)
    assert "camera pair 1 alone: 2 of 767 training identities, 1 of 700 test" in data.notes[1]
    assert data.notes[2] == (
        "2 query images of 4 without a gallery image of the same identity from another camera"
    )


def test_new_protocol_without_or_with_a_broken_list(root):
    with pytest.raises(DataError, match=r"lacks cuhk03_new_protocol_config_labeled\.mat"):
        cuhk03(root, "new")
    path = root / "cuhk03_new_protocol_config_labeled.mat"
    names = crops(1, range(1, 7))
    write_new_protocol(root, names, names, names, names)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DataError, match="cannot be read as the list of the 767/700 split"):
        cuhk03(root, "new")


def test_one_camera_only(root, touch):
    touch(root / "images_labeled", *crops(1, (7, 8), views=[2]))
    write_split(root, (1, 2, 3, 4, 8), (5, 6, 7))
    data = cuhk03(root)
    assert set(data.query.labels.tolist()) == {10_005, 10_006}
    assert data.notes[2:] == (
        "1 training identity seen by one camera only",
        "1 test identity left out, seen by one camera only: 1_007",
    )
    write_split(root, (1, 2, 3, 4), [7])
    with pytest.raises(DataError, match=r"no identity can be tested.*one camera only: 1_007"):
        cuhk03(root)
    write_split(root, (1, 2, 3, 4), [99])
    with pytest.raises(DataError, match=r"no identity can be tested.*incomplete"):
        cuhk03(root)


def test_names_that_do_not_fit(root, touch):
    strange = ["1_001_3_01.jpg", "6_001_1_01.jpg", "1_001_1_01.jpg.part", "readme.txt"]
    touch(root / "images_labeled", *strange, "1_001_1_01.png")
    data = cuhk03(root)
    assert len(data.train) == 16
    assert data.notes[2:] == (
        "4 files left out, not named like 1_001_1_01.jpg: "
        "1_001_1_01.jpg.part, 1_001_3_01.jpg, 6_001_1_01.jpg, …",
        "1 crop in two formats, read once",
    )


def test_missing_data(tmp_path, touch):
    with pytest.raises(DataError, match=r"no folder .*nowhere; name the data's with --data"):
        cuhk03(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"neither cuhk-03\.mat nor images_labeled/.*--data"):
        cuhk03(tmp_path)
    touch(tmp_path, "CUHK-03_pair1.zip")
    with pytest.raises(DataError, match=r"CUHK-03_pair1\.zip is still packed"):
        cuhk03(tmp_path)
    touch(tmp_path / "images_labeled")
    with pytest.raises(DataError, match=r"holds no CUHK03 image.*still packed"):
        cuhk03(tmp_path)
    (tmp_path / "CUHK-03_pair1.zip").unlink()
    with pytest.raises(DataError, match=r"images_labeled holds no CUHK03 image; extract it again"):
        cuhk03(tmp_path)
    with pytest.raises(DataError, match=r"set data\.boxes=labeled"):
        cuhk03(tmp_path, boxes="detected")
    touch(tmp_path / "images_labeled", *crops(1, [1]))
    with pytest.raises(DataError, match=r"images but no split: put cuhk-03\.mat"):
        cuhk03(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1, 2]", "is no split"),
        ('{"train": [1]}', "is no split"),
        ('{"train": [1, 2], "test": [2]}', "1 identities are in train and in test"),
    ],
)
def test_broken_split_file(root, text, message):
    (root / "splits_pair1.json").write_text(text)
    with pytest.raises(DataError, match=message):
        cuhk03(root)


def test_wrong_wishes(root):
    with pytest.raises(DataError, match=r"one split: data\.split is 0, not 1"):
        cuhk03(root, split=1)
    with pytest.raises(ConfigError, match="protocols single-shot, cross-camera, new, not 'old'"):
        cuhk03(root, "old")
    with pytest.raises(ConfigError, match="boxes labeled, detected, not 'drawn'"):
        cuhk03(root, boxes="drawn")


def test_the_real_camera_pair(tmp_path, shared_zip, touch):
    with shared_zip("cuhk03-pair1.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".jpg")]
        others = [n for n in archive.namelist() if n.endswith((".json", ".mat"))]
        archive.extractall(tmp_path, [*others, names[0]])
        for name in names[1:]:
            (tmp_path / name).touch()
    data = cuhk03(tmp_path)
    assert len(data.train) + len(data.query) == 8177
    assert sorted(set(data.train.labels.tolist())) == list(range(10_001, 10_744))
    assert sorted(set(data.query.labels.tolist())) == list(range(10_744, 10_844))
    assert data.notes[1:] == (
        "partial copy, camera pair 1 alone: 743 of 1,367 training identities, 100 of 100 test "
        "identities, 8,177 of 14,096 images",
    )
    first = [*data.train.names, *data.query.names].index(names[0].removeprefix("cuhk03/"))
    source = data.train if first < len(data.train) else data.query
    assert source.read(first % len(data.train)).shape[2] == 3
    new = cuhk03(tmp_path, "new")
    assert (len(new.train), len(new.query), len(new.gallery)) == (4145, 832, 3200)
    assert new.notes[1].startswith(
        "partial copy, camera pair 1 alone: 427 of 767 training identities, 416 of 700 test"
    )
    assert not set(new.train.labels.tolist()) & set(new.query.labels.tolist())
