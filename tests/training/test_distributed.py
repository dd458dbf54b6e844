"""Batch norm that is shared between processes: on one process nothing else than before."""

import copy

import pytest
import torch
from torch import nn

from reid_hash.errors import ConfigError
from reid_hash.nn.backbones.build import build_backbone
from reid_hash.training import distributed
from reid_hash.training.distributed import convert_batch_norm


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "name",
    ["resnet-slim", "airbench", "timm:tf_efficientnet_lite0", "timm:resnet18"],
)
def test_a_network_computes_the_same_after_conversion(name, training):
    torch.manual_seed(0)
    net = build_backbone(name, 64, 32).train(training)
    converted = convert_batch_norm(copy.deepcopy(net))
    images = torch.randn(6, 3, 64, 32)
    torch.testing.assert_close(converted(images), net(images))
    kept, made = net.state_dict(), converted.state_dict()
    assert list(kept) == list(made)
    for key, value in kept.items():
        torch.testing.assert_close(made[key], value, msg=key)


def test_an_activation_inside_a_batch_norm_is_kept():
    net = build_backbone("timm:tf_efficientnet_lite0", 64, 32)
    converted = convert_batch_norm(copy.deepcopy(net))
    assert (converted.net.bn1(torch.randn(4, 32, 8, 8)) >= 0).all()


def test_a_batch_norm_of_which_nothing_is_known_is_refused():
    class Doubled(nn.BatchNorm2d):
        def forward(self, input):
            return 2 * super().forward(input)

    with pytest.raises(ConfigError, match="Doubled cannot share"):
        convert_batch_norm(nn.Sequential(Doubled(4)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shared_batch_norm_computes_what_one_process_does(monkeypatch, dtype):
    """Two processes with the same images: their mean and variance are those of one."""
    torch.manual_seed(0)
    plain, shared = nn.BatchNorm2d(3), convert_batch_norm(nn.Sequential(nn.BatchNorm2d(3)))
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_reduce", lambda sums: 2 * sums)
    images = (torch.randn(8, 3, 4, 4) + 5).to(dtype)
    out = shared(images)
    assert out.dtype == dtype
    torch.testing.assert_close(
        out, plain(images), atol=1e-5 if dtype == torch.float32 else 0.05, rtol=0.02
    )
    torch.testing.assert_close(shared[0].running_mean, plain.running_mean, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(shared[0].running_var, plain.running_var, atol=1e-2, rtol=1e-2)
