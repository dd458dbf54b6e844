"""MLH: the bound, and the codes that attain it."""

import itertools

import numpy as np
import pytest

from reid_hash.baselines import MLH
from reid_hash.baselines.mlh import _Pairs, hinge_losses, loss_adjusted_codes
from reid_hash.baselines.similarity import Similarity
from reid_hash.errors import ConfigError


@pytest.mark.parametrize("similar", [0, 1])
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_loss_adjusted_codes_are_the_best_of_all_codes(similar, scale):
    random = np.random.default_rng(0)
    bits = 4
    u, v = random.normal(size=(2, 20, bits)).astype(np.float32)
    losses = scale * hinge_losses(bits, 1.7, 0.5).astype(np.float32)[similar]
    g, h, value = loss_adjusted_codes(u, v, np.tile(losses, (20, 1)))
    everything = list(itertools.product([0, 1], repeat=bits))
    for pair in range(20):

        def score(a, b, pair=pair):
            distance = int(np.not_equal(a, b).sum())
            return losses[distance] + np.dot(a, u[pair]) + np.dot(b, v[pair])

        best = max(score(a, b) for a in everything for b in everything)
        assert value[pair] == pytest.approx(best, rel=1e-5)
        assert score(g[pair], h[pair]) == pytest.approx(best, rel=1e-5)
        # the bound is one: it is not below the loss of the actual codes
        actual = losses[int(((u[pair] > 0) != (v[pair] > 0)).sum())]
        bound = best - np.maximum(u[pair], 0).sum() - np.maximum(v[pair], 0).sum()
        assert bound >= actual - 1e-5


def test_hinge_losses_are_the_papers():
    near, far = hinge_losses(8, 3, 0.5)
    for distance in range(9):
        assert far[distance] == max(distance - 3 + 1, 0)
        assert near[distance] == 0.5 * max(3 - distance + 1, 0)


def test_the_bound_falls():
    random = np.random.default_rng(0)
    labels = np.arange(300) % 3
    features = np.eye(3)[labels] + 0.4 * random.normal(size=(300, 3))
    features = np.hstack([features, random.normal(size=(300, 5))]).astype(np.float32)
    function = MLH(12, steps=1000).fit(features, labels)
    assert len(function.history) == 100
    assert function.history[-10:].mean() < 0.75 * function.history[:10].mean()


def test_half_of_the_pairs_are_similar():
    labels = np.array([[True, False], [True, True], [False, True], [False, False]] * 50)
    similarity = Similarity.of(labels)
    i, j = _Pairs(similarity).draw(4000, np.random.default_rng(0))
    similar = similarity.pairs(i, j)
    labelled = labels.any(1)
    first = np.arange(4000) < 2000
    assert similar[first & labelled[i]].all()
    assert not similar[~labelled[i]].any()
    assert similar[~first].mean() < 0.04
    partners = np.bincount(j[first & (i % 4 == 0)] % 4, minlength=4)
    assert partners[2] == partners[3] == 0
    assert partners[0] == pytest.approx(partners[1], rel=0.2)


def test_the_radius_is_a_share():
    with pytest.raises(ConfigError, match="between 0 and 1, not 3"):
        MLH(8, radius=3)
