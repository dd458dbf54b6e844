"""The HDF5 reader against what a writer of the same layout put in."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from reid_hash.data.cuhk03 import cuhk03
from reid_hash.data.cuhk03_mat import CuhkMat, identity
from reid_hash.errors import DataError

PERSONS = (6, 10, 2, 3, 2)  # the second is square: ten persons of ten crops
TESTSETS = [[(1, 2), (2, 9)], [(5, 1), (1, 6)], [(2, 10), (3, 2)]]


@pytest.fixture(scope="module")
def boxes(make_crops):
    return {"labeled": make_crops(PERSONS, 0), "detected": make_crops(PERSONS, 1)}


@pytest.fixture(scope="module")
def mat(boxes, write_mat, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cuhk03") / "cuhk-03.mat"
    write_mat(path, boxes, TESTSETS)
    return path


def expected(crops):
    """(name, identity, camera, image) in a plain loop."""
    for pair, cells in crops.items():
        for i, j in np.ndindex(cells.shape):
            if cells[i, j] is not None:
                view = 1 if j < 5 else 2
                name = f"{pair}_{i + 1:03d}_{view}_{j + 1:02d}"
                yield name, pair * 10_000 + i + 1, view, cells[i, j]


@pytest.mark.parametrize("kind", ["labeled", "detected"])
def test_reads_what_was_written(mat, boxes, kind):
    images = CuhkMat(mat).images(kind)
    rows = list(expected(boxes[kind]))
    assert len(images) == len(rows) == 7 * sum(PERSONS)
    assert images.names == [f"cuhk-03.mat/{kind}/{name}" for name, *_ in rows]
    assert images.labels.tolist() == [label for _, label, *_ in rows]
    assert images.cameras.tolist() == [camera for _, _, camera, _ in rows]
    for i, (*_, image) in enumerate(rows):
        np.testing.assert_array_equal(images.read(i), image)


def test_cells_and_test_sets_the_other_way_round(boxes, write_mat, tmp_path):
    crops = {"labeled": {p: c for p, c in boxes["labeled"].items() if p != 2}}  # not the square
    testset = [(1, 2), (3, 1), (2, 1)]
    write_mat(tmp_path / "cuhk-03.mat", crops, [testset], upright=True)
    mat = CuhkMat(tmp_path / "cuhk-03.mat")
    images = mat.images("labeled")
    assert len(images) == 7 * (sum(PERSONS) - 10)
    np.testing.assert_array_equal(images.read(8), boxes["labeled"][1][1, 1])
    assert mat.test_identities(0) == {10_002, 30_001, 20_001}


def test_image_stored_upright_is_read_as_it_is(mat, boxes, tmp_path):
    path = tmp_path / "cuhk-03.mat"
    path.write_bytes(mat.read_bytes())
    image = boxes["labeled"][1][0, 0]
    with h5py.File(path, "r+") as file:
        cell = file[file["labeled"][0, 0]]
        cell[0, 0] = file["#refs#"].create_dataset("upright", data=image).ref
    np.testing.assert_array_equal(CuhkMat(path).images("labeled").read(0), image)


def test_threads_read_at_once(mat, boxes):
    images = CuhkMat(mat).images("labeled")
    rows = list(expected(boxes["labeled"]))
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(images)), 6)).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(images.read, order))
    assert all(np.array_equal(got, rows[i][3]) for i, got in zip(order, read, strict=True))


@pytest.mark.parametrize("split", range(3))
def test_single_shot_takes_the_published_split(mat, split):
    dataset = cuhk03(mat.parent, "single-shot", split=split)
    tested = {identity(pair, number) for pair, number in TESTSETS[split]}
    assert set(dataset.query.labels.tolist()) == tested
    assert set(dataset.gallery.labels.tolist()) == tested
    assert len(set(dataset.train.labels.tolist())) == sum(PERSONS) - 2
    assert not tested & set(dataset.train.labels.tolist())
    assert dataset.notes[0] == f"published split {split} (of 0 to 19), labeled boxes"


def test_the_file_wins_over_extracted_images(mat, tmp_path, touch):
    (tmp_path / "cuhk-03.mat").write_bytes(mat.read_bytes())
    touch(tmp_path / "images_labeled", "1_001_1_01.jpg", "1_001_2_06.jpg")
    (tmp_path / "splits_pair1.json").write_text('{"train": [], "test": [1]}')
    data = cuhk03(tmp_path)
    assert set(data.query.labels.tolist()) == {10_002, 20_009}
    assert data.query.names[0] == "cuhk-03.mat/labeled/1_002_1_01"


def test_split_out_of_range(mat):
    with pytest.raises(DataError, match=r"holds 3 splits; data\.split is 0 to 2, not 3"):
        cuhk03(mat.parent, split=3)


def test_cut_off(mat, tmp_path):
    (tmp_path / "cuhk-03.mat").write_bytes(mat.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"cuhk-03\.mat is cut off or damaged .*download it again"):
        cuhk03(tmp_path)


def test_older_matlab_format(tmp_path):
    scipy.io.savemat(tmp_path / "cuhk-03.mat", {"labeled": np.zeros((1, 5))})
    with pytest.raises(DataError, match=r"MATLAB's older format.*v7\.3"):
        cuhk03(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>"])
def test_no_hdf5_at_all(tmp_path, content):
    (tmp_path / "cuhk-03.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"is no cuhk-03\.mat.*download it again"):
        cuhk03(tmp_path)


@pytest.mark.parametrize("name", ["testsets", "labeled"])
def test_a_part_is_missing(mat, tmp_path, name):
    path = tmp_path / "cuhk-03.mat"
    path.write_bytes(mat.read_bytes())
    with h5py.File(path, "r+") as file:
        del file[name]
    with pytest.raises(DataError, match=f"/{name} cannot be read"):
        cuhk03(tmp_path)


def test_cells_that_are_no_camera_pair(tmp_path):
    with h5py.File(tmp_path / "cuhk-03.mat", "w") as file:
        wrong = file.create_dataset("x", data=np.full((7, 3), file.ref), dtype=h5py.ref_dtype)
        file.create_dataset("labeled", data=np.array([[wrong.ref]]), dtype=h5py.ref_dtype)
    with pytest.raises(DataError, match=r"/labeled cannot be read .*\(7, 3\)"):
        cuhk03(tmp_path)


def test_a_damaged_image_names_itself(mat, tmp_path):
    path = tmp_path / "cuhk-03.mat"
    path.write_bytes(mat.read_bytes())
    with h5py.File(path, "r+") as file:
        cell = file[file["labeled"][0, 0]]
        cell[0, 0] = file["#refs#"].create_dataset("bad", data=np.zeros((3, 4, 5))).ref
    images = CuhkMat(path).images("labeled")
    with pytest.raises(DataError, match=r"cuhk-03\.mat: 1_001_1_01: float64 .*an image is due"):
        images.read(0)
    assert images.read(1).shape[2] == 3
