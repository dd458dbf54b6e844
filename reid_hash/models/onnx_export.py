"""Checkpoint → ONNX file: the whole path from pictures to outputs in one graph.

Normalisation and the average with the mirror image are in the graph, so whoever runs the file
elsewhere cannot get them wrong; the metadata hold what else codes need. `OnnxEncoder` runs it.
"""

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reid_hash.errors import CheckpointError
from reid_hash.models.onnx_encoder import (
    FORMAT,
    INPUT,
    OUTPUTS,
    OnnxEncoder,
    probe_picture,
    relative_difference,
)
from reid_hash.models.torch_encoder import network_outputs
from reid_hash.nn.checkpoint import Checkpoint, metadata_of
from reid_hash.nn.folding import fold_batch_norm
from reid_hash.nn.frozen import FrozenNetwork
from reid_hash.nn.hashnet import HashNet
from reid_hash.utils.files import json_text, replacing
from reid_hash.utils.onnx_file import first_line, import_onnxruntime

OPSET = 17
"""Version of the operators: onnxruntime has had it since 1.12, OpenCV's reader knows it too."""

_LIMIT = 1e-3
"""Largest relative difference from torch that an export may have; rounding is some 1e-6."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        file: the ONNX file.
        size: its bytes.
        difference: largest difference of an output from torch's, relative to the outputs' norm.
    """

    file: Path
    size: int
    difference: float


class _Whole(nn.Module):
    """Pictures → (outputs, embedding), as `network_outputs` computes them."""

    mirror: Tensor

    def __init__(self, net: HashNet) -> None:
        super().__init__()
        self.net = net
        self.flip = net.config.model.flip_average
        self.features = int(net.backbone.features)  # type: ignore[arg-type]
        # columns from right to left as indices: OpenCV cannot read flip's backward slice
        self.register_buffer("mirror", torch.arange(net.config.data.width - 1, -1, -1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[n, height, width, 3] uint8 RGB → (outputs [n, bits], embedding [n, features])."""
        if self.flip:
            images = torch.cat([images, images.index_select(2, self.mirror)])
        _, embedding, outputs = self.net(self.net.normalise(images))
        if self.flip:
            # widths as numbers: asked of the tensors they would be computed in the graph
            embedding = embedding.view(2, -1, self.features).mean(0)
            outputs = outputs.view(2, -1, self.net.config.model.bits).mean(0)
        return outputs, embedding


def export_onnx(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> Exported:
    """Write a network as ONNX, whole or not at all, and compare it with torch before.

    The input `images` is [n, height, width, 3] uint8 RGB, any n; the outputs are `outputs`
    [n, bits] and `embedding` [n, features], float32. The metadata hold what a checkpoint's hold,
    and the fingerprint.

    Args:
        checkpoint: the network, on the CPU.
        path: the file to write.

    Raises:
        CheckpointError: the extra `onnx` is not installed; the backbone cannot be exported, or
            runs into other outputs.
    """
    if isinstance(checkpoint.net.backbone, FrozenNetwork):
        raise CheckpointError(
            f"{checkpoint.net.config.model.backbone} lies within the checkpoint as it is, and is "
            "not joined with what was trained on top; fit a head with `reid-hash fit`, and join "
            "them with `export onnx --network --head`"
        )
    model = _graph(checkpoint)
    data = checkpoint.net.config.data
    shape = f"[n, {data.height}, {data.width}, 3] uint8 RGB"
    model.doc_string = f"{shape} → outputs [n, bits], whose signs are the code, and embedding"
    model.graph.name = "reid_hash"
    probe, _ = network_outputs(
        checkpoint.net,
        probe_picture(data.height, data.width),
        flip=checkpoint.net.config.model.flip_average,
    )
    metadata = metadata_of(checkpoint) | {
        "format": FORMAT,
        "fingerprint": checkpoint.fingerprint,
        "probe": json_text([float(f"{value:.5g}") for value in probe[0]]),
    }
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        size = temporary.stat().st_size
        try:
            difference = _difference(checkpoint.net, OnnxEncoder(temporary, "cpu"))
        except CheckpointError as error:
            # the file that the message names is gone before anybody reads it
            reason = str(error).replace(str(temporary), "the exported graph")
            raise _failure(checkpoint.net, reason) from error
        if difference > _LIMIT:
            raise _failure(checkpoint.net, f"outputs differ by {difference:.2g} from torch's")
    return Exported(Path(path), size, difference)


def _graph(checkpoint: Checkpoint) -> Any:
    """The network as an onnx.ModelProto."""
    try:
        import onnx

        import_onnxruntime()  # needed at the end: said before the work
    except ImportError as error:
        raise CheckpointError(
            "exporting needs onnx and onnxruntime: pip install 'reid-hash[onnx]'"
        ) from error
    net = checkpoint.net
    data = net.config.data
    pictures = torch.zeros(2, data.height, data.width, 3, dtype=torch.uint8)
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes that are constants here, and see below
        try:
            # dynamo=False: the tracing exporter takes a tenth of the time for the same graph, and
            # no package beside onnx; torch calls it legacy
            torch.onnx.export(
                _Whole(fold_batch_norm(net.eval())).eval(),
                (pictures,),
                written,  # type: ignore[arg-type]
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_axes={name: {0: "n"} for name in (INPUT, *OUTPUTS)},
            )
        except Exception as error:  # whatever stops it, the user can only take another network
            raise _failure(net, first_line(error)) from error
    return onnx.load_model_from_string(written.getvalue())


def _failure(net: HashNet, reason: str) -> CheckpointError:
    return CheckpointError(f"model.backbone {net.config.model.backbone} as ONNX: {reason}")


def _difference(net: HashNet, encoder: OnnxEncoder) -> float:
    """Largest relative difference of outputs and embedding from torch's."""
    worst = 0.0
    for n in (1, 3):  # not the number it was traced with
        images = np.random.default_rng(n).integers(0, 256, (n, *encoder.size, 3), np.uint8)
        flip = net.config.model.flip_average
        try:
            found = encoder.outputs(images)
        except Exception as error:  # onnxruntime's failures have no common class
            raise CheckpointError(f"{n} images: {first_line(error)}") from error
        pairs = zip(found, network_outputs(net, images, flip=flip), strict=True)
        worst = max(worst, *(relative_difference(a, b) for a, b in pairs))
    return worst
