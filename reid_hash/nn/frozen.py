"""Somebody's ONNX file as a backbone that is not trained: the checkpoint holds it, byte by byte."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from reid_hash.errors import ConfigError

PREFIX = "onnx:"
"""What names such a backbone: `model.backbone: onnx:FILE`."""

_CONTENT, _TAKES = "backbone._extra_state", "head.project.weight"


class FrozenNetwork(nn.Module):
    """What an ONNX file gives for images, which `models.frozen` runs: here it passes through.

    Args:
        content: [n] uint8, the ONNX file.
        features: how many floats it gives for an image.

    Attributes:
        content: likewise. It is in the state, but no buffer: buffers are averaged and moved.
        features: likewise.
    """

    def __init__(self, content: Tensor, features: int) -> None:
        super().__init__()
        self.content, self.features = content, features

    @classmethod
    def in_state(cls, tensors: Mapping[str, Tensor]) -> "FrozenNetwork":
        """That of a network whose tensors these are; RuntimeError where there is none."""
        content, project = tensors.get(_CONTENT), tensors.get(_TAKES)
        if content is None or content.ndim != 1 or content.dtype != torch.uint8:
            raise RuntimeError("it names an ONNX file, and holds none")
        if project is None or project.ndim != 2:
            raise RuntimeError("its hash layer is missing")
        return cls(content, int(project.shape[1]))

    def get_extra_state(self) -> Tensor:
        """The file."""
        return self.content

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse another file with RuntimeError, as tensors of another shape are."""
        if not torch.equal(state.cpu(), self.content):
            raise RuntimeError("the ONNX file of model.backbone is another one than there was")

    def forward(self, vectors: Tensor) -> Tensor:
        """[n, features] → the same; images are for `models.frozen`."""
        if vectors.ndim != 2:
            raise ConfigError("a backbone that is an ONNX file is not run by torch")
        return vectors
