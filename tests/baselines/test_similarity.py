import numpy as np
import pytest

from reid_hash.baselines.similarity import Similarity
from reid_hash.data.labels import relevance


def some_labels(kind, seed=0):
    random = np.random.default_rng(seed)
    if kind == "single":
        return random.integers(0, 5, 40) * 3 - 4
    return random.random((40, 6)) < 0.25  # some have no label


@pytest.mark.parametrize("kind", ["single", "several"])
def test_the_grouped_matrix_is_the_written_one(kind):
    labels = some_labels(kind)
    matrix = relevance(labels, labels)
    similarity = Similarity.of(labels)
    assert len(similarity) == 40
    assert similarity.groups == len(np.unique(labels, axis=0))
    i, j = np.indices((40, 40)).reshape(2, -1)
    np.testing.assert_array_equal(similarity.pairs(i, j).reshape(40, 40), matrix)
    random = np.random.default_rng(1)
    vector, table = random.normal(size=40), random.normal(size=(40, 3))
    np.testing.assert_allclose(similarity.times(vector), matrix @ vector)
    np.testing.assert_allclose(similarity.quadratic(table), table.T @ matrix @ table)
    factors, scale = similarity.factors()
    np.testing.assert_allclose((factors * scale) @ factors.T, matrix, atol=1e-12)
    if kind == "several":
        assert not matrix.diagonal().all()
        assert factors.shape[1] <= similarity.groups


def test_images_without_any_label_are_similar_to_none():
    similarity = Similarity.of(np.zeros((3, 2), bool))
    assert similarity.similar.tolist() == [[False]]
    assert similarity.factors()[0].shape == (3, 0)
    np.testing.assert_array_equal(similarity.times(np.ones(3)), np.zeros(3))
