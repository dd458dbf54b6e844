import importlib

import numpy as np
import pytest

from reid_hash.errors import ReidHashError
from reid_hash.metrics import rerank


def by_loops(query_query, query_gallery, gallery_gallery, k1=20, k2=6, lambda_=0.3):
    """The paper with sets and loops; equally distant neighbours by index."""
    upper, lower = [query_query, query_gallery], [query_gallery.T, gallery_gallery]
    distances = np.block([upper, lower]).astype(float)
    largest = distances.max(axis=1)
    distances = distances / np.where(largest > 0, largest, 1)[:, None]
    everyone = range(len(distances))
    ranking = [sorted(everyone, key=lambda j, i=i: (distances[i, j], j)) for i in everyone]

    def reciprocal(i, k):
        return {j for j in ranking[i][: k + 1] if i in ranking[j][: k + 1]}

    encoding = np.zeros(distances.shape)
    for i in everyone:
        near = reciprocal(i, k1)
        expanded = set(near)
        for j in near:
            brought = reciprocal(j, round(k1 / 2))
            if len(brought & near) > 2 / 3 * len(brought):
                expanded |= brought
        for j in expanded:
            encoding[i, j] = np.exp(-distances[i, j])
        if expanded:
            encoding[i] /= encoding[i].sum()
    encoding = np.array([encoding[ranking[i][:k2]].mean(axis=0) for i in everyone])
    result = np.zeros(query_gallery.shape)
    for q in range(len(query_gallery)):
        for g in range(query_gallery.shape[1]):
            a, b = encoding[q], encoding[len(query_gallery) + g]
            overlap, union = np.minimum(a, b).sum(), np.maximum(a, b).sum()
            jaccard = 1 - (overlap / union if union > 0 else 0)
            result[q, g] = (1 - lambda_) * jaccard
            result[q, g] += lambda_ * distances[q, len(query_gallery) + g]
    return result


def squared_distances(queries, gallery, rounded, seed):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(6, 5)) * 2
    points = centres[rng.integers(0, 6, queries + gallery)]
    points = points + rng.normal(size=points.shape)
    if rounded:
        points = (points > 0).astype(float)  # codes of 5 bits: many ties, many identical
    full = ((points[:, None] - points) ** 2).sum(axis=2)
    return full[:queries, :queries], full[:queries, queries:], full[queries:, queries:]


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize(
    ("k1", "k2", "lambda_"), [(20, 6, 0.3), (3, 1, 0.0), (5, 2, 1.0), (7, 3, 0.5), (100, 90, 0.3)]
)
def test_equals_plain_loops(k1, k2, lambda_, rounded):
    parts = squared_distances(9, 32, rounded, seed=k1)
    wanted = by_loops(*parts, k1, k2, lambda_)
    np.testing.assert_allclose(rerank(*parts, k1, k2, lambda_), wanted, atol=1e-12)


def test_several_blocks_of_rows(monkeypatch):
    # As text: the package's name `rerank` is the function, not the module.
    monkeypatch.setattr(importlib.import_module("reid_hash.metrics.rerank"), "_BLOCK_ROWS", 4)
    parts = squared_distances(6, 19, False, seed=1)
    np.testing.assert_allclose(rerank(*parts, 5, 3), by_loops(*parts, 5, 3), atol=1e-12)


@pytest.mark.parametrize(("queries", "gallery"), [(0, 3), (3, 0), (1, 1)])
def test_empty_and_single(queries, gallery):
    parts = squared_distances(queries, gallery, False, seed=0)
    result = rerank(*parts)
    assert result.shape == (queries, gallery)
    assert np.isfinite(result).all()


def test_all_identical_stays_finite():
    zeros = np.zeros((30, 30))
    assert np.isfinite(rerank(zeros, zeros, zeros, k1=3, k2=2)).all()


def test_bad_input_is_told():
    one, two = np.zeros((1, 1)), np.zeros((2, 2))
    with pytest.raises(ReidHashError, match="shapes"):
        rerank(one, two, two)
    with pytest.raises(ReidHashError, match="start at 1"):
        rerank(two, two, two, k1=0)
    with pytest.raises(ReidHashError, match="NaN"):
        rerank(two, two * np.nan, two)
