"""Held-out training images of image benchmarks; identities are tested in tests/experiments."""

import numpy as np
import pytest

from reid_hash.data.dataset import Dataset, ImageSet, joined
from reid_hash.data.hold_out import hold_out
from reid_hash.errors import ConfigError


def image_set(labels, prefix="t"):
    labels = np.asarray(labels)
    names = [f"{prefix}{i}" for i in range(len(labels))]
    return ImageSet(
        lambda i: np.full((2, 2, 3), i, np.uint8), names, labels, np.zeros(len(labels), np.int64)
    )


def dataset(labels):
    train = image_set(labels)
    return Dataset("x", train, image_set(labels[:2], "q"), train, "full", classes=("a", "b"))


def test_images_of_each_class():
    data = dataset(np.repeat([0, 1, 2], [40, 30, 20]))
    held = hold_out(data, 12)
    assert np.bincount(held.query.labels).tolist() == [4, 4, 4]
    assert held.train is held.gallery
    assert len(held.train) == 78
    assert {*held.train.names, *held.query.names} == set(data.train.names)
    assert not set(held.train.names) & set(held.query.names)
    assert held.protocol == "full on training images"
    assert held.classes == data.classes
    assert held.notes == (
        "12 of 90 training images held out (seed 0) and evaluated in place of the test set; the "
        "other 78 are also the database",
    )
    for i in (0, 11):
        assert held.query.read(i)[0, 0, 0] == int(held.query.names[i][1:])


def test_a_number_that_classes_do_not_divide():
    data = dataset(np.repeat([0, 1, 2], [40, 30, 20]))
    assert sorted(np.bincount(hold_out(data, 10).query.labels)) == [3, 3, 4]


def test_small_classes_keep_two_images():
    data = dataset(np.repeat([0, 1, 2], [30, 4, 1]))
    held = hold_out(data, 30)
    assert np.bincount(held.train.labels).tolist() == [2, 2, 1]
    with pytest.raises(ConfigError, match="data.hold_out=31 leaves too few of 35.*choose 1 to 30"):
        hold_out(data, 31)


def test_the_seed_alone_decides():
    data = dataset(np.arange(100) % 5)
    assert hold_out(data, 20, 1).query.names == hold_out(data, 20, 1).query.names
    assert hold_out(data, 20, 1).query.names != hold_out(data, 20, 2).query.names


def test_images_with_several_labels():
    labels = np.random.default_rng(0).random((50, 4)) < 0.4
    held = hold_out(dataset(labels), 10)
    assert held.query.labels.shape == (10, 4)
    assert held.gallery.labels.shape == (40, 4)
    for images in (held.query, held.gallery):
        rows = [int(name[1:]) for name in images.names]
        np.testing.assert_array_equal(images.labels, labels[rows])
    with pytest.raises(ConfigError, match="leaves too few"):
        hold_out(dataset(labels), 49)


def test_labels_of_image_sets():
    several = image_set(np.ones((5, 3), bool))
    assert several.subset(np.array([True, False, True, False, False])).labels.shape == (2, 3)
    for wrong in (np.ones((5, 3), np.int64), np.ones(5, bool), np.ones((5, 3, 2), bool)):
        with pytest.raises(ValueError, match="neither"):
            image_set(wrong)
    with pytest.raises(ValueError, match="differ in length"):
        ImageSet(several.read, several.names, several.labels[:4], several.cameras)


def test_joined():
    both = joined(image_set([0, 1], "a"), image_set([2, 3, 4], "b"))
    assert both.names == ["a0", "a1", "b0", "b1", "b2"]
    assert both.labels.tolist() == [0, 1, 2, 3, 4]
    assert [int(both.read(i)[0, 0, 0]) for i in range(5)] == [0, 1, 0, 1, 2]
    assert len(joined(image_set(np.zeros((2, 3), bool)), image_set(np.ones((1, 3), bool)))) == 3


def test_there_are_no_last_images_of_classes():
    with pytest.raises(ConfigError, match="is for identities"):
        hold_out(dataset(np.repeat([0, 1], 20)), 4, which="last")
