"""OSNet with the layers named as in torchreid's files, written out plainly, to compare with."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional


class Layer(nn.Module):
    def __init__(self, channels, out, kernel=1, stride=1, norm=nn.BatchNorm2d, relu=True):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
        if norm is not None:
            self.bn = norm(out)
        self.ends = (norm is not None, relu)

    def forward(self, x):
        x = self.conv(x)
        x = self.bn(x) if self.ends[0] else x
        return functional.relu(x) if self.ends[1] else x


class Light(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return functional.relu(self.bn(self.conv2(self.conv1(x))))


class Stream(nn.Module):
    def __init__(self, channels, depth):
        super().__init__()
        self.layers = nn.Sequential(*(Light(channels) for _ in range(depth)))

    def forward(self, x):
        return self.layers(x)


class Gate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x):
        pooled = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(functional.relu(self.fc1(pooled))))


class Block(nn.Module):
    """`place` of the instance norm: None, "after" (IBN) or "inside" (AIN)."""

    def __init__(self, channels, out, ain=False, place=None):
        super().__init__()
        middle = out // 4
        self.conv1 = Layer(channels, middle)
        if ain:
            self.conv2 = nn.ModuleList(Stream(middle, depth) for depth in (1, 2, 3, 4))
        else:
            self.conv2a = Light(middle)
            for letter, depth in zip("bcd", (2, 3, 4), strict=True):
                layers = nn.Sequential(*(Light(middle) for _ in range(depth)))
                setattr(self, f"conv2{letter}", layers)
        self.gate = Gate(middle)
        norm = None if place == "inside" else nn.BatchNorm2d
        self.conv3 = Layer(middle, out, norm=norm, relu=False)
        self.downsample = Layer(channels, out, relu=False) if channels != out else None
        if place is not None:
            self.IN = nn.InstanceNorm2d(out, affine=True)
        self.ain, self.place = ain, place

    def forward(self, x):
        reduced = self.conv1(x)
        streams = self.conv2 if self.ain else [getattr(self, f"conv2{c}") for c in "abcd"]
        mixed = self.conv3(sum(self.gate(stream(reduced)) for stream in streams))
        mixed = self.IN(mixed) if self.place == "inside" else mixed
        out = mixed + (x if self.downsample is None else self.downsample(x))
        return functional.relu(self.IN(out) if self.place == "after" else out)


class TorchreidOSNet(nn.Module):
    def __init__(self, width=0.25, variant="plain", classes=7):
        super().__init__()
        c = [int(channels * width) for channels in (64, 256, 384, 512)]
        ain = variant == "ain"
        instance = partial(nn.InstanceNorm2d, affine=True)
        first = nn.BatchNorm2d if variant == "plain" else instance
        places = {
            "plain": [None] * 6,
            "ibn": ["after", "after", None, None, None, None],
            "ain": ["inside", "inside", None, "inside", "inside", None],
        }[variant]
        self.conv1 = Layer(3, c[0], 7, 2, norm=first)
        for stage in range(3):
            blocks = [
                Block(c[stage + (i > 0)], c[stage + 1], ain, places[2 * stage + i])
                for i in range(2)
            ]
            pool = nn.Sequential(Layer(c[stage + 1], c[stage + 1]), nn.AvgPool2d(2))
            if ain or stage == 2:
                setattr(self, f"conv{stage + 2}", nn.Sequential(*blocks))
                if stage < 2:
                    setattr(self, f"pool{stage + 2}", pool)
            else:
                setattr(self, f"conv{stage + 2}", nn.Sequential(*blocks, pool))
        self.conv5 = Layer(c[3], c[3])
        self.fc = nn.Sequential(nn.Linear(c[3], 512), nn.BatchNorm1d(512), nn.ReLU())
        self.classifier = nn.Linear(512, classes)
        self.ain = ain

    def maps(self, x):
        x = functional.max_pool2d(self.conv1(x), 3, 2, 1)
        x = self.conv2(x)
        x = self.conv3(self.pool2(x) if self.ain else x)
        return self.conv5(self.conv4(self.pool3(x) if self.ain else x))

    def forward(self, x):
        return self.fc(self.maps(x).mean((2, 3)))


def randomised(net):
    """The network with statistics and factors of all norms drawn, in evaluation mode."""
    for module in net.modules():
        if isinstance(getattr(module, "running_var", None), torch.Tensor):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()
