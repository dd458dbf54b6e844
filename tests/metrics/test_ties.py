import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_hash.errors import ConfigError, MetricError, ReidHashError
from reid_hash.metrics import (
    TieGroups,
    rerank,
    single_shot,
    tie_groups,
    tpir_at_fpir,
    valid_mask,
)
from tests.metrics.textbook import FIELDS, assert_same


def by_loops(distances, relevant, valid):
    """The definition of each field, counted."""
    columns = {name: [] for name in FIELDS}
    for q, (row, hits, kept) in enumerate(zip(distances, relevant & valid, valid, strict=True)):
        columns["n_relevant"].append(hits.sum())
        columns["n_valid"].append(kept.sum())
        for level in np.unique(row[hits]):
            columns["query"].append(q)
            columns["before"].append((row[kept] < level).sum())
            columns["relevant_before"].append((row[hits] < level).sum())
            columns["size"].append((row[kept] == level).sum())
            columns["relevant"].append((row[hits] == level).sum())
    return TieGroups(**{name: np.array(values, np.int64) for name, values in columns.items()})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(0, 12), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_groups_are_counted_right(queries, gallery, levels, seed):
    rng = np.random.default_rng(seed)
    distances = rng.integers(-levels, levels, (queries, gallery)) / 4
    relevant, valid = rng.random((2, queries, gallery)) < 0.5
    wanted = by_loops(distances, relevant, valid)
    assert_same(tie_groups(distances, relevant, valid), wanted)
    assert_same(tie_groups(distances, relevant, valid, block_bytes=1), wanted)
    assert_same(tie_groups(distances.astype(np.float32), relevant, valid), wanted)


def test_integers_and_negative_zero():
    groups = tie_groups(np.array([[1, 0, 1]], np.uint8), np.array([[True, False, False]]))
    assert groups.size.tolist() == [2]
    groups = tie_groups([[-0.0, 0.0]], np.array([[True, False]]))
    assert groups.size.tolist() == [2]


def test_order_of_queries_can_be_changed():
    rng = np.random.default_rng(0)
    distances, relevant = rng.integers(0, 3, (4, 6)), rng.random((4, 6)) < 0.4
    order = np.array([2, 0, 3, 1])
    groups = tie_groups(distances, relevant).take(order)
    assert_same(groups, tie_groups(distances[order], relevant[order]))


def test_bad_input_is_told():
    match = np.array([[True, False]])
    with pytest.raises(ReidHashError, match="NaN"):
        tie_groups([[np.nan, 0.0]], match)
    with pytest.raises(ReidHashError, match="same shape"):
        tie_groups([[0.0]], match)
    with pytest.raises(ReidHashError, match="valid"):
        tie_groups([[0.0, 1.0]], match, match.T)


def test_camera_rules():
    cameras = ([0, 1], [0, 1, 0])
    labels = ([5, 6], [5, 5, 6])
    assert valid_mask("none", *labels, *cameras).all()
    assert valid_mask("market", *labels, *cameras).tolist() == [[False, True, True], [True] * 3]
    assert valid_mask("cuhk03", *labels, *cameras).tolist() == [
        [False, True, False],
        [True, False, True],
    ]
    with pytest.raises(ConfigError, match="'veri'"):
        valid_mask("veri", *labels, *cameras)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_distances_that_are_not_finite_are_refused(value):
    distances = [[0.0, 1.0], [value, 1.0]]
    relevant = np.eye(2, dtype=bool)
    with pytest.raises(MetricError, match="finite"):
        tie_groups(distances, relevant)
    with pytest.raises(MetricError, match="finite"):
        single_shot(distances, [0, 1], [0, 1], [0, 0], [1, 1], draws=2)
    with pytest.raises(MetricError, match="finite"):
        tpir_at_fpir(distances, [0, 1], [0, 1])
    with pytest.raises(MetricError, match="finite"):
        rerank(distances, distances, distances)
