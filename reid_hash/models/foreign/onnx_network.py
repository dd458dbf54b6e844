"""Anybody's ONNX file, run by onnxruntime."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.foreign.inputs import PRESETS
from reid_hash.models.foreign.network import (
    FloatNetwork,
    Network,
    as_input,
    as_rows,
    file_bytes,
    fingerprint,
    picture_layout,
    settle_inputs,
    settle_size,
)
from reid_hash.utils.onnx_file import fields, first_line, open_session, read_onnx

_GRAPH, _NODE, _OP_TYPE = 7, 1, 4  # fields of ModelProto, GraphProto, NodeProto
_BEFORE = (b"Constant", b"Identity", b"Cast", b"Transpose", b"Gather")
"""What may stand before a normalisation."""

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


class OnnxNetwork(FloatNetwork):
    """An ONNX file with one input of pictures; name, size, layout and batch are read from it.

    Args:
        network: what was named.
        device: see `open_session`.

    Raises:
        CheckpointError: the file is missing, damaged, or takes something else than pictures.
        ConfigError: an option does not fit the file, or there is no such device.
    """

    def __init__(self, network: Network, device: str = "auto") -> None:
        self.name = network.file
        self._session = open_session(network.file, device)
        given = self._session.get_inputs()
        if len(given) != 1:
            names = ", ".join(one.name for one in given) or "none"
            raise CheckpointError(f"{self.name} has {len(given)} inputs ({names}), not one")
        self.input = given[0].name
        self.channels_last, batch, height, width = picture_layout(self.name, list(given[0].shape))
        if given[0].type not in _TYPES:
            raise CheckpointError(f"{self.name} takes {given[0].type}, which is no picture")
        self.dtype = np.dtype(_TYPES[given[0].type])
        raw = self.dtype.kind == "u"
        guess = PRESETS["fastreid" if raw or _normalises(network.file) else "imagenet"]
        self.size = settle_size(network, self.name, height, width)
        self.inputs = settle_inputs(network, self.name, guess)
        self._fixed = batch if isinstance(batch, int) and batch > 0 else None
        self.output = self._output(network.output)
        self._settle_batch()
        content = file_bytes(network.file)
        self.fingerprint = fingerprint(content, self.inputs, self.size, self.output)

    def _output(self, named: str | None) -> str:
        """The output to take: the named one, else the only one, or the only one of vectors."""
        outputs = self._session.get_outputs()
        names = [one.name for one in outputs]
        if named is not None:
            if named not in names:
                raise ConfigError(
                    f"--network-output {named}: {self.name} has {', '.join(names)} alone"
                )
            return named
        if len(names) == 1:
            return str(names[0])
        flat = [one.name for one in outputs if len(one.shape) == 2]
        if len(flat) == 1:
            return str(flat[0])
        shapes = ", ".join(f"{one.name} {list(one.shape)}" for one in outputs)
        raise ConfigError(f"{self.name} has several outputs: {shapes}; name one: --network-output")

    def _settle_batch(self) -> None:
        """Find by trying how long the floats are, and whether several pictures go at once."""
        picture = np.zeros((1, *self.size, 3), np.uint8)
        if self._fixed is not None:
            self.batch = self._fixed
        try:
            self.features = self._run(picture).shape[1]
        except CheckpointError:
            raise
        except Exception as error:  # onnxruntime's failures have no common class
            raise CheckpointError(f"{self.name} cannot be run: {first_line(error)}") from error
        if self._fixed is None:
            try:
                self._run(picture.repeat(2, axis=0))
            except Exception:  # the file says any number, but a layer was traced with one
                self.batch = 1

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        planes = as_input(self.inputs, images, self.dtype, self.channels_last, self._fixed)
        (made,) = self._session.run([self.output], {self.input: planes})
        return as_rows(made, len(planes), self.name)[: len(images)]


def _normalises(path: str) -> bool:
    """Whether a graph begins with its own normalisation: by subtracting, dividing, multiplying."""
    graph = next((v for n, v in fields(memoryview(read_onnx(path))) if n == _GRAPH), b"")
    if isinstance(graph, int):
        return False
    for number, node in fields(memoryview(graph)):
        if number != _NODE or isinstance(node, int):
            continue
        kinds = (v for n, v in fields(node) if n == _OP_TYPE and not isinstance(v, int))
        kind = bytes(next(kinds, b""))
        if kind not in _BEFORE:
            return kind in (b"Sub", b"Div", b"Mul")
    return False
