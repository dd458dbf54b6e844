"""BRE: the objective, and exact minimisation along one weight."""

import numpy as np
import pytest

from reid_hash.baselines import BRE
from reid_hash.baselines.bre import minimise_along, reconstruction_error
from reid_hash.baselines.similarity import Similarity
from reid_hash.data.labels import relevance
from tests.baselines.test_similarity import some_labels


def naive_error(signs, similar):
    """The paper's objective, a loop over all pairs."""
    n, bits = signs.shape
    total = 0.0
    for i in range(n):
        for j in range(n):
            share = np.square((signs[i] - signs[j]) / 2).sum() / bits
            total += ((0.0 if similar[i, j] else 1.0) - share) ** 2
    return total / n**2


def written_error(signs, similar):
    """The same from the matrix of all pairs."""
    share = (signs[:, None] != signs).mean(2)
    return np.square(~similar - share).mean()


@pytest.mark.parametrize("kind", ["single", "several"])
def test_the_objective_is_the_loop_over_pairs(kind):
    labels = some_labels(kind)
    signs = np.random.default_rng(2).choice([-1.0, 1.0], (40, 7))
    expected = naive_error(signs, relevance(labels, labels))
    assert written_error(signs, relevance(labels, labels)) == pytest.approx(expected)
    assert reconstruction_error(signs, Similarity.of(labels)) == pytest.approx(expected)


def brute_force(objective, rest, column):
    """The smallest objective over w, which changes at −rest / column alone."""
    thresholds = np.unique(-rest[column != 0] / column[column != 0])
    middles = [thresholds[0] - 1, *(thresholds[:-1] + thresholds[1:]) / 2, thresholds[-1] + 1]
    return min(objective(w) for w in middles)


@pytest.mark.parametrize("kind", ["single", "several"])
@pytest.mark.parametrize("seed", range(5))
def test_one_weight_is_minimised_exactly(kind, seed):
    labels = some_labels(kind, seed)
    similarity, similar = Similarity.of(labels), relevance(labels, labels)
    random = np.random.default_rng(seed)
    n, bits = 40, 4
    others = random.choice([-1.0, 1.0], (n, bits - 1))
    rest, column = random.normal(size=n), random.normal(size=n)
    column[:5] = 0  # these samples never change
    rest[10:14], column[10:14] = rest[9], column[9]  # these change together

    def objective(w):
        signs = np.where(rest + w * column > 0, 1.0, -1.0)
        return written_error(np.column_stack([others, signs]), similar)

    of_labels, scale = similarity.factors()
    factors = np.hstack([np.ones((n, 1)), of_labels, others])
    scales = np.concatenate([[-bits], 2 * bits * scale, -np.ones(bits - 1)])
    for start in (-3.0, 0.0, 0.7):
        best = minimise_along(rest, column, start, factors, scales)
        assert objective(best) == pytest.approx(brute_force(objective, rest, column))
        assert objective(best) <= objective(start) + 1e-12
        # nothing is better than the best: it stays where it is
        assert minimise_along(rest, column, best, factors, scales) == best


def test_a_kernel_of_zeros_moves_nothing():
    ones = np.ones((6, 1))
    assert minimise_along(np.arange(6.0) - 2, np.zeros(6), 0.3, ones, np.ones(1)) == 0.3


@pytest.mark.parametrize("kind", ["single", "several"])
def test_the_objective_never_rises(kind):
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 200)
    features = np.eye(4)[labels] + 0.6 * random.normal(size=(200, 4))
    features = np.hstack([features, random.normal(size=(200, 8))]).astype(np.float32)
    if kind == "several":
        labels = np.eye(4, dtype=bool)[labels] | np.eye(4, dtype=bool)[(labels + 1) % 4]
    function = BRE(8, anchors=15, sweeps=6, tolerance=0).fit(features, labels)
    assert len(function.history) == 7
    assert (np.diff(function.history) <= 1e-12).all()
    assert function.history[-1] < 0.95 * function.history[0]
    # the codes are those whose objective this is
    signs = np.where(function.outputs(features) > 0, 1.0, -1.0)
    expected = written_error(signs, relevance(labels, labels))
    assert function.history[-1] == pytest.approx(expected, rel=1e-3)


def test_many_combinations_of_labels_take_fewer_samples(monkeypatch):
    random = np.random.default_rng(0)
    labels = random.random((200, 8)) < 0.3
    features = random.normal(size=(200, 5)).astype(np.float32)
    monkeypatch.setattr("reid_hash.baselines.bre._CELLS", 2000)
    seen = []
    real = BRE._descend

    def descend(self, kernel, weights, values, similarity, random):
        seen.append(len(similarity))
        return real(self, kernel, weights, values, similarity, random)

    monkeypatch.setattr(BRE, "_descend", descend)
    BRE(4, anchors=5, sweeps=1).fit(features, labels)
    assert 10 < seen[0] < 60
