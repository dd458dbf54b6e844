import numpy as np
import pytest
import torch

from reid_hash.training.losses import (
    ranking_hinge,
    relative_distance,
    semantic_ranking_terms,
)
from tests.helpers import tiny_config

SINGLE = torch.tensor([0, 0, 1, 1, 1, 2])
SEVERAL = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]])


def naive_ranking(codes, labels, margin):
    """The definition of DSRH's hinge, a loop over all triplets."""
    count, bits = codes.shape
    r = [
        [int((a == b).item()) if a.ndim == 0 else int((a * b).sum()) for b in labels]
        for a in labels
    ]
    terms = []
    for q in range(count):
        gains = sorted((r[q][p] for p in range(count) if p != q), reverse=True)
        ideal = sum((2**gain - 1) / np.log2(1 + p) for p, gain in enumerate(gains, start=1))
        for i in range(count):
            for j in range(count):
                if q not in (i, j) and r[q][i] > r[q][j]:
                    d = [(bits - codes[q] @ codes[p]) / 2 for p in (i, j)]
                    weight = (2 ** r[q][i] - 2 ** r[q][j]) / ideal
                    terms.append(weight * torch.clamp(d[0] - d[1] + margin, min=0))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("labels", [SINGLE, SEVERAL])
@pytest.mark.parametrize("margin", [0.5, 2.0])
def test_the_ranking_hinge_has_value_and_gradient_of_the_loop(labels, margin):
    torch.manual_seed(0)
    start = torch.randn(6, 8, dtype=torch.float64).tanh()
    results = []
    for function in (ranking_hinge, naive_ranking):
        codes = start.clone().requires_grad_()
        loss = function(codes, labels, margin)
        loss.backward()
        results.append((loss.detach(), codes.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-8)
    assert results[0][0] > 0


def test_no_triplets_make_no_loss():
    codes = torch.randn(4, 8, requires_grad=True)
    loss = ranking_hinge(codes, torch.zeros(4, dtype=torch.int64), 1.0)
    loss.backward()
    assert loss == 0
    assert not codes.grad.any()


def test_balance_and_quantisation_are_their_definitions():
    codes = torch.tensor([[0.5, -1.0], [0.5, 0.0]])
    config = tiny_config("loss.balance=2", "loss.quantisation=3").loss
    terms = semantic_ranking_terms(codes, torch.tensor([0, 1]), config, 4.0)
    assert set(terms) == {"balance", "quantisation"}
    assert terms["balance"] == pytest.approx(2 * (0.5**2 + 0.5**2) / 2)
    assert terms["quantisation"] == pytest.approx(3 * (0.25 + 0 + 0.25 + 1) / 4)


def test_relative_distances_are_the_loop_over_triplets_at_unit_length():
    torch.manual_seed(0)
    vectors = torch.randn(6, 5, dtype=torch.float64)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    terms = [
        max(0.0, float((unit[i] - unit[j]).square().sum() - (unit[i] - unit[k]).square().sum()) + 1)
        for i in range(6)
        for j in range(6)
        for k in range(6)
        if i != j and SINGLE[i] == SINGLE[j] and SINGLE[i] != SINGLE[k]
    ]
    assert float(relative_distance(vectors, SINGLE)) == pytest.approx(np.mean(terms))
    assert float(relative_distance(7 * vectors, SINGLE)) == pytest.approx(np.mean(terms))
