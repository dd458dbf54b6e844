"""KSH: the greedy objective, its relaxation, and the gradient."""

import numpy as np
import pytest
from scipy.linalg import eigh

from reid_hash.baselines import KSH
from reid_hash.baselines.ksh import smooth_maximum, squared_distances
from reid_hash.data.labels import relevance


def problem(kind, samples=150):
    random = np.random.default_rng(0)
    labels = np.arange(samples) % 5
    features = np.eye(5)[labels] + 0.35 * random.normal(size=(samples, 5))
    if kind == "several":
        labels = np.eye(5, dtype=bool)[labels] | np.eye(5, dtype=bool)[(labels + 1) % 5]
    return features.astype(np.float32), labels


@pytest.mark.parametrize("kind", ["single", "several"])
def test_the_greedy_objective_falls_and_is_that_of_the_written_matrices(kind):
    features, labels = problem(kind)
    bits = 10
    function = KSH(bits, anchors=40).fit(features, labels)
    similarity = np.where(relevance(labels, labels), 1.0, -1.0)
    signs = np.where(function.outputs(features) > 0, 1.0, -1.0)
    n = len(features)
    residue = bits * similarity
    expected = [np.square(residue).sum() / n**2]
    for k in range(bits):
        b = signs[:, k]
        gain = b @ residue @ b / n**2
        assert function.gains[k].max() == pytest.approx(gain)
        residue = residue - np.outer(b, b)
        expected.append(np.square(residue).sum() / n**2)
    np.testing.assert_allclose(function.history, expected)
    assert (np.diff(function.history) < 0).all()
    total = np.square(signs @ signs.T - bits * similarity).sum() / n**2
    assert function.history[-1] == pytest.approx(total)
    # the smoothed solution is where the spectral one began
    assert (function.gains[:, 1] >= function.gains[:, 0]).mean() > 0.7


def test_the_first_spectral_direction_solves_the_generalised_problem():
    features, labels = problem("single")
    anchors = features[::5]
    distances = squared_distances(features, anchors)
    np.testing.assert_allclose(distances, np.square(features[:, None] - anchors).sum(2), atol=1e-5)
    function = KSH(1, anchors=len(features), iterations=0).fit(features, labels)
    kernel = np.exp(-function._scale * squared_distances(features, function._anchors))
    kernel -= kernel.mean(0)
    similarity = np.where(relevance(labels, labels), 1.0, -1.0)
    # some directions of a kernel to all samples vanish: they are left out on both sides
    values, vectors = np.linalg.eigh(kernel.T @ kernel)
    basis = vectors[:, values > 1e-9 * values[-1]]
    left = basis.T @ kernel.T @ similarity @ kernel @ basis
    right = basis.T @ kernel.T @ kernel @ basis
    best = eigh(left, right, eigvals_only=True)[-1]
    found = function._directions[:, 0]
    along = kernel @ found
    assert along @ along == pytest.approx(len(features))
    assert along @ similarity @ along / (along @ along) == pytest.approx(best, rel=1e-5)


def test_smoothing_reaches_a_stationary_point_not_below_its_start():
    random = np.random.default_rng(1)
    kernel = random.normal(size=(60, 6))
    similarity = np.where(np.equal.outer(np.arange(60) % 3, np.arange(60) % 3), 1.0, -1.0)

    def value(a):
        b = 2 / (1 + np.exp(-kernel @ a)) - 1
        return b @ similarity @ b

    def slope(a):
        b = 2 / (1 + np.exp(-kernel @ a)) - 1
        return kernel.T @ ((similarity @ b) * (1 - b * b))

    steps = 1e-5 * np.eye(6)
    numeric = [(value(kernel[0] + s) - value(kernel[0] - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(slope(kernel[0]), numeric, rtol=1e-4, atol=1e-6)
    for seed in range(4):
        start = 0.3 * np.random.default_rng(seed).normal(size=6)
        found = smooth_maximum(kernel, lambda v: similarity @ v, start, 2000)
        assert value(found) > value(start)
        assert np.linalg.norm(slope(found)) < 0.05 * np.linalg.norm(slope(start))
        # plain gradient ascent with small steps does not find more nearby
        plain = start.copy()
        for _ in range(2000):
            plain += 5e-4 * slope(plain)
        assert value(found) > 0.98 * value(plain)
    assert np.array_equal(smooth_maximum(kernel, lambda v: similarity @ v, start, 0), start)
