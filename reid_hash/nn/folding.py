"""Faster networks for evaluation: batch norm folded into convolutions, fixed padding."""

import copy
import sys

import torch
from torch import Tensor, nn

from reid_hash.nn.frozen import FrozenNetwork
from reid_hash.nn.hashnet import HashNet

_TOLERANCE = 1e-3  # absolute, for outputs with a deviation of about one


def fold_batch_norm(net: HashNet) -> HashNet:
    """Copy a network for evaluation with its batch norms folded into the convolutions.

    A trial image shows which batch norm follows which convolution. Convolutions that compute their
    padding per image ("same", in networks from TensorFlow) get the padding for the network's input
    size. The copy is compared with the network on noise. If they differ (when a convolution's
    output is used elsewhere, too), or if nothing can be folded, `net` itself is returned.

    Args:
        net: network in evaluation mode, on any device.
    """
    if isinstance(net.backbone, FrozenNetwork):
        return net
    size = (4, 3, net.config.data.height, net.config.data.width)
    noise = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(net.mean.device)
    noise = noise.contiguous(memory_format=torch.channels_last)
    folded = copy.deepcopy(net)
    with torch.no_grad():
        wanted, pairs, sizes = _pairs(folded, noise)
        names = {module: name for name, module in folded.named_modules()}
        for convolution, norm in pairs:
            _fold(convolution, norm)
            folded.set_submodule(names[norm], _after(norm))
        for convolution, (height, width) in sizes.items():
            if _pads_by_itself(convolution):
                folded.set_submodule(names[convolution], _padded(convolution, height, width))
        close = torch.allclose(folded(noise).outputs, wanted, atol=_TOLERANCE)
    return folded if pairs and close else net


def _pairs(
    net: HashNet, images: Tensor
) -> tuple[Tensor, list[tuple[nn.Conv2d, nn.Module]], dict[nn.Conv2d, tuple[int, int]]]:
    """Return (outputs, convolutions with the batch norms that follow, their map sizes)."""
    sizes: dict[nn.Conv2d, tuple[int, int]] = {}
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # hold the tensors, so their ids stay valid
    pairs: list[tuple[nn.Conv2d, nn.Module]] = []

    def convolved(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        sizes[module] = (inputs[0].shape[2], inputs[0].shape[3])
        made[id(output)] = (module, output)

    def normalised(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in made:
            pairs.append((made.pop(id(inputs[0]))[0], module))

    hooks = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(convolved))
        elif isinstance(getattr(module, "running_var", None), Tensor):
            hooks.append(module.register_forward_pre_hook(normalised))
    outputs = net(images).outputs
    for hook in hooks:
        hook.remove()
    return outputs, pairs, sizes


def _fold(convolution: nn.Conv2d, norm: nn.Module) -> None:
    mean, variance, eps = (getattr(norm, name) for name in ("running_mean", "running_var", "eps"))
    scale = (variance.double() + eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()  # type: ignore[operator]
    offset = -mean.double() if convolution.bias is None else convolution.bias.double() - mean
    bias = offset * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()  # type: ignore[operator]
    weight = convolution.weight.double() * scale.view(-1, 1, 1, 1)
    convolution.weight = nn.Parameter(weight.to(convolution.weight), requires_grad=False)
    convolution.bias = nn.Parameter(bias.to(convolution.weight), requires_grad=False)


def _after(norm: nn.Module) -> nn.Module:
    """Return what a timm batch norm applies after normalising: its activation."""
    after = getattr(norm, "act", None)
    return after if isinstance(after, nn.Module) else nn.Identity()


def _pads_by_itself(convolution: nn.Conv2d) -> bool:
    timm = sys.modules.get("timm.layers")  # not imported for other networks
    return timm is not None and isinstance(convolution, timm.Conv2dSame)


def _padded(convolution: nn.Conv2d, height: int, width: int) -> nn.Module:
    """Copy a convolution for maps of one size, with TensorFlow's "same" padding made fixed."""
    pad: list[int] = []
    for axis, side in ((1, width), (0, height)):
        stride, reach = convolution.stride[axis], convolution.kernel_size[axis] - 1
        total = max(
            (-(-side // stride) - 1) * stride + reach * convolution.dilation[axis] + 1 - side, 0
        )
        pad += [total // 2, total - total // 2]
    plain = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        dilation=convolution.dilation,  # type: ignore[arg-type]
        groups=convolution.groups,
        bias=convolution.bias is not None,
        device="meta",
    )
    plain.weight, plain.bias = convolution.weight, convolution.bias
    return nn.Sequential(nn.ZeroPad2d(tuple(pad)), plain)  # type: ignore[arg-type]
