"""MNIST from invented files in the published format, its download, and both protocols.

Where files are downloaded, the checksums that torchvision knows are replaced by those of the
invented files, and its addresses by ones on this machine; all else is torchvision's own code.
"""

import gzip
import hashlib
import tarfile

import numpy as np
import pytest
from torchvision import datasets

from reid_hash.config.schema import DataConfig
from reid_hash.data import load_dataset
from reid_hash.data.images import decode
from reid_hash.errors import DataError

pytestmark = pytest.mark.usefixtures("no_network")


def load(name, root, **options):
    return load_dataset(DataConfig(dataset=name, **options), root)


@pytest.mark.parametrize("below", ["", "mnist"])
def test_mnist_from_the_published_files(tmp_path, below, mnist_files, write):
    files, arrays = mnist_files()
    write(tmp_path / below / "MNIST" / "raw", files)
    data = load("mnist", tmp_path)
    assert (data.name, data.protocol, data.camera_rule) == ("mnist", "full", "none")
    assert (len(data.train), len(data.query)) == (700, 60)
    assert data.gallery is data.train
    assert data.classes == tuple("0123456789")
    assert data.query.labels.tolist() == arrays["t10k"][1].tolist()
    assert data.query.names[3] == "test/00003"
    image = data.query.read(3)
    assert (image.shape, image.dtype) == ((28, 28, 3), np.uint8)
    np.testing.assert_array_equal(image[..., 1], arrays["t10k"][0][3])
    assert data.notes == (
        "60 queries, 700 training images that are also the database",
        "not the published data set, but 10 of 10 classes, 700 of 60,000 training images, "
        "60 of 10,000 test images",
    )
    pixels = decode(data.train, 28, 28)
    np.testing.assert_array_equal(pixels.images[..., 0], arrays["train"][0])


def test_5k_is_balanced_and_apart(tmp_path, mnist_files, write):
    files, _ = mnist_files(train=6000, test=400)
    write(tmp_path / "MNIST" / "raw", files)
    data = load("mnist", tmp_path, protocol="5k")
    assert np.bincount(data.query.labels).tolist() == [100] * 10
    assert np.bincount(data.train.labels).tolist() == [500] * 10
    assert len(data.gallery) == 400
    names = [*data.query.names, *data.train.names, *data.gallery.names]
    assert len(set(names)) == 6400
    assert any(n.startswith("train/") for n in data.query.names)
    assert any(n.startswith("test/") for n in data.train.names)
    assert data.notes[0] == (
        "1,000 queries (100 a class), 5,000 training images (500 a class), a database of 400 "
        "others, drawn from 6,400 images (draw 0)"
    )
    # the images come with their labels: an image's place in its part tells its label here
    for images in (data.query, data.train, data.gallery):
        assert [int(n[-1]) for n in images.names] == images.labels.tolist()


def test_5k_depends_on_the_split_alone(tmp_path, mnist_files, write):
    files, _ = mnist_files(train=6100, test=100)
    write(tmp_path / "MNIST" / "raw", files)

    def drawn(split, seed):
        config = DataConfig(dataset="mnist", protocol="5k", split=split)
        return tuple(load_dataset(config, tmp_path, seed).query.names)

    assert drawn(0, 0) == drawn(0, 7)
    assert drawn(0, 0) != drawn(1, 0)


def test_5k_on_too_few_images(tmp_path, mnist_files, write):
    files, _ = mnist_files()
    write(tmp_path / "MNIST" / "raw", files)
    with pytest.raises(DataError, match="needs 601 images of each class.*0 has 76, 1 has 76"):
        load("mnist", tmp_path, protocol="5k")


def test_mnist_half_extracted(tmp_path, mnist_files, write):
    files, _ = mnist_files()
    folder = tmp_path / "MNIST" / "raw"
    write(folder, {k: v for k, v in files.items() if "labels" not in k})
    with pytest.raises(DataError, match=r"raw lacks 2 files of 4 \(train-labels.*extract it again"):
        load("mnist", tmp_path)
    (folder / "train-labels-idx1-ubyte.gz").touch()
    with pytest.raises(DataError, match=r"unpack train-labels-idx1-ubyte\.gz and the others"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("file", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("damage", [lambda b: b[:1000][:-7], lambda b: b"", lambda b: b"<html>"])
def test_mnist_damaged(tmp_path, file, damage, mnist_files, write):
    files, _ = mnist_files()
    write(tmp_path / "MNIST" / "raw", {**files, file: damage(files[file])})
    with pytest.raises(DataError, match="raw is damaged or half extracted"):
        load("mnist", tmp_path)


def test_mnist_files_that_do_not_fit(tmp_path, mnist_files, write, idx):
    files, _ = mnist_files()
    fewer, _ = mnist_files(test=59)
    folder = tmp_path / "MNIST" / "raw"
    labels = "t10k-labels-idx1-ubyte"
    write(folder, {**files, labels: fewer[labels]})
    with pytest.raises(DataError, match="60 images have 59 labels; extract it again"):
        load("mnist", tmp_path)
    write(folder, {labels: idx(np.full(60, 25, np.uint8))})
    with pytest.raises(DataError, match="labels of no class of MNIST"):
        load("mnist", tmp_path)


def test_mnist_is_downloaded(tmp_path, serve, monkeypatch, capsys, mnist_files, write):
    folder, address = serve
    files, arrays = mnist_files()
    packed = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    write(folder, packed)
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", address])
    sums = [(name, hashlib.md5(packed[name]).hexdigest()) for name, _ in datasets.MNIST.resources]
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    root = tmp_path / "data"
    data = load("mnist", root)
    np.testing.assert_array_equal(data.query.read(5)[..., 2], arrays["t10k"][0][5])
    assert [p.name for p in root.iterdir()] == ["MNIST"]
    assert capsys.readouterr().out == ""
    (folder / "train-images-idx3-ubyte.gz").unlink()  # and not downloaded again
    assert len(load("mnist", root).train) == 700


def test_a_download_with_the_wrong_checksum_is_not_kept(
    tmp_path, serve, monkeypatch, mnist_files, write
):
    folder, address = serve
    files, _ = mnist_files(20, 10)
    write(folder, {f"{name}.gz": gzip.compress(content) for name, content in files.items()})
    monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
    root = tmp_path / "data"
    with pytest.raises(DataError, match="cannot be downloaded"):
        load("mnist", root)
    assert not root.exists()


def test_real_mnist(tmp_path, shared_file):
    with tarfile.open(shared_file("mnist.tar.gz")) as tar:
        tar.extractall(tmp_path, filter="data")
    data = load("mnist", tmp_path)
    assert data.notes == ("10,000 queries, 60,000 training images that are also the database",)
    assert np.bincount(data.query.labels)[:3].tolist() == [980, 1135, 1032]
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert 30 < decode(data.query, 28, 28).images.mean() < 36
    drawn = load("mnist", tmp_path, protocol="5k")
    assert (len(drawn.query), len(drawn.train), len(drawn.gallery)) == (1000, 5000, 64_000)
