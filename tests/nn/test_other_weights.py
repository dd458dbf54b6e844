"""Files in the layout of torchreid, FastReID and torchvision give what their own networks give."""

import pytest
import torch
import torchvision
from torch import nn

from reid_hash.errors import CheckpointError
from reid_hash.nn.other_weights import build_known
from tests.nn.torchreid_form import TorchreidOSNet, randomised


@pytest.fixture
def images():
    return torch.randn(3, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def same(net, known, images):
    with torch.inference_mode():
        torch.testing.assert_close(known.net(images), net(images), rtol=1e-4, atol=1e-5)


WRAPPINGS = {
    "plain": lambda tensors: tensors,
    "state_dict": lambda tensors: {"state_dict": tensors, "epoch": 3, "optimizer": {"state": {}}},
    "model": lambda tensors: {"model": tensors, "iteration": 9},
    "module": lambda tensors: {"state_dict": {f"module.{n}": t for n, t in tensors.items()}},
    "counters": lambda tensors: {n: t for n, t in tensors.items() if "num_batches" not in n},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_wrapping(wrapping, images):
    net = randomised(TorchreidOSNet())
    known = build_known(WRAPPINGS[wrapping](net.state_dict()))
    assert known.name == "OSNet plain x0.25"
    same(net, known, images)


@pytest.mark.parametrize("width", [0.25, 0.5])
@pytest.mark.parametrize("variant", ["plain", "ibn", "ain"])
def test_every_osnet_of_torchreid(variant, width, images):
    net = randomised(TorchreidOSNet(width, variant))
    same(net, build_known(net.state_dict()), images)


def test_osnet_without_its_classifier(images):
    net = randomised(TorchreidOSNet())
    tensors = {n: t for n, t in net.state_dict().items() if not n.startswith("classifier")}
    same(net, build_known(tensors), images)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_resnets(name, images):
    net = randomised(getattr(torchvision.models, name)(num_classes=5))
    known = build_known(net.state_dict())
    net.fc = nn.Identity()
    assert not known.assumed
    same(net, known, images)


def test_torchreids_resnet_with_a_linear_layer(images):
    net = torchvision.models.resnet50(num_classes=5)
    net.fc = nn.Sequential(nn.Linear(2048, 16), nn.BatchNorm1d(16), nn.ReLU())
    net.layer4[0].conv2.stride = net.layer4[0].downsample[0].stride = (1, 1)
    net = randomised(net)
    tensors = net.state_dict() | {"classifier.weight": torch.zeros(5, 16)}
    known = build_known(tensors)
    assert "last stride of 1" in known.assumed
    same(net, known, images)


class Ibn(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.IN = nn.InstanceNorm2d(channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(channels // 2)

    def forward(self, x):
        first, second = x.chunk(2, dim=1)
        return torch.cat([self.IN(first), self.BN(second)], 1)


class FastReid(nn.Module):
    """Its Baseline with an EmbeddingHead: the body, pooling, neck, and a classifier's weight."""

    def __init__(self, power=None, ibn=False, reduced=None, osnet=False):
        super().__init__()
        if osnet:
            self.backbone, features = TorchreidOSNet(), 128
            del self.backbone.fc, self.backbone.classifier
        else:
            self.backbone, features = torchvision.models.resnet50(num_classes=5), 2048
            del self.backbone.fc
            block = self.backbone.layer4[0]
            block.conv2.stride = block.downsample[0].stride = (1, 1)
            self.backbone.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
            for stage in (1, 2, 3) if ibn else ():
                for one in getattr(self.backbone, f"layer{stage}"):
                    one.bn1 = Ibn(one.bn1.num_features)
        self.osnet = osnet
        self.heads = nn.Module()
        neck = [] if reduced is None else [nn.Conv2d(features, reduced, 1, bias=False)]
        neck.append(nn.BatchNorm2d(reduced or features))
        self.heads.bottleneck = nn.Sequential(*neck)
        self.heads.weight = nn.Parameter(torch.zeros(5, reduced or features))
        if power is not None:
            self.heads.pool_layer = nn.Module()
            self.heads.pool_layer.p = nn.Parameter(torch.tensor([power]))
        self.power = power
        self.register_buffer("pixel_mean", torch.tensor([2.0, 3, 4]).view(1, 3, 1, 1))
        self.register_buffer("pixel_std", torch.tensor([0.5, 1, 2]).view(1, 3, 1, 1))

    def forward(self, x):
        net, x = self.backbone, (x - self.pixel_mean) / self.pixel_std
        if self.osnet:
            x = net.maps(x)
        else:
            x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
            x = net.layer4(net.layer3(net.layer2(net.layer1(x))))
        if self.power is None:
            x = x.mean((2, 3), keepdim=True)
        else:
            x = x.clamp(min=1e-6).pow(self.power).mean((2, 3), keepdim=True).pow(1 / self.power)
        return self.heads.bottleneck(x)[..., 0, 0]


@pytest.mark.parametrize(
    "form",
    [{}, {"power": 2.5}, {"ibn": True}, {"power": 3.0, "ibn": True, "reduced": 8}, {"osnet": True}],
    ids=str,
)
def test_fastreid(form, images):
    net = randomised(FastReid(**form))
    known = build_known({"model": net.state_dict(), "iteration": 1})
    assert known.takes_bytes
    assert ("average pooling" in known.assumed) == ("power" not in form)
    same(net, known, images)


def test_the_usual_pixels_of_fastreid(images):
    net = randomised(FastReid(osnet=True))
    tensors = {n: t for n, t in net.state_dict().items() if not n.startswith("pixel")}
    net.pixel_mean[:] = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1) * 255
    net.pixel_std[:] = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1) * 255
    same(net, build_known(tensors), images)
    with pytest.raises(CheckpointError, match="pixel_std is not three numbers"):
        build_known(tensors | {"pixel_std": torch.zeros(3)})


def test_what_is_missing_and_what_is_left_over_is_named():
    tensors = TorchreidOSNet().state_dict()
    gone = {n: t for n, t in tensors.items() if n != "conv3.1.gate.fc2.bias"}
    with pytest.raises(CheckpointError, match=r"1 tensors are missing \(conv3.1.gate.fc2.bias\)"):
        build_known(gone)
    with pytest.raises(CheckpointError, match=r"1 tensors are left over \(attention.weight\)"):
        build_known(tensors | {"attention.weight": torch.zeros(3)})
    deep = torchvision.models.resnet18(num_classes=5).state_dict()
    with pytest.raises(CheckpointError, match=r"left over \(layer2.0.se.fc.weight\)"):
        build_known(deep | {"layer2.0.se.fc.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"left over \(NL_2.0.g.weight\)"):
        net = FastReid()
        build_known(net.state_dict() | {"backbone.NL_2.0.g.weight": torch.zeros(3)})


def test_shapes_and_numbers_are_looked_at():
    tensors = TorchreidOSNet().state_dict()
    with pytest.raises(CheckpointError, match=r"conv5.conv.weight is \[2, 2\], not"):
        build_known(tensors | {"conv5.conv.weight": torch.zeros(2, 2)})
    with pytest.raises(CheckpointError, match="conv5.conv.weight holds NaN or infinity"):
        build_known(tensors | {"conv5.conv.weight": tensors["conv5.conv.weight"] / 0})


@pytest.mark.parametrize(
    "content", [[1], {}, {"a": 1}, {"state_dict": {}}, torch.zeros(3)], ids=str
)
def test_what_holds_no_tensors(content):
    with pytest.raises(CheckpointError, match="it holds"):
        build_known(content)


def test_another_network_is_refused():
    tensors = nn.Sequential(nn.Linear(2, 2)).state_dict()
    with pytest.raises(CheckpointError, match="no network that is known here"):
        build_known(tensors)
