"""Small residual networks for pedestrian images, with stripe pooling."""

from typing import Any

import torch
from torch import Tensor, nn


class _InstanceBatchNorm(nn.Module):
    """Instance norm on one half of the channels, batch norm on the other (IBN-a, Pan et al. 2018).

    Instance norm removes a camera's effects on the whole picture: brightness and colour cast.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.instances = channels // 2
        self.instance = nn.InstanceNorm2d(self.instances, affine=True)
        self.batch = nn.BatchNorm2d(channels - self.instances)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            [self.instance(x[:, : self.instances]), self.batch(x[:, self.instances :])], 1
        )


class _Residual(nn.Module):
    """Two 3×3 convolutions with a shortcut (He et al. 2016)."""

    def __init__(self, channels: int, out: int, stride: int, instance_norm: bool) -> None:
        super().__init__()
        last = nn.BatchNorm2d(out)
        nn.init.zeros_(last.weight)  # each block starts as its shortcut
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False),
            _InstanceBatchNorm(out) if instance_norm else nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, 1, 1, bias=False),
            last,
        )
        self.short_cut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.short_cut = nn.Sequential(
                nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                nn.Conv2d(channels, out, 1, bias=False),
                nn.BatchNorm2d(out),
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.body(x) + self.short_cut(x))
        return out


class SlimResNet(nn.Sequential):
    """A small residual network whose last stage keeps its resolution (last stride 1).

    Uses dense 3×3 convolutions, which CPUs run near peak speed, unlike depthwise ones.

    Args:
        widths: channels of the stages.
        blocks: residual blocks per stage.
        strides: stride of each stage; the stem before them has stride 2.
        stripes: number of horizontal stripes to pool separately, head to foot (Sun et al. 2018).
        instance_norm: use it in all stages but the last, whose features distinguish identities.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        strides: tuple[int, ...],
        stripes: int = 1,
        instance_norm: bool = True,
    ) -> None:
        stem = widths[0]
        layers: list[nn.Module] = [
            nn.Conv2d(3, stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        ]
        channels = stem
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            instances = instance_norm and stage < len(widths) - 1
            for index in range(count):
                stride = strides[stage] if index == 0 else 1
                layers.append(_Residual(channels, width, stride, instances))
                channels = width
        super().__init__(*layers, StripePool(stripes))
        self.features = channels * stripes


class StripePool(nn.Module):
    """Sum of mean and maximum of each stripe: the overall look, and what stands out.

    People stand at different heights in their boxes. Outside training, soft stripes average the
    stripes of the map (½) and of the map shifted up and down by one row (¼ each), so a body part
    on a border counts for both stripes.

    Args:
        stripes: number of stripes, head to foot.
        soft: use soft stripes outside training.
    """

    def __init__(self, stripes: int, soft: bool = False) -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d((stripes, 1))
        self.maximum = nn.AdaptiveMaxPool2d((stripes, 1))
        self.soft = soft

    def forward(self, x: Tensor) -> Tensor:
        """Pool stripes, [n, channels, height, width] → [n, channels · stripes]."""
        pooled = self._hard(x)
        if self.soft and not self.training:
            # by slices, since OpenCV's ONNX reader has no padding by repetition
            down = self._hard(torch.cat([x[:, :, :1], x[:, :, :-1]], 2))
            up = self._hard(torch.cat([x[:, :, 1:], x[:, :, -1:]], 2))
            pooled = pooled / 2 + (down + up) / 4
        return pooled

    def _hard(self, x: Tensor) -> Tensor:
        if not torch.onnx.is_in_onnx_export():
            pooled: Tensor = (self.mean(x) + self.maximum(x)).flatten(1)
            return pooled
        # The same with plain numbers: the exporter does not support stripes of unequal height, and
        # loses the map's size behind padding.
        height = int(x.shape[2])
        stripes = int(self.mean.output_size[0])  # type: ignore[index,arg-type]
        edges = [(n * height // stripes, -(-(n + 1) * height // stripes)) for n in range(stripes)]
        parts = [x[:, :, top:bottom] for top, bottom in edges]
        # Join as maps, not by stacking: OpenCV's reader takes a new axis only for batches of one.
        pools = [part.mean((2, 3), True) + part.amax((2, 3), True) for part in parts]
        return torch.cat(pools, 2).flatten(1)


SLIM: dict[str, dict[str, Any]] = {
    "resnet-slim": {
        "widths": (32, 64, 128, 192),
        "blocks": (1, 1, 1, 1),
        "strides": (2, 2, 1, 1),
        "stripes": 4,
    },
    # thinner, on a finer map, for images of 160×64: small data sets need detail, not channels
    "resnet-thin": {
        "widths": (16, 32, 64, 128),
        "blocks": (1, 1, 1, 1),
        "strides": (2, 1, 2, 1),
        "stripes": 5,
    },
    # half as wide again, for data with enough training time
    "resnet-medium": {
        "widths": (24, 48, 96, 160),
        "blocks": (1, 1, 1, 1),
        "strides": (2, 1, 2, 1),
        "stripes": 5,
    },
}
