import numpy as np
import pytest

from reid_hash.data.labels import check_same_kind, is_multi_label, relevance, shared_labels
from reid_hash.errors import ReidHashError


@pytest.mark.parametrize(("queries", "gallery"), [(0, 0), (0, 3), (3, 0), (1, 1), (7, 11)])
def test_relevance_equals_loops(queries, gallery):
    rng = np.random.default_rng(0)
    one, other = rng.integers(-2, 3, queries), rng.integers(-2, 3, gallery)
    assert relevance(one, other).tolist() == [[a == b for b in other] for a in one]
    assert shared_labels(one, other).tolist() == [[int(a == b) for b in other] for a in one]
    one, other = rng.random((queries, 5)) < 0.4, rng.random((gallery, 5)) < 0.4
    counts = [[sum(x and y for x, y in zip(a, b, strict=True)) for b in other] for a in one]
    assert shared_labels(one, other).tolist() == counts
    assert relevance(one, other).tolist() == [[n > 0 for n in row] for row in counts]
    assert relevance(one, other).shape == (queries, gallery)
    assert shared_labels(one, other).dtype == np.int64


def test_an_image_without_a_label_matches_nothing():
    nothing = np.zeros((1, 4), bool)
    assert not relevance(nothing, nothing).any()
    assert not relevance(np.zeros((1, 0), bool), np.zeros((2, 0), bool)).any()


def test_kinds():
    assert not is_multi_label([])
    assert not is_multi_label(np.arange(3, dtype=np.uint8))
    assert is_multi_label(np.zeros((0, 2), bool))
    for neither in ([0.5], [True], ["cat"], [[0, 1]], np.zeros((1, 1, 1), bool)):
        with pytest.raises(ReidHashError, match="labels are"):
            is_multi_label(neither)
    with pytest.raises(ReidHashError, match="both"):
        check_same_kind([1], [[True]])
    with pytest.raises(ReidHashError, match="2 classes"):
        check_same_kind(np.zeros((1, 2), bool), np.zeros((1, 3), bool))
