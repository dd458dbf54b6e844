"""Drawn pictures with several labels, read as NUS-WIDE is, and figure 3 drawn from them."""

import numpy as np
import pytest

from reid_hash.data import load_dataset
from reid_hash.data.shapes import CONCEPTS, PARTS, SIDE, draw_picture, write_shapes
from reid_hash.errors import ReidHashError

FEW = {"train": 12, "test": 5, "database": 20}


def test_a_picture_follows_from_its_number():
    first, labels = draw_picture(3, 7)
    again, same = draw_picture(3, 7)
    assert first.shape == (SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(labels, same)
    assert not np.array_equal(first, draw_picture(3, 8)[0])
    assert not np.array_equal(first, draw_picture(4, 7)[0])


def test_every_concept_is_common_and_most_pictures_have_several():
    labels = np.array([draw_picture(0, number)[1] for number in range(300)])
    assert (labels.mean(0) > 0.1).all()
    assert (labels[:, :6].any(1) & labels[:, 6:].any(1)).all()  # a form and a colour
    assert labels.sum(1).max() <= 6
    assert (labels.sum(1) > 2).mean() > 0.4


def test_they_are_read_as_nuswide(tmp_path):
    lists = write_shapes(tmp_path, seed=1, parts=FEW)
    assert [path.name for path in lists] == ["train.txt", "test.txt", "database.txt"]
    data = load_dataset("nuswide", tmp_path)
    assert (len(data.train), len(data.query), len(data.gallery)) == (12, 5, 20)
    assert not set(data.query.names) & set(data.gallery.names)
    assert set(data.train.names) <= set(data.gallery.names)
    assert data.query.labels.shape == (5, len(CONCEPTS))
    picture, labels = draw_picture(1, 2)
    np.testing.assert_array_equal(data.query.read(2), picture)
    np.testing.assert_array_equal(data.query.labels[2], labels)


def test_nothing_is_written_over(tmp_path):
    write_shapes(tmp_path, parts=FEW)
    with pytest.raises(ReidHashError, match="is there already; name another folder"):
        write_shapes(tmp_path, parts=FEW)


def test_there_are_a_few_thousand():
    assert PARTS == {"train": 2000, "test": 500, "database": 4000}
