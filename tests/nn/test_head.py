import numpy as np
import pytest
import torch

from reid_hash.nn.head import ElementwiseWeight, HashHead, MonotoneWeight, TanhLike, beta_at


def test_tanh_like_is_the_papers_function():
    v = torch.linspace(-3, 3, 13, dtype=torch.float64)
    layer = TanhLike(5.0).double()
    torch.testing.assert_close(layer(v), 2 / (1 + torch.exp(-5 * v)) - 1)


def test_tanh_like_becomes_the_sign():
    layer = TanhLike()
    layer.set_beta(1e6)
    v = torch.tensor([-1e3, -0.01, 0.01, 1e3])
    torch.testing.assert_close(layer(v), v.sign())
    assert "beta" in layer.state_dict()


def test_beta_grows_at_equal_intervals():
    steps = 110  # the last one is at a progress of 109 / 110
    betas = [beta_at(step / steps, 5.0, 1.1, 10) for step in range(steps)]
    assert betas[0] == betas[9] == 5.0
    assert betas[10] == pytest.approx(5.5)
    assert len(set(betas)) == 1 + 10
    assert betas[-1] == betas[100] == pytest.approx(5 * 1.1**10)
    assert betas == sorted(betas)
    assert beta_at(0.7, 2.0, 1.1, 0) == 2.0


def test_weights_start_at_one_and_scale_bits():
    layer = ElementwiseWeight(3)
    assert layer.weight.tolist() == [1, 1, 1]
    layer.weight.data = torch.tensor([2.0, -1.0, 0.0])
    assert layer(torch.ones(1, 3)).tolist() == [[2, -1, 0]]


@pytest.mark.parametrize("batch_norm", [True, False])
def test_head_gives_outputs_of_the_codes_length(batch_norm):
    head = HashHead(10, 16, batch_norm)
    neck, outputs = head(torch.randn(6, 10))
    assert neck.shape == (6, 10)
    assert outputs.shape == (6, 16)
    if batch_norm:  # every bit is balanced over a training batch
        torch.testing.assert_close(outputs.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    else:
        assert neck.data_ptr() != 0
        assert outputs.mean(0).abs().max() > 1e-3


def test_monotone_weights_fall_whatever_is_learned():
    layer = MonotoneWeight(6)
    start = layer.weight.detach().square()
    assert (start.diff() < 0).all()
    assert start.mean() == pytest.approx(1.0, abs=0.1)
    optimiser = torch.optim.SGD(layer.parameters(), 5.0)
    wanted = torch.tensor([0.2, 0.2, 0.2, 2.0, 2.0, 2.0])  # rises
    for _ in range(200):
        optimiser.zero_grad()
        loss = (layer.weight - wanted).square().mean()
        loss.backward()
        optimiser.step()
    learned = layer.weight.detach()
    assert (learned.diff() <= 0).all()
    np.testing.assert_allclose(learned, 1.1, atol=0.1)  # the best that does not rise
    codes = torch.ones(2, 6)
    torch.testing.assert_close(layer(codes)[0], layer.weight)
