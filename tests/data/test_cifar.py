"""CIFAR-10 and CIFAR-20 from invented files in the published format, and benchmarks as folders.

The checksums that torchvision knows are replaced by those of the invented files, and its addresses
by ones on this machine; all else is torchvision's own code.
"""

import hashlib
import os
import pickle
import tarfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from torchvision import datasets

from reid_hash.config.schema import DataConfig
from reid_hash.data import cifar, load_dataset, mnist
from reid_hash.data.cifar import COARSE, coarse_labels
from reid_hash.data.images import decode
from reid_hash.errors import ConfigError, DataError

ANIMALS = ["bird", "cat", "deer", "dog", "frog", "horse"]
CIFAR10_CLASSES = ["airplane", "automobile", *ANIMALS, "ship", "truck"]
pytestmark = pytest.mark.usefixtures("no_network")


def load(name, root, **options):
    return load_dataset(DataConfig(dataset=name, **options), root)


def write_cifar(monkeypatch, write, root, kind, classes, train, test, key, names_key):
    """Write invented batches, and let torchvision know their checksums."""
    random = np.random.default_rng(0)
    folder = root / kind.base_folder
    files, arrays = {}, {}

    def batch(names, n):
        part = []
        for name in names:
            data = random.integers(0, 256, (n, 3072), np.uint8)
            labels = [int(i) for i in np.arange(n) % len(classes)]
            files[name] = pickle.dumps({"data": data, key: labels})
            part += data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels
        return part

    arrays["train"] = batch([name for name, _ in kind.train_list], train)
    arrays["test"] = batch([name for name, _ in kind.test_list], test)
    files[kind.meta["filename"]] = pickle.dumps({names_key: list(classes)})
    write(folder, files)

    def known(name):
        return hashlib.md5(files[name]).hexdigest()

    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, [[n, known(n)] for n, _ in getattr(kind, part)])
    meta = kind.meta["filename"]
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": known(meta)})
    return arrays


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar20", "cifar100"])
def test_wrong_wishes(tmp_path, name, touch):
    with pytest.raises(ConfigError, match="full, 5k, unseen, unseen-all, not '10k'"):
        load(name, tmp_path, protocol="10k")
    for part in ("train", "test"):
        for c in "ab":
            touch(tmp_path / name / part / c, "1.png")
    with pytest.raises(DataError, match=r"one split: data\.split is 0, not 2"):
        load(name, tmp_path, split=2)


@pytest.mark.parametrize(
    ("name", "folder", "archive"),
    [
        ("mnist", "MNIST/raw", "mnist.tar.gz"),
        ("cifar10", "cifar-10-batches-py", "cifar10.zip"),
        ("cifar10", "cifar-10-batches-py", "cifar-10-python.tar.gz"),
        ("cifar20", "cifar-100-python", "cifar-100-python.tar.gz"),
    ],
)
def test_nothing_there_and_no_network(tmp_path, name, folder, archive, touch):
    with pytest.raises(DataError) as told:
        load(name, tmp_path)
    message = str(told.value)
    assert f"no {name} in {tmp_path}, and it cannot be downloaded (" in message
    assert f"into {tmp_path / folder}, or images into {tmp_path / name}/train/CLASS" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []  # nothing half downloaded is left
    with pytest.raises(DataError, match="cannot be downloaded"):
        load(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(DataError, match="there is no folder"):
        load(name, tmp_path / "slip" / "data")
    touch(tmp_path, archive)
    with pytest.raises(DataError, match=rf"no {name} in .*{archive} is still packed: unpack it"):
        load(name, tmp_path)


def test_another_data_set_s_archive_is_no_hint(tmp_path, touch):
    touch(tmp_path, "cifar-100-python.tar.gz")
    with pytest.raises(DataError, match="cannot be downloaded"):
        load("cifar10", tmp_path)


def test_a_folder_of_that_name_with_something_else(tmp_path, touch):
    touch(tmp_path / "cifar10" / "cat", "1.png")
    with pytest.raises(DataError, match="has neither cifar-10-batches-py/ nor train/ and test/"):
        load("cifar10", tmp_path)
    touch(tmp_path / "cifar10" / "train" / "cat", "1.png")
    with pytest.raises(DataError, match=r"train is there but .*test is not"):
        load("cifar10", tmp_path)


def test_cifar10_from_the_published_files(tmp_path, monkeypatch, write):
    arrays = write_cifar(
        monkeypatch,
        write,
        tmp_path,
        datasets.CIFAR10,
        CIFAR10_CLASSES,
        40,
        20,
        "labels",
        "label_names",
    )
    data = load("cifar10", tmp_path)
    assert (len(data.train), len(data.query)) == (200, 20)
    assert data.classes == tuple(CIFAR10_CLASSES)
    np.testing.assert_array_equal(data.query.read(7), arrays["test"][0][7])
    assert data.query.labels.tolist() == arrays["test"][1]
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    batch.write_bytes(batch.read_bytes() + b"x")
    with pytest.raises(DataError, match="cifar-10-batches-py is damaged or half extracted"):
        load("cifar10", tmp_path)
    batch.unlink()
    with pytest.raises(DataError, match=r"lacks 1 file of 7 \(data_batch_2\); extract it again"):
        load("cifar10", tmp_path)


def test_cifar10_is_downloaded(tmp_path, serve, monkeypatch, write):
    folder, address = serve
    kind = datasets.CIFAR10
    write_cifar(
        monkeypatch, write, tmp_path / "x", kind, CIFAR10_CLASSES, 10, 20, "labels", "label_names"
    )
    archive = folder / kind.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "x" / kind.base_folder, kind.base_folder)
    monkeypatch.setattr(kind, "url", address + kind.filename)
    monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    root = tmp_path / "data"
    assert len(load("cifar10", root).train) == 50
    assert [p.name for p in root.iterdir()] == ["cifar-10-batches-py"]


def test_cifar20_has_the_coarse_labels(tmp_path, monkeypatch, write):
    fine = sorted(" ".join(COARSE.values()).split())
    arrays = write_cifar(
        monkeypatch,
        write,
        tmp_path,
        datasets.CIFAR100,
        fine,
        200,
        100,
        "fine_labels",
        "fine_label_names",
    )
    data = load("cifar20", tmp_path)
    assert data.name == "cifar20"
    assert data.classes == tuple(COARSE)
    for i in (0, 17, 99):
        members = COARSE[data.classes[data.query.labels[i]]].split()
        assert fine[arrays["test"][1][i]] in members
    assert np.bincount(data.train.labels).tolist() == [10] * 20


def test_coarse_labels_are_the_published_ones():
    fine = sorted(" ".join(COARSE.values()).split())
    assert len(fine) == len(set(fine)) == 100
    assert list(COARSE) == sorted(COARSE)
    # as other implementations list them, by fine label
    assert coarse_labels(tuple(fine)).tolist() == [
        *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11),
        *(6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5),
        *(5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17),
        *(10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13),
        *(16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
    ]


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar20", "cifar100"])
@pytest.mark.parametrize("below", [True, False])
def test_class_folders(tmp_path, name, below, touch):
    root = tmp_path / name if below else tmp_path
    for part, n in (("train", 4), ("test", 2)):
        for c in "ab":
            touch(root / part / c, *(f"{i}.webp" for i in range(n)))
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    path = root / "test" / "b" / "1.webp"
    path.write_bytes(cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    data = load(name, tmp_path)
    assert (data.name, data.protocol, data.classes) == (name, "full", ("a", "b"))
    assert data.query.names == ["test/a/0.webp", "test/a/1.webp", "test/b/0.webp", "test/b/1.webp"]
    assert data.query.labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(data.query.read(3), image)
    assert data.notes[0] == "4 queries, 8 training images that are also the database"
    assert data.notes[1].startswith("not the published data set, but 2 of ")


def test_class_folders_with_too_many_classes(tmp_path, touch):
    for part in ("train", "test"):
        for i in range(21):
            touch(tmp_path / "cifar20" / part / f"c{i}", "1.png")
    with pytest.raises(DataError, match="cifar20 has 20 classes, the folder 21"):
        load("cifar20", tmp_path)


def test_5k_of_20_classes_has_as_many_images_in_all(tmp_path, touch):
    for part, n in (("train", 200), ("test", 101)):
        for i in range(20):
            touch(tmp_path / "cifar20" / part / f"c{i:02d}", *(f"{j}.png" for j in range(n)))
    data = load("cifar20", tmp_path, protocol="5k")
    assert set(Counter(data.query.labels.tolist()).values()) == {50}
    assert set(Counter(data.train.labels.tolist()).values()) == {250}
    assert len(data.gallery) == 20


def test_unseen_classes_are_searched_for_and_not_trained_on(tmp_path, touch):
    for part, n in (("train", 6), ("test", 2)):
        for i in range(10):
            touch(tmp_path / "cifar10" / part / f"c{i}", *(f"{j}.png" for j in range(n)))
    data = load("cifar10", tmp_path, protocol="unseen")
    trained, asked = set(data.train.labels.tolist()), set(data.query.labels.tolist())
    assert (len(trained), len(asked)) == (8, 2)
    assert not trained & asked
    assert set(data.gallery.labels.tolist()) == asked
    assert (len(data.train), len(data.query), len(data.gallery)) == (48, 4, 12)
    assert data.notes[0].startswith(
        "trained on 48 images of 8 classes; 4 queries of the 2 others in a database of 12 images "
    )

    whole = load("cifar10", tmp_path, protocol="unseen-all")
    assert whole.query.names == data.query.names
    assert len(whole.gallery) == 60
    others = [
        set(load("cifar10", tmp_path, protocol="unseen", split=i).query.labels.tolist())
        for i in range(1, 5)
    ]
    assert any(other != asked for other in others)


def test_unseen_needs_classes_for_both(tmp_path, touch):
    for part in ("train", "test"):
        for i in range(3):
            touch(tmp_path / "cifar10" / part / f"c{i}", "1.png")
    with pytest.raises(DataError, match="cifar10 has 3 classes here: the unseen protocol needs 6"):
        load("cifar10", tmp_path, protocol="unseen")


@pytest.mark.parametrize(
    ("kind", "published"),
    [
        (datasets.MNIST, mnist.FILES),
        (datasets.CIFAR10, cifar.CIFAR10_FILES),
        (datasets.CIFAR100, cifar.CIFAR100_FILES),
    ],
)
def test_the_files_are_those_torchvision_reads(kind, published):
    if kind is datasets.MNIST:
        expected = {name.removesuffix(".gz") for name, _ in kind.resources}
    else:
        lists = kind.train_list + kind.test_list
        expected = {name for name, _ in lists} | {kind.meta["filename"]}
        assert published.folder == kind.base_folder
    assert set(published.files) == expected


def test_real_cifar10_in_part(tmp_path, shared_zip):
    with shared_zip("cifar10.zip") as archive:
        chosen, taken = [], Counter()
        for name in archive.namelist():
            taken[Path(name).parent] += 1
            if name.endswith(".webp") and taken[Path(name).parent] <= 5:
                chosen.append(name)
        archive.extractall(tmp_path, chosen)
    data = load("cifar10", tmp_path)
    assert data.classes == tuple(CIFAR10_CLASSES)
    assert (len(data.train), len(data.query)) == (50, 50)
    pixels = decode(data.query, 32, 32)
    assert 100 < pixels.images.mean() < 140
    assert pixels.images.std((1, 2, 3)).min() > 5


def test_real_cifar10():
    root = os.environ.get("REID_HASH_DATA")
    if not root or not (Path(root) / "cifar10").is_dir():
        pytest.skip("$REID_HASH_DATA does not name a folder with cifar10/")
    data = load("cifar10", Path(root), protocol="5k")
    assert (len(data.query), len(data.train), len(data.gallery)) == (1000, 5000, 54_000)
    assert len(data.notes) == 1
    full = load("cifar10", Path(root))
    assert full.notes == ("10,000 queries, 50,000 training images that are also the database",)
