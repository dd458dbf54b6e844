"""HashNet: image → backbone → hash head → real outputs, of which the signs are the code."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid_hash.config.schema import Config
from reid_hash.nn.backbones import build_backbone
from reid_hash.nn.frozen import FrozenNetwork
from reid_hash.nn.head import ElementwiseWeight, HashHead, MonotoneWeight, TanhLike

_FLAT = 1e-2  # variance below which an image is flat: a tenth of the usual deviation


class HashOutputs(NamedTuple):
    """What a HashNet gives for n images.

    Attributes:
        features: [n, features], the backbone's output.
        embedding: [n, features], after the neck: the float embedding of the network.
        outputs: [n, bits] real outputs v; the code is their sign.
    """

    features: Tensor
    embedding: Tensor
    outputs: Tensor


class HashNet(nn.Module):
    """The network of a run; a checkpoint holds one.

    Args:
        config: the run's configuration.
        frozen: the backbone, where it is somebody's ONNX file (`model.backbone: onnx:FILE`).

    Attributes:
        config: the run's configuration.
        backbone: image → features.
        head: features → outputs.
        tanh: outputs → relaxed codes in (-1, 1).
        weight: the element-wise weight layer.
        mean: [3] of the training images, in 0 … 1, RGB.
        std: [3] likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config, frozen: FrozenNetwork | None = None) -> None:
        super().__init__()
        self.config = config
        model, data = config.model, config.data
        self.backbone = frozen or build_backbone(
            model.backbone,
            data.height,
            data.width,
            model.pretrained,
            model.stripes,
            model.freeze,
            model.soft_stripes,
            model.output_stride,
        )
        features = int(self.backbone.features)  # type: ignore[arg-type]
        self.head = HashHead(features, model.bits, model.batch_norm, model.dropout)
        self.tanh = TanhLike(config.loss.beta)
        weight = MonotoneWeight if model.weights == "monotone" else ElementwiseWeight
        self.weight: ElementwiseWeight | MonotoneWeight = weight(model.bits)
        self.register_buffer("mean", torch.full((3,), 0.5))
        self.register_buffer("std", torch.full((3,), 0.25))

    def normalise(self, images: Tensor) -> Tensor:
        """[n, height, width, 3] uint8 RGB → [n, 3, height, width] float, mean 0 and deviation 1."""
        scaled = images.permute(0, 3, 1, 2).float() / 255
        return (scaled - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)

    def standardise(self, images: Tensor) -> Tensor:
        """[n, 3, height, width] normalised images as the backbone sees them, the same shape.

        With `standardise` of the configuration each channel of each image gets mean 0 and
        deviation 1, less where it has hardly any contrast; else they stay as they are.
        """
        if not self.config.model.standardise:
            return images
        return functional.instance_norm(images, eps=_FLAT)

    def features(self, images: Tensor) -> Tensor:
        """[n, 3, height, width] normalised images → [n, features], the backbone's output."""
        found: Tensor = self.backbone(self.standardise(images))
        return found

    def forward(self, images: Tensor) -> HashOutputs:
        """[n, 3, height, width] normalised images → HashOutputs."""
        features = self.features(images)
        embedding, outputs = self.head(features)
        return HashOutputs(features, embedding, outputs)

    def relax(self, outputs: Tensor) -> Tensor:
        """Outputs v [n, bits] → w∘o(v), the weighted relaxed codes that the losses see."""
        weighted: Tensor = self.weight(self.tanh(outputs))
        return weighted

    def significance(self) -> Tensor:
        """[bits] what a differing bit counts by its learned factor w: w², |w|, or 1 for all.

        See `weights` of the configuration; likelihood ratios come from images, and are 1 here.
        """
        factors = self.weight.weight
        if self.config.model.weights in ("learned", "monotone"):
            return factors.square()
        if self.config.model.weights == "magnitude":
            return factors.abs()
        return torch.ones_like(factors)

    @torch.no_grad()
    def reorder(self, order: Tensor) -> None:
        """Permute the bits in place: bit k becomes what bit order[k] was.

        Factors that fall by construction stay where they are: they are in order already.
        """
        head = self.head
        parameters = [*head.project.parameters(), *head.norm.parameters()]
        if isinstance(self.weight, ElementwiseWeight):
            parameters.append(self.weight.weight)
        for parameter in parameters:
            parameter.copy_(parameter[order])
        for buffer in head.norm.buffers():
            if buffer.ndim:
                buffer.copy_(buffer[order])
