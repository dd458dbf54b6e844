"""Build a backbone by its name: the paper's network, a slim ResNet, OSNet, or one of timm."""

from pickle import UnpicklingError  # nosec B403  # the exception only
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from reid_hash.config.schema import timm_name
from reid_hash.errors import ConfigError
from reid_hash.nn.backbones.airbench import WhitenedNet
from reid_hash.nn.backbones.osnet import OSNet
from reid_hash.nn.backbones.slim_resnet import SLIM, SlimResNet, StripePool

WHOLE = "paper-whole"
"""The backbone "paper" without its crop of 32×32 images, as in the first versions."""


class PaperNet(nn.Sequential):
    """The network of Zhang et al. 2015 for 32×32 images, up to its 512 features.

    A crop of 30×30 → conv5×5/32 stride 2 → conv5×5/64 → conv5×5/128, each with ReLU and 2×2 average
    pooling of stride 1, → FC512: 554,112 parameters with 64 bits. Images of 32×32 are cropped in
    the middle; training passes random crops (`training.augmentation.random_crop`). Images of
    another size are not cropped. If they are larger than 40 pixels, the convolutions are padded and
    the pooling layers have stride 2 (the paper's network for pedestrians was not released).

    Args:
        height: image height in pixels.
        width: image width in pixels.
        cropped: False for the same layers on whole images of 32×32, 881,792 parameters with 64
            bits. This is model.backbone "paper-whole", found in checkpoints of the first versions.

    Attributes:
        crop: side of the crop in pixels; None without a crop.
    """

    features = 512

    def __init__(self, height: int, width: int, cropped: bool = True) -> None:
        crop = 30 if cropped and height == width == 32 else None
        if crop is not None:
            height = width = crop
        small = max(height, width) <= 40 and min(height, width) >= 28
        stride, padding = (1, 0) if small else (2, 2)
        layers: list[nn.Module] = []
        channels = 3
        for out, step in ((32, 2), (64, 1), (128, 1)):
            layers += [
                nn.Conv2d(channels, out, 5, step, padding),
                nn.ReLU(inplace=True),
                nn.AvgPool2d(2, stride),
            ]
            channels = out
        with torch.no_grad():
            flat = nn.Sequential(*layers)(torch.zeros(1, 3, height, width)).numel()
        super().__init__(
            *layers, nn.Flatten(), nn.Linear(flat, self.features), nn.ReLU(inplace=True)
        )
        for layer in self:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # PyTorch's own initialisation gives all images nearly equal codes, from which
                # triplets without batch norm collapse into one code
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.crop = crop

    def forward(self, images: Tensor) -> Tensor:
        """Compute features, [n, 3, height, width] → [n, 512]; crops are not cropped again."""
        if self.crop is not None and images.shape[-1] != self.crop:
            edge = (images.shape[-1] - self.crop) // 2
            images = images[..., edge : edge + self.crop, edge : edge + self.crop]
        features: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return features


class TimmBackbone(nn.Module):
    """Any timm network, without its classifier.

    Args:
        name: architecture in timm's registry; a tag after a dot selects its weights.
        pretrained: load the weights that timm downloads.
        stripes: number of horizontal stripes of the last feature map to pool separately. None
            keeps the network's own pooling or, with output_stride, pools the whole map.
        output_stride: input pixels per position of the last stage's feature map; layers that
            widen that map for a classifier are left out. Stages that would be coarser keep their
            resolution ("last stride 1" of Luo et al. 2019), without dilated convolutions. None
            keeps the published network.

    Attributes:
        mean: [3] channel means, in 0 … 1, that the published weights expect.
        std: [3] channel deviations, in 0 … 1, that the published weights expect.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool,
        stripes: int | None = None,
        output_stride: int | None = None,
    ) -> None:
        super().__init__()
        import timm  # imported here: slow to import, and most networks do not need it

        if not timm.is_model(name):
            raise ConfigError(f"timm has no network {name}; see timm.list_models()")

        form: dict[str, Any] = {"num_classes": 0}
        if output_stride is not None:
            form = {"features_only": True, "out_indices": (-1,), "output_stride": output_stride}
            stripes = stripes or 1
        elif stripes is not None:
            form["global_pool"] = ""
        try:
            self.net = timm.create_model(name, pretrained=pretrained, **form)
        except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
            if output_stride is None:
                raise
            raise ConfigError(
                f"timm's {name} takes no model.output_stride of {output_stride} ({error}); set it "
                "to null"
            ) from error
        except RuntimeError as error:
            raise ConfigError(f"timm has no network {name}: {error}") from error
        except OSError as error:
            raise ConfigError(
                f"the weights of {name} cannot be downloaded ({error}); give a local file as "
                "model.pretrained, or null to start from random weights"
            ) from error
        self.pool = nn.Identity() if stripes is None else StripePool(stripes)
        if output_stride is not None:
            _undilate(self.net)
            features = self.net.feature_info.channels()[-1]  # type: ignore[operator,union-attr]
        else:  # the actual output: some networks have another layer after num_features
            features = getattr(self.net, "head_hidden_size", None) or self.net.num_features
        self.features = int(features) * (stripes or 1)  # type: ignore[arg-type]
        self.mean = tuple(self.net.pretrained_cfg["mean"])  # type: ignore[index]
        self.std = tuple(self.net.pretrained_cfg["std"])  # type: ignore[index]

    def forward(self, images: Tensor) -> Tensor:
        """Compute features, [n, 3, height, width] → [n, features]."""
        features = self.net(images)
        if isinstance(features, list):  # of the requested stages, which is a single one
            features = features[0]
        if features.ndim != 4 and not isinstance(self.pool, nn.Identity):
            raise ConfigError("model.stripes is for networks whose last layer is a map of places")
        pooled: Tensor = self.pool(features)
        return pooled


def _undilate(net: nn.Module) -> None:
    """Remove the dilation that timm adds to stages that keep their resolution.

    Dilation preserves their field of view, but makes a step of EfficientNet-lite0 at 160×64 take
    1.6 times as long on two cores.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.dilation != (1, 1):
            if not isinstance(module.padding, str):
                pairs = zip(module.padding, module.dilation, strict=True)
                module.padding = tuple(side // spread for side, spread in pairs)
            module.dilation = (1, 1)


def build_backbone(
    name: str,
    height: int,
    width: int,
    pretrained: str | None = None,
    stripes: int | None = None,
    freeze: tuple[str, ...] = (),
    soft_stripes: bool = False,
    output_stride: int | None = None,
) -> nn.Module:
    """Make a backbone.

    Args:
        name: "paper", "paper-whole", one of `SLIM`, "airbench", "osnet-x1.0" … "osnet-x0.25", or
            "timm:NAME".
        height: input height in pixels.
        width: input width in pixels.
        pretrained: None for random weights, "timm" to download weights, or a weights file whose
            tensors have the network's own names.
        stripes: for timm networks, see `TimmBackbone`; other networks have their own stripes.
        freeze: for timm networks, names of modules whose weights and batch norm statistics are
            not trained.
        soft_stripes: for networks that pool by stripes, see `StripePool`.
        output_stride: for timm networks, see `TimmBackbone`.

    Returns:
        A module [n, 3, height, width] → [n, features], with the attribute `features`.

    Raises:
        ConfigError: the name is unknown, or the weights do not match the network.
    """
    if name in ("paper", WHOLE):
        net: nn.Module = PaperNet(height, width, name == "paper")
    elif name in SLIM:
        net = SlimResNet(**SLIM[name])
    elif name == "airbench":
        net = WhitenedNet()
    elif name.startswith("osnet-x"):
        net = OSNet(_multiplier(name))
    elif name.startswith("timm:"):
        try:
            network = str(timm_name(name))
        except ValueError as error:
            raise ConfigError(f"model.backbone: {error}") from error
        net = TimmBackbone(network, pretrained == "timm", stripes, output_stride)
    else:
        known = ", ".join(
            ["paper", WHOLE, *SLIM, "airbench", "osnet-x1.0 … osnet-x0.25", "timm:NAME"]
            + ["onnx:FILE (trained on top of by `reid-hash train`)"]
        )
        raise ConfigError(f"unknown model.backbone {name}; known: {known}")
    if stripes is not None and not name.startswith("timm:"):
        raise ConfigError(f"model.stripes is for timm's networks, not for {name}: set it to null")
    if output_stride is not None and not name.startswith("timm:"):
        raise ConfigError(f"model.output_stride is for timm's networks, not {name}: set it to null")
    if pretrained == "timm" and not name.startswith("timm:"):
        raise ConfigError(f"timm has no weights for model.backbone {name}")
    if pretrained is not None and pretrained != "timm":
        _load_weights(net, pretrained)
    if freeze:
        _freeze(net, freeze)
    if soft_stripes:
        pools = [module for module in net.modules() if isinstance(module, StripePool)]
        if not pools:
            raise ConfigError(f"model.soft_stripes: {name} has no stripes; set it to false")
        for pool in pools:
            pool.soft = True
    return net


def _freeze(net: nn.Module, names: tuple[str, ...]) -> None:
    if not isinstance(net, TimmBackbone):
        raise ConfigError("model.freeze is for timm's networks: leave it empty")
    from timm.utils.model import freeze

    known = dict(net.net.named_modules())
    for name in names:
        if name not in known or not name:
            have = ", ".join(child for child, _ in net.net.named_children())
            raise ConfigError(f"model.freeze: the network has no {name}; it has {have}")
    freeze(net.net, list(names))  # type: ignore[no-untyped-call]


def _multiplier(name: str) -> float:
    try:
        value = float(name.removeprefix("osnet-x"))
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 2:
        raise ConfigError(f"model.backbone {name}: the width is a number from 0.1 to 2")
    return value


def _load_weights(net: nn.Module, path: str) -> None:
    inner = net.net if isinstance(net, TimmBackbone) else net
    try:
        if path.endswith(".safetensors"):
            tensors = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(
            f"model.pretrained: cannot read {path}: no such file; make one (EfficientNet-lite0: "
            'tools/convert_efficientnet_lite0.py), or take "timm", which downloads'
        ) from error
    except (OSError, SafetensorError, UnpicklingError, RuntimeError) as error:
        raise ConfigError(f"model.pretrained: cannot read {path}: {error}") from error
    missing, _ = inner.load_state_dict(tensors, strict=False)
    if missing:
        raise ConfigError(
            f"model.pretrained: {path} lacks {len(missing)} of the network's tensors, "
            f"such as {missing[0]}"
        )
