"""Backbones: image → feature vector. The paper's network, a slim residual network, OSNet, timm."""

from pickle import UnpicklingError  # nosec B403  # an exception alone
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from reid_hash.config.schema import timm_name
from reid_hash.errors import ConfigError
from reid_hash.nn.airbench import WhitenedNet
from reid_hash.nn.osnet import OSNet
from reid_hash.nn.slim_resnet import SLIM, SlimResNet, StripePool

WHOLE = "paper-whole"
"""The backbone "paper" without its crop of 32×32 images, as the first versions had it."""


class PaperNet(nn.Sequential):
    """The network of Zhang et al. 2015 for 32×32 images, up to its 512 features.

    A crop of 30×30 → conv5×5/32 stride 2 → conv5×5/64 → conv5×5/128, each with ReLU and 2×2 average
    pooling of stride 1, → FC512: 554,112 parameters with 64 bits. Images of 32×32 are cropped in
    the middle; a training hands over crops drawn at random (`training.augmentation.random_crop`).
    Images of another size are not cropped; if they are larger than 40 pixels, the convolutions are
    padded and the poolings have stride 2 (the paper's network for pedestrians was not released).

    Args:
        height: height of the images in pixels.
        width: width of the images in pixels.
        cropped: False for the same layers on whole images of 32×32, 881,792 parameters with 64
            bits: model.backbone "paper-whole", which checkpoints of the first versions have.

    Attributes:
        crop: side of the crop in pixels; None where there is none.
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
                # torch's own start makes nearly equal codes for all images, from which triplets
                # without batch norm fall into one code
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.crop = crop

    def forward(self, images: Tensor) -> Tensor:
        """[n, 3, height, width] → [n, 512]; crops are taken as they are."""
        if self.crop is not None and images.shape[-1] != self.crop:
            edge = (images.shape[-1] - self.crop) // 2
            images = images[..., edge : edge + self.crop, edge : edge + self.crop]
        features: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return features


class TimmBackbone(nn.Module):
    """Any network of timm, without its classifier.

    Args:
        name: of an architecture in timm's registry; a tag after a point picks its weights.
        pretrained: load the weights that timm downloads.
        stripes: horizontal stripes of the last map that are pooled apart; None for the network's
            own pooling, or with output_stride for one stripe, the whole map.
        output_stride: pixels of the input for one place of the last map, which then is that of the
            last stage: layers after it that widen it for a classifier are left out. Stages that
            would be coarser keep their resolution (the "last stride 1" of Luo et al. 2019), without
            dilated convolutions in them. None for the network as it was published.

    Attributes:
        mean: of each channel, in 0 … 1, that the network's published weights expect.
        std: likewise.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool,
        stripes: int | None = None,
        output_stride: int | None = None,
    ) -> None:
        super().__init__()
        import timm  # here: it takes longer to import than all else, and most networks need none

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
        else:  # what comes out: some networks have one more layer after their num_features
            features = getattr(self.net, "head_hidden_size", None) or self.net.num_features
        self.features = int(features) * (stripes or 1)  # type: ignore[arg-type]
        self.mean = tuple(self.net.pretrained_cfg["mean"])  # type: ignore[index]
        self.std = tuple(self.net.pretrained_cfg["std"])  # type: ignore[index]

    def forward(self, images: Tensor) -> Tensor:
        """[n, 3, height, width] → [n, features]."""
        features = self.net(images)
        if isinstance(features, list):  # of the stages asked for, of which there is one
            features = features[0]
        if features.ndim != 4 and not isinstance(self.pool, nn.Identity):
            raise ConfigError("model.stripes is for networks whose last layer is a map of places")
        pooled: Tensor = self.pool(features)
        return pooled


def _undilate(net: nn.Module) -> None:
    """Take out the dilation that timm gives stages that keep their resolution.

    It keeps their field of view, but with it a step of EfficientNet-lite0 at 160×64 takes 1.6 times
    as long on two cores.
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
        height: of the input, in pixels.
        width: of the input, in pixels.
        pretrained: None for random weights, "timm" to download, or a weights file whose tensors
            have the network's own names.
        stripes: of timm's networks, see `TimmBackbone`; the others have their own.
        freeze: of timm's networks: modules, by their names there, whose weights and batch norm
            statistics stay as they are.
        soft_stripes: of networks that pool by stripes, see `StripePool`.
        output_stride: of timm's networks, see `TimmBackbone`.

    Returns:
        A module [n, 3, height, width] → [n, features]; its attribute `features` is that length.

    Raises:
        ConfigError: unknown name, or weights that do not fit.
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
