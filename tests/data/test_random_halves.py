"""VIPeR, GRID, PRID2011 and i-LIDS in their published layouts, on invented files."""

import numpy as np
import pytest
from scipy.io import savemat

from reid_hash.cli import main
from reid_hash.data import load_dataset
from reid_hash.errors import ConfigError, DataError


@pytest.fixture
def write(tmp_path, write_image):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            write_image(tmp_path / name)
        return tmp_path

    return make


@pytest.fixture
def viper(write, touch, tmp_path):
    names = [
        f"VIPeR/{camera}/{i:03d}_{45 * (i % 4)}.bmp"
        for i in range(20)
        for camera in ("cam_a", "cam_b")
    ]
    touch(tmp_path / "VIPeR/cam_a", "._000_0.bmp", "Thumbs.db")
    return write(*names)


def identities(images):
    return set(images.labels.tolist())


def test_viper_tests_one_of_ten_halves(viper):
    tested = []
    for split in range(10):
        found = load_dataset("viper", viper, split=split)
        assert (len(found.train), len(found.query), len(found.gallery)) == (20, 10, 10)
        assert identities(found.query) == identities(found.gallery)
        assert not identities(found.query) & identities(found.train)
        assert all(name.startswith("cam_a/") for name in found.query.names)
        assert all(name.startswith("cam_b/") for name in found.gallery.names)
        assert found.query.read(0).shape[2] == 3
        tested.append(frozenset(identities(found.query)))
    assert len(set(tested)) == 10
    assert frozenset(identities(load_dataset("viper", viper, split=3).query)) == tested[3]
    with pytest.raises(DataError, match="halves 0 to 9"):
        load_dataset("viper", viper, split=10)
    with pytest.raises(ConfigError, match="single-shot, single-shot-10"):
        load_dataset("viper", viper, protocol="new")


def test_all_halves_are_the_ten_tests(viper):
    found = load_dataset("viper", viper, protocol="single-shot-10")
    assert len(found.train) == 0
    assert len(found.trials) == 10
    for split, trial in enumerate(found.trials):
        one, other = found.of_trial(trial), load_dataset("viper", viper, split=split)
        assert one.query.names == other.query.names
        assert one.gallery.names == other.gallery.names


def test_prid_keeps_the_strangers_of_camera_b(write):
    a = [
        f"prid_2011/single_shot/cam_a/person_{i:04d}.png" for i in [*range(1, 13), *range(201, 206)]
    ]
    b = [
        f"prid_2011/single_shot/cam_b/person_{i:04d}.png" for i in [*range(1, 13), *range(201, 209)]
    ]
    found = load_dataset("prid2011", write(*a, *b))
    assert (len(found.train), len(found.query), len(found.gallery)) == (12, 6, 6 + 8)
    assert max(found.query.labels) <= 12
    assert max(found.train.labels) <= 12  # 201 of camera a is not 201 of camera b


@pytest.fixture
def grid(write):
    probe = [f"underground_reid/probe/{i:04d}_1_25004_1_2_3_4.jpeg" for i in range(1, 13)]
    gallery = [f"underground_reid/gallery/{i:04d}_2_25004_1_2_3_4.jpeg" for i in range(1, 13)]
    strangers = [f"underground_reid/gallery/0000_5_{i}_1_2_3_4.jpeg" for i in range(7)]
    return write(*probe, *gallery, *strangers)


def test_grid_has_its_strangers_and_drawn_halves(grid):
    found = load_dataset("grid", grid)
    assert (len(found.train), len(found.query), len(found.gallery)) == (12, 6, 6 + 7)
    assert any("halves are drawn, not the published" in note for note in found.notes)
    assert set(found.gallery.cameras.tolist()) == {2, 5}


def test_grid_takes_its_published_partitions(grid):
    trained = [np.arange(1 + n % 3, 7 + n % 3) for n in range(10)]
    fields = [("a", object), ("b", object), ("train", object)]
    cells = np.empty((1, 10), object)
    for n, one in enumerate(trained):
        record = np.zeros((1, 1), fields)
        record[0, 0] = (np.zeros(1), np.zeros(1), one[None])
        cells[0, n] = record
    savemat(grid / "underground_reid/features_and_partitions.mat", {"trainIdxAll": cells})
    for split, one in enumerate(trained):
        assert identities(load_dataset("grid", grid, split=split).train) == set(one.tolist())
    (grid / "underground_reid/features_and_partitions.mat").write_bytes(b"no mat")
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset("grid", grid)


def test_ilids_draws_two_images_of_each(write):
    names = [
        f"i-LIDS_Pedestrian/Persons/{i:04d}{n:03d}.jpg" for i in range(1, 12) for n in range(1, 5)
    ]
    root = write(*names)
    for split in (0, 1):
        found = load_dataset("ilids", root, split=split)
        assert (len(found.train), len(found.query), len(found.gallery)) == (20, 6, 6)
        assert identities(found.query) == identities(found.gallery)
        assert not set(found.query.names) & set(found.gallery.names)


def test_what_is_missing_is_told(tmp_path, write):
    for name, part in (
        ("viper", "cam_a"),
        ("prid2011", "single_shot"),
        ("grid", "probe"),
        ("ilids", "Persons"),
    ):
        with pytest.raises(DataError, match=f"no {part}/ in"):
            load_dataset(name, tmp_path)
    write("cam_a/000_0.bmp")
    with pytest.raises(DataError, match="lacks cam_b/"):
        load_dataset("viper", tmp_path)


def test_a_shipped_model_is_evaluated_over_the_ten_halves(viper, capsys, tmp_path):
    import json

    with pytest.raises(SystemExit) as stopped:
        main(
            [
                "cmc",
                "--model",
                "walkers",
                "--dataset",
                "viper",
                "--data",
                str(viper),
                "--device",
                "cpu",
            ]
            + ["--bits", "16", "--float", "--asymmetric", "--json", str(tmp_path / "o.json")]
        )
    out, err = capsys.readouterr()
    assert stopped.value.code == 0, err
    assert "10 draws of a half" in out
    found = json.loads((tmp_path / "o.json").read_text())
    assert found["protocol"] == "single-shot-10"
    assert found["draws"] == 10
    assert [r["queries"] for r in found["results"]] == [10] * 4
    assert all(
        0 <= r["rank1"] <= 1 and "rank1_std" in r and "map_std" in r for r in found["results"]
    )
    with pytest.raises(SystemExit) as stopped:
        main(
            [
                "cmc",
                "--model",
                "walkers",
                "--dataset",
                "viper",
                "--data",
                str(viper),
                "--device",
                "cpu",
            ]
            + ["--bits", "16", "--split", "3", "--json", str(tmp_path / "p.json")]
        )
    capsys.readouterr()
    one = json.loads((tmp_path / "p.json").read_text())
    assert one["protocol"] == "single-shot"
    assert "rank1_std" not in one["results"][0]
