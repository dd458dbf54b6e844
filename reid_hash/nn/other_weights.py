"""Load torchreid, FastReID and plain ResNet files into this toolkit's networks.

A file is a dictionary of tensors, perhaps nested below a key and with prefixes. Names and shapes
identify the network. Every tensor must have a place or belong to a classifier, which embeddings do
not need; anything else is an error, since a network with a missing layer gives plausible floats.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from reid_hash.errors import CheckpointError
from reid_hash.nn.backbones.osnet import OSNet

_BELOW = ("state_dict", "model", "model_state_dict", "net", "network")
"""Keys that tensors are nested below in files with more content."""
_PREFIXES = ("module.", "_orig_mod.", "model.")
_COUNTER = "num_batches_tracked"  # a batch norm counter, not needed for evaluation
_CLASSIFIERS = re.compile(r"classifier\.(\d+\.)?(weight|bias)|(heads\.)?classifier\..*")
_FASTREID = ("backbone.", "heads.")
_SHOWN = 3  # names listed in a message


@dataclass(frozen=True)
class Known:
    """A network recognised in a file.

    Attributes:
        net: the network with the file's weights, in evaluation mode.
        name: name of the network.
        assumed: description of what the file does not specify; empty if it specifies all.
        takes_bytes: whether the network takes pixels in 0 … 255 and normalises them itself.
    """

    net: nn.Module
    name: str
    assumed: str = ""
    takes_bytes: bool = False


def build_known(content: object) -> Known:
    """Recognise a network by its tensors and load them.

    Args:
        content: result of `torch.load`.

    Raises:
        CheckpointError: the content is not a dictionary of tensors, the network is unknown, or a
            tensor is missing, left over or has another shape; the message names some.
    """
    tensors = find_tensors(content)
    fastreid = any(name.startswith("heads.") for name in tensors)
    head = {name: t for name, t in tensors.items() if name.startswith("heads.")}
    body = {name.removeprefix("backbone."): t for name, t in tensors.items() if name not in head}
    pixels = [body.pop(name, None) for name in ("pixel_mean", "pixel_std")]
    if _is_osnet(body):
        net, name, names, assumed = _osnet(body, fastreid)
    elif "conv1.weight" in body and "layer1.0.conv1.weight" in body:
        net, name, names, assumed = _resnet(body, fastreid)
    else:
        raise CheckpointError(
            "it is of no network that is known here (OSNet, ResNet and their variants); its "
            f"tensors are {_some(list(tensors))}: export it as ONNX"
        )
    if not fastreid:
        _fill(net, body, names, _is_classifier)
        return Known(net.eval(), name, assumed)
    _fill(net, body, names, lambda name, tensor: False)
    whole = _FastReid(net, head, *pixels)
    _fill(whole.neck, *_of_head(head), _is_classifier)
    assumed = "; ".join(part for part in (assumed, whole.assumed) if part)
    return Known(whole.eval(), f"FastReID's {name}", assumed, takes_bytes=True)


def find_tensors(content: object) -> dict[str, Tensor]:
    """Return a file's tensors by name, without nesting and name prefixes."""
    for _ in range(3):  # {"model": {"state_dict": …}} is the deepest nesting seen
        if not isinstance(content, Mapping):
            break
        below = [content[key] for key in _BELOW if isinstance(content.get(key), Mapping)]
        if not below:
            break
        content = below[0]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"it holds a {type(content).__name__}, not tensors by name; save net.state_dict()"
        )
    found = {str(name): t for name, t in content.items() if isinstance(t, Tensor)}
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if not found:
        raise CheckpointError(f"it holds no tensors by name, but {_some(others)}")
    for _ in range(3):
        for prefix in _PREFIXES:
            if all(name.startswith(prefix) for name in found):
                found = {name.removeprefix(prefix): t for name, t in found.items()}
    return found


def _is_classifier(name: str, tensor: Tensor) -> bool:
    # "fc" is torchvision's and timm's classifier, while torchreid's "fc.0" is part of the network
    return bool(_CLASSIFIERS.fullmatch(name)) or name in ("fc.weight", "fc.bias", "heads.weight")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} …" if len(names) > _SHOWN else shown or "nothing"


def _fill(
    net: nn.Module, tensors: Mapping[str, Tensor], names: Mapping[str, str], left_out: Any
) -> None:
    """Load tensors into a network, with none missing and none left over.

    Args:
        net: the network, changed in place.
        tensors: the file's tensors.
        names: the file's name for each tensor of the network that is named differently there.
        left_out: (name, tensor) → whether to ignore this tensor.
    """
    own = net.state_dict()
    wanted = {name: names.get(name, name) for name in own}
    missing = [
        there
        for name, there in wanted.items()
        if there not in tensors and not name.endswith(_COUNTER)
    ]
    known = set(wanted.values())
    over = [
        name
        for name, tensor in tensors.items()
        if name not in known and not name.endswith(_COUNTER) and not left_out(name, tensor)
    ]
    if missing or over:
        parts = [
            f"{len(them)} tensors {what} ({_some(them)})"
            for what, them in (("are missing", missing), ("are left over", over))
            if them
        ]
        raise CheckpointError(" and ".join(parts))
    for name, there in wanted.items():
        if there in tensors:
            if tensors[there].shape != own[name].shape:
                raise CheckpointError(
                    f"its tensor {there} is {list(tensors[there].shape)}, not "
                    f"{list(own[name].shape)}"
                )
            if not tensors[there].isfinite().all():
                raise CheckpointError(f"its tensor {there} holds NaN or infinity")
            own[name] = tensors[there].to(own[name].dtype)
    net.load_state_dict(own)


# --- OSNet ---------------------------------------------------------------------------------------

_STAGES = (
    # our layer and torchreid's name for it; AIN has other last layers in stages 2 and 3
    *(("0", "conv1"), ("2", "conv2.0"), ("3", "conv2.1"), ("4", "conv2.2.0"), ("6", "conv3.0")),
    *(("7", "conv3.1"), ("8", "conv3.2.0"), ("10", "conv4.0"), ("11", "conv4.1"), ("12", "conv5")),
    *(("15", "fc.0"), ("16", "fc.1")),
)
_AIN_STAGES = {"conv2.2.0": "pool2.0", "conv3.2.0": "pool3.0"}


def _is_osnet(tensors: Mapping[str, Tensor]) -> bool:
    return "conv2.0.gate.fc1.weight" in tensors and "conv1.conv.weight" in tensors


def _osnet(
    tensors: Mapping[str, Tensor], fastreid: bool
) -> tuple[nn.Module, str, dict[str, str], str]:
    """Return (network, its name, torchreid's names of its tensors, what is assumed)."""
    variant: Literal["plain", "ibn", "ain"] = "plain"
    if "conv2.0.conv2.0.layers.0.conv1.weight" in tensors:
        variant = "ain"
    elif "conv2.0.IN.weight" in tensors:
        variant = "ibn"
    channels = tensors["conv1.conv.weight"].shape[0]
    net = OSNet(channels / 64, variant)
    body: nn.Module = net
    if fastreid:  # its head pools, with no linear layer before
        body = nn.Sequential(*list(net)[:13])
    names = {name: torchreid_name(name, variant, tensors) for name in body.state_dict()}
    return body, f"OSNet {variant} x{channels / 64:g}", names, ""


def torchreid_name(
    name: str, variant: str = "plain", tensors: Mapping[str, Tensor] | None = None
) -> str:
    """Return torchreid's name for a tensor of our OSNet.

    Args:
        name: name of the tensor here.
        variant: see `OSNet`.
        tensors: the file's tensors by name, since some layers of "ain" have one of two names.
    """
    layer, rest = name.split(".", 1)
    there = dict(_STAGES)[layer]
    if variant == "ain":
        there = _AIN_STAGES.get(there, there)
    if there.startswith("fc"):
        return f"{there}.{rest}"
    inside = tensors is not None and f"{there}.IN.weight" in tensors
    if variant == "ain" and rest.startswith("expand.1.") and inside:
        return f"{there}.IN.{rest.removeprefix('expand.1.')}"
    return f"{there}.{_in_block(rest, variant)}"


def _in_block(name: str, variant: str) -> str:
    part, rest = name.split(".", 1)
    if part in ("0", "1"):  # a convolution and its norm
        return f"{'conv' if part == '0' else 'bn'}.{rest}"
    if part == "after":
        return f"IN.{rest}"
    if part == "reduce":
        return "conv1." + _in_block(rest, variant)
    if part == "short_cut":
        return "downsample." + _in_block(rest, variant)
    if part == "expand":
        return "conv3." + _in_block(rest, variant)
    if part == "gate":  # its two layers are weigh.1 and weigh.3
        _, number, rest = rest.split(".", 2)
        return f"gate.fc{1 if number == '1' else 2}.{rest}"
    stream, number, layer, rest = rest.split(".", 3)  # of `streams`
    there = {"0": "conv1", "1": "conv2", "2": "bn"}[layer]
    if variant == "ain":
        return f"conv2.{stream}.layers.{number}.{there}.{rest}"
    letter = "abcd"[int(stream)]
    deeper = "" if stream == "0" else f"{number}."
    return f"conv2{letter}.{deeper}{there}.{rest}"


# --- ResNet --------------------------------------------------------------------------------------


class _Ibn(nn.Module):
    """Instance norm on the first half of the channels, batch norm on the others (IBN-a)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.sides = [half, channels - half]
        self.IN = nn.InstanceNorm2d(half, affine=True)
        self.BN = nn.BatchNorm2d(channels - half)

    def forward(self, x: Tensor) -> Tensor:
        first, second = x[:, : self.sides[0]], x[:, self.sides[0] :]
        return torch.cat([self.IN(first), self.BN(second)], dim=1)


class _Pooled(nn.Module):
    """timm's ResNet followed by torchreid's layers."""

    def __init__(self, net: ResNet, after: nn.Module) -> None:
        super().__init__()
        self.net, self.fc = net, after

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc(self.net(x))
        return found


def _resnet(
    tensors: Mapping[str, Tensor], fastreid: bool
) -> tuple[nn.Module, str, dict[str, str], str]:
    """Return (network, its name, the file's names of its tensors, what is assumed)."""
    depths = []
    for stage in range(1, 5):
        numbers = [
            int(match[1])
            for match in (re.match(rf"layer{stage}\.(\d+)\.conv1\.weight$", n) for n in tensors)
            if match
        ]
        depths.append(max(numbers, default=-1) + 1)
    if min(depths) == 0 or max(depths) > 100:
        raise CheckpointError(f"its stages have {depths} blocks, which is no ResNet")
    deep = "layer1.0.conv3.weight" in tensors
    first = tensors.get("layer1.0.conv2.weight")
    if first is None or first.ndim != 4 or min(first.shape) < 1:
        raise CheckpointError("its layer1.0.conv2.weight is missing or no convolution")
    groups = max(1, first.shape[0] // first.shape[1]) if deep else 1
    block: Any = Bottleneck if deep else BasicBlock
    net: Any = ResNet(
        block,
        tuple(depths),
        num_classes=0,
        cardinality=groups,
        base_width=first.shape[0] // groups if deep else 64,
        global_pool="" if fastreid else "avg",
    )
    for stage in range(1, 5):
        for number, block in enumerate(getattr(net, f"layer{stage}")):
            if f"layer{stage}.{number}.bn1.IN.weight" in tensors:
                block.bn1 = _Ibn(block.bn1.num_features)
    layers = sum(depths) * (3 if deep else 2) + 2
    name = f"ResNe{'X' if groups > 1 else ''}t-{layers}"
    if any(".bn1.IN." in there for there in tensors):
        name += "-IBN"
    body: nn.Module = net
    assumed = ""
    after = [n for n in tensors if n.startswith("fc.0.")]
    if fastreid:
        net.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        assumed = "a last stride of 1"
    elif after:
        features = tensors["fc.0.weight"].shape[0]
        linear = nn.Linear(int(net.num_features), features)
        body = _Pooled(net, nn.Sequential(linear, nn.BatchNorm1d(features), nn.ReLU()))
        name += f" with {features} features"
        assumed = "a last stride of 1, as torchreid's resnet50_fc512 has it"
    if assumed:
        _last_stride(net)
    names = {n: n.removeprefix("net.") for n in body.state_dict()}
    return body, name, names, assumed


def _last_stride(net: Any) -> None:
    """Let the last stage keep the resolution of the stage before (Luo et al. 2019)."""
    block = net.layer4[0]
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)


# --- FastReID's head -----------------------------------------------------------------------------


_PIXEL_MEAN, _PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class _GeM(nn.Module):
    """Generalised mean over the positions of a map (Radenović et al. 2018)."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=1e-6).pow(self.power).mean((2, 3), keepdim=True).pow(1 / self.power)


class _FastReid(nn.Module):
    """FastReID's Baseline: pixels in 0 … 255 → normalisation → body → pooling → neck.

    Args:
        body: the backbone.
        head: the file's tensors of the head.
        mean: channel means of pixels in 0 … 255, from the file; None for FastReID's defaults.
        std: channel deviations of pixels in 0 … 255, from the file; None for FastReID's defaults.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, body: nn.Module, head: Mapping[str, Tensor], mean: Tensor | None, std: Tensor | None
    ) -> None:
        super().__init__()
        for name, given, usual in (("mean", mean, _PIXEL_MEAN), ("std", std, _PIXEL_STD)):
            values = torch.tensor(usual) if given is None else given.float().flatten()
            fine = len(values) == 3 and bool(values.isfinite().all())
            if not fine or (name == "std" and values.min() <= 0):
                raise CheckpointError(f"its pixel_{name} is not three numbers to normalise with")
            self.register_buffer(name, values.view(3, 1, 1).clone())
        power = next((t for n, t in head.items() if n == "heads.pool_layer.p"), None)
        self.assumed = "" if power is not None else "average pooling"
        self.body = body
        self.pool: nn.Module = (
            nn.AdaptiveAvgPool2d(1) if power is None else _GeM(float(power.reshape(-1)[0]))
        )
        layers: list[nn.Module] = []
        for number in range(2):
            weight = head.get(f"heads.bottleneck.{number}.weight")
            if weight is None:
                continue
            if weight.ndim == 4:
                layers.append(nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False))
            else:
                layers.append(nn.BatchNorm2d(weight.shape[0]))
        self.neck = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.neck(self.pool(self.body((x - self.mean) / self.std)))
        return found.flatten(1)


def _of_head(head: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return (tensors of the neck and those left over, no differing names)."""
    prefix = "heads.bottleneck."
    tensors = {name.removeprefix(prefix): t for name, t in head.items()}
    tensors.pop("heads.pool_layer.p", None)
    return tensors, {}
