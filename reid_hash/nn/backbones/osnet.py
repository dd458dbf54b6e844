"""OSNet: omni-scale features for person re-identification (Zhou et al., ICCV 2019)."""

from typing import Literal

import torch
from torch import Tensor, nn


def _conv(
    channels: int, out: int, kernel: int = 1, stride: int = 1, instance: bool = False
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False),
        nn.InstanceNorm2d(out, affine=True) if instance else nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


class _Lite(nn.Sequential):
    """Pointwise, then depthwise 3×3: the paper's "lite" convolution (figure 3b)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class _Gate(nn.Module):
    """Aggregation gate: channel weights from globally pooled features (equation 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 16)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = x * self.weigh(x)
        return weighed


class _OmniScale(nn.Module):
    """Bottleneck with four streams of 1 to 4 lite convolutions and a shared gate (figure 4).

    Args:
        channels: input channels.
        out: output channels.
        instance: position of instance norm: "after" the sum with the shortcut (OSNet-IBN),
            "inside" the residual instead of its batch norm (OSNet-AIN), or none.
    """

    def __init__(
        self, channels: int, out: int, instance: Literal["after", "inside"] | None = None
    ) -> None:
        super().__init__()
        middle = out // 4
        self.reduce = _conv(channels, middle)
        self.streams = nn.ModuleList(
            nn.Sequential(*(_Lite(middle) for _ in range(scale))) for scale in (1, 2, 3, 4)
        )
        self.gate = _Gate(middle)
        inside = nn.InstanceNorm2d(out, affine=True) if instance == "inside" else None
        self.expand = nn.Sequential(
            nn.Conv2d(middle, out, 1, bias=False), inside or nn.BatchNorm2d(out)
        )
        self.short_cut: nn.Module = nn.Identity()
        if channels != out:
            self.short_cut = nn.Sequential(
                nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
            )
        self.after: nn.Module = nn.Identity()
        if instance == "after":
            self.after = nn.InstanceNorm2d(out, affine=True)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        mixed = torch.stack([self.gate(stream(reduced)) for stream in self.streams]).sum(0)
        out: Tensor = self.relu(self.after(self.expand(mixed) + self.short_cut(x)))
        return out


_INSTANCE: dict[str, tuple[Literal["after", "inside"] | None, ...]] = {
    "plain": (None,) * 6,
    "ibn": ("after", "after", None, None, None, None),
    "ain": ("inside", "inside", None, "inside", "inside", None),
}
"""Position of instance norm in each of the six blocks, by variant."""


class OSNet(nn.Sequential):
    """OSNet at a width multiplier (table 1 of the paper).

    Args:
        width: multiplier of the channels: 1, 0.75, 0.5, 0.25.
        variant: "plain", or "ibn" or "ain" with instance norms (Zhou et al., TPAMI 2021).

    Attributes:
        features: length of the output, 512 at every width.
        mean: [3] channel means, in 0 … 1, that torchreid's weights expect.
        std: [3] channel deviations, in 0 … 1, that torchreid's weights expect.
    """

    features = 512
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(
        self, width: float = 1.0, variant: Literal["plain", "ibn", "ain"] = "plain"
    ) -> None:
        c1, c2, c3, c4 = (int(c * width) for c in (64, 256, 384, 512))
        where = _INSTANCE[variant]
        super().__init__(
            _conv(3, c1, 7, 2, variant != "plain"),
            nn.MaxPool2d(3, 2, 1),
            _OmniScale(c1, c2, where[0]),
            _OmniScale(c2, c2, where[1]),
            _conv(c2, c2),
            nn.AvgPool2d(2),
            _OmniScale(c2, c3, where[2]),
            _OmniScale(c3, c3, where[3]),
            _conv(c3, c3),
            nn.AvgPool2d(2),
            _OmniScale(c3, c4, where[4]),
            _OmniScale(c4, c4, where[5]),
            _conv(c4, c4),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(c4, self.features),
            nn.BatchNorm1d(self.features),
            nn.ReLU(inplace=True),
        )
