"""HashNet: image → backbone → hash head → real outputs, whose signs are the code."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid_hash.config.schema import Config
from reid_hash.nn.backbones.build import build_backbone
from reid_hash.nn.frozen import FrozenNetwork
from reid_hash.nn.head import ElementwiseWeight, HashHead, MonotoneWeight, TanhLike

_FLAT = 1e-2  # variance below which an image is flat: a tenth of the usual deviation


class HashOutputs(NamedTuple):
    """Outputs of a HashNet for n images.

    Attributes:
        features: [n, features], the backbone's output.
        embedding: [n, features], the features after the neck: the network's float embedding.
        outputs: [n, bits], real outputs v, whose signs are the code.
    """

    features: Tensor
    embedding: Tensor
    outputs: Tensor


class HashNet(nn.Module):
    """The network of a run, as stored in a checkpoint.

    Args:
        config: the run's configuration.
        frozen: the backbone if it is an ONNX file (`model.backbone: onnx:FILE`), else None.

    Attributes:
        config: the run's configuration.
        backbone: image → features.
        head: features → outputs.
        tanh: outputs → relaxed codes in (-1, 1).
        weight: the element-wise weight layer.
        mean: [3] channel means of the training images, in 0 … 1, RGB.
        std: [3] channel deviations of the training images, in 0 … 1, RGB.
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
        """Normalise [n, height, width, 3] uint8 RGB by `mean` and `std` to [n, 3, …] float."""
        scaled = images.permute(0, 3, 1, 2).float() / 255
        return (scaled - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)

    def standardise(self, images: Tensor) -> Tensor:
        """Prepare normalised images [n, 3, height, width] for the backbone, in the same shape.

        If the configuration sets `standardise`, each channel of each image gets mean 0 and
        deviation 1, or less if it has hardly any contrast. Otherwise images are unchanged.
        """
        if not self.config.model.standardise:
            return images
        return functional.instance_norm(images, eps=_FLAT)

    def features(self, images: Tensor) -> Tensor:
        """Compute the backbone's output, [n, 3, …] normalised images → [n, features]."""
        found: Tensor = self.backbone(self.standardise(images))
        return found

    def forward(self, images: Tensor) -> HashOutputs:
        """Compute HashOutputs from normalised images [n, 3, height, width]."""
        features = self.features(images)
        embedding, outputs = self.head(features)
        return HashOutputs(features, embedding, outputs)

    def relax(self, outputs: Tensor) -> Tensor:
        """Relax outputs v [n, bits] to w∘o(v), the weighted relaxed codes that the losses use."""
        weighted: Tensor = self.weight(self.tanh(outputs))
        return weighted

    def significance(self) -> Tensor:
        """Compute each bit's significance [bits] from its learned factor w: w², |w|, or 1 for all.

        See `weights` in the configuration. Likelihood ratios depend on images and are 1 here.
        """
        factors = self.weight.weight
        if self.config.model.weights in ("learned", "monotone"):
            return factors.square()
        if self.config.model.weights == "magnitude":
            return factors.abs()
        return torch.ones_like(factors)

    @torch.no_grad()
    def reorder(self, order: Tensor) -> None:
        """Permute the bits in place: the new bit k is the old bit order[k].

        Factors that fall by construction are not permuted, as they are in order already.
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
