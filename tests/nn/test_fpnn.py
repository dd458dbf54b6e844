import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reid_hash.nn.fpnn import (
    FILTERS,
    GROUPS,
    HEIGHT,
    PATCHES,
    STRIPES,
    WIDTH,
    FilterPairingNet,
    maxout_grouping,
    patch_matching,
)


def test_patch_matching_is_the_loop():
    torch.manual_seed(0)
    first, second = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    expected = torch.empty(2, 3, 4, 5, 5)
    for b in range(2):
        for m in range(3):
            for k in range(4):
                for i in range(5):
                    for j in range(5):
                        expected[b, m, k, i, j] = first[b, m, k, i] * second[b, m, k, j]
    torch.testing.assert_close(patch_matching(first, second), expected)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_maxout_takes_the_largest_of_neighbouring_filters(groups):
    torch.manual_seed(0)
    matrices = torch.randn(2, 3, 6, 4, 4)
    size = 6 // groups
    found = maxout_grouping(matrices, groups)
    assert found.shape == (2, 3, groups, 4, 4)
    for t in range(groups):
        expected = torch.stack([matrices[:, :, t * size + g] for g in range(size)]).max(0).values
        torch.testing.assert_close(found[:, :, t], expected)


def test_the_network_is_its_equations():
    torch.manual_seed(0)
    net = FilterPairingNet().eval()
    x, y = torch.randn(2, 1, 3, HEIGHT, WIDTH)
    f, g = net.responses(x, 0), net.responses(y, 1)
    assert f.shape == (1, STRIPES, FILTERS, PATCHES)
    # one response by hand: the largest of 3 × 3 places of a filter, of the second view
    m, k, i = 7, 5, 4
    patch = y[:, :, 3 * m : 3 * m + 7, 3 * i : 3 * i + 7]
    values = F.conv2d(patch, net.filters[1].weight[k : k + 1], net.filters[1].bias[k : k + 1])
    norm = net.norms[1]
    value = (values.max() - norm.running_mean[k]) / (norm.running_var[k] + norm.eps).sqrt()
    torch.testing.assert_close(g[0, m, k, i], value.clamp_min(0))

    size = FILTERS // GROUPS
    parts = []
    for stripe in range(STRIPES):
        matrices = [torch.outer(f[0, stripe, c], g[0, stripe, c]) for c in range(FILTERS)]
        grouped = torch.stack(
            [torch.stack(matrices[t * size : (t + 1) * size]).amax(0) for t in range(GROUPS)]
        )
        parts.append(F.max_pool2d(F.relu(net.parts(grouped[None])), 2)[0])
    pooled = torch.stack(
        [torch.maximum(parts[s], parts[s + 1]) for s in range(0, STRIPES, 2)]
    ).flatten()
    p = net.identity(F.relu(net.pose(pooled))).softmax(0)
    odds = net.compare(f, g)
    assert odds.shape == (1,)
    torch.testing.assert_close(odds[0], (p[1] / p[0]).log(), rtol=1e-4, atol=1e-5)


def test_the_views_have_filters_of_their_own():
    torch.manual_seed(0)
    net = FilterPairingNet().eval()
    x = torch.randn(1, 3, HEIGHT, WIDTH)
    assert not torch.allclose(net.responses(x, 0), net.responses(x, 1))


def test_pictures_are_normalised_by_their_channels():
    net = FilterPairingNet()
    net.mean.copy_(torch.tensor([0.0, 0.5, 1.0]))
    net.std.copy_(torch.tensor([1.0, 0.5, 0.25]))
    white = torch.from_numpy(np.full((1, 2, 2, 3), 255, np.uint8))
    assert net.normalise(white)[0, :, 1, 1].tolist() == [1, 1, 0]
