"""Batch norm inside the convolutions: the same outputs with fewer layers."""

import pytest
import torch
from torch import nn

from reid_hash.nn.folding import fold_batch_norm
from reid_hash.nn.hashnet import HashNet
from tests.helpers import tiny_config


def trained(*settings):
    """A network whose batch norms have seen images."""
    torch.manual_seed(0)
    net = HashNet(tiny_config(*settings))
    with torch.no_grad():
        for module in net.modules():
            if isinstance(getattr(module, "running_var", None), torch.Tensor):
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(std=0.2)
    return net.eval().requires_grad_(False)


def batch_norms(net):
    return sum(isinstance(getattr(m, "running_var", None), torch.Tensor) for m in net.modules())


@pytest.mark.parametrize(
    "settings",
    [
        ["model.backbone=resnet-slim"],
        ["model.backbone=osnet-x0.25"],
        ["model.backbone=timm:tf_efficientnet_lite0"],
        ["model.backbone=timm:tf_efficientnet_lite0", "model.freeze=[conv_stem, bn1, blocks.0]"],
        ["model.backbone=timm:tf_efficientnet_lite0", "model.output_stride=16", "model.stripes=2"],
        ["model.backbone=timm:resnet18", "model.stripes=2"],
    ],
    ids=lambda settings: " ".join(settings),
)
def test_outputs_are_the_same(settings):
    net = trained(*settings)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    folded = fold_batch_norm(net)
    assert batch_norms(folded) < batch_norms(net) / 2
    data = net.config.data
    images = torch.randn(3, 3, data.height, data.width)
    for mine, theirs in zip(folded(images), net(images), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    for name, tensor in net.state_dict().items():
        assert tensor.equal(before[name]), name  # the network itself is untouched


def test_nothing_to_fold_gives_the_network_back():
    net = trained("model.backbone=paper")
    assert fold_batch_norm(net) is net


def test_a_convolution_that_is_used_elsewhere_too_is_not_folded():
    class Twice(nn.Module):
        features = 8

        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

        def forward(self, images):
            maps = self.conv(images)
            return (self.norm(maps) + maps).mean((2, 3))

    net = HashNet(tiny_config())
    net.backbone = Twice()
    net.backbone.norm.running_var.fill_(4)
    net.head = type(net.head)(8, net.config.model.bits, batch_norm=True)
    net.eval()
    assert fold_batch_norm(net) is net


def test_padding_is_fixed_for_networks_that_work_it_out():
    for height, width in ((160, 64), (97, 50)):
        net = trained(
            "model.backbone=timm:tf_efficientnet_lite0",
            f"data.height={height}",
            f"data.width={width}",
        )
        folded = fold_batch_norm(net)
        kinds = {type(module).__name__ for module in folded.modules()}
        assert "Conv2dSame" not in kinds
        images = torch.randn(2, 3, height, width)
        torch.testing.assert_close(folded(images).outputs, net(images).outputs, atol=1e-4, rtol=0)
