"""OpenVINO's files: NAME.xml, the graph, with NAME.bin, the weights."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.foreign.inputs import PRESETS
from reid_hash.models.foreign.network import (
    FloatNetwork,
    Network,
    as_input,
    as_rows,
    fingerprint,
    picture_layout,
    settle_inputs,
    settle_size,
)
from reid_hash.utils.files import is_ordinary
from reid_hash.utils.onnx_file import first_line

_MOST_BYTES = 2**31 - 1
_DEVICES = {"auto": "CPU", "cpu": "CPU"}
_TYPES = {"f32": np.float32, "f16": np.float16, "f64": np.float64, "u8": np.uint8}


class OpenvinoNetwork(FloatNetwork):
    """A network in OpenVINO's form, with one input of pictures.

    Both files are handed over as bytes, so that nothing else is opened.

    Args:
        network: what was named; NAME.bin lies beside NAME.xml.
        device: "auto" or "cpu".

    Raises:
        CheckpointError: openvino is not installed; a file is missing or damaged, or takes something
            else than pictures.
        ConfigError: an option does not fit the file, or another device is asked for.
    """

    def __init__(self, network: Network, device: str = "auto") -> None:
        self.name = network.file
        if device not in _DEVICES:
            raise ConfigError(f"--device {device}: OpenVINO's files run with cpu alone")
        try:
            import openvino
        except ImportError as error:
            raise CheckpointError(
                f"{self.name} needs openvino: pip install 'reid-hash[openvino]'"
            ) from error
        graph, weights = _read(Path(self.name)), _read(Path(self.name).with_suffix(".bin"))
        core = openvino.Core()
        try:
            model: Any = core.read_model(graph, openvino.Tensor(np.frombuffer(weights, np.uint8)))
        except Exception as error:  # its failures are plain RuntimeErrors of several lines
            raise self._damaged(error) from error
        if len(model.inputs) != 1:
            raise CheckpointError(f"{self.name} has {len(model.inputs)} inputs, not one")
        given = model.inputs[0]
        if given.partial_shape.rank.is_dynamic:
            raise CheckpointError(f"{self.name} takes an input of any rank, not pictures")
        form = [one.get_length() if one.is_static else -1 for one in given.partial_shape]
        self.channels_last, batch, height, width = picture_layout(self.name, form)
        kind = given.element_type.get_type_name()
        if kind not in _TYPES:
            raise CheckpointError(f"{self.name} takes {kind}, which is no picture")
        self.dtype = np.dtype(_TYPES[kind])
        self.size = settle_size(network, self.name, height, width)
        self.inputs = settle_inputs(network, self.name, PRESETS["openvino"])
        self.batch = batch if batch > 0 else self.batch
        self._fixed = batch > 0
        self._output = self._pick(model, network.output)
        try:
            # in the processor's own precision some bits of the codes would be others
            settings = {"INFERENCE_PRECISION_HINT": "f32"}
            self._compiled = core.compile_model(model, _DEVICES[device], settings)
            self.features = self._run(np.zeros((1, *self.size, 3), np.uint8)).shape[1]
        except CheckpointError:
            raise
        except Exception as error:
            raise self._damaged(error) from error
        output = str(self._output)
        self.fingerprint = fingerprint(iter((graph, weights)), self.inputs, self.size, output)

    def _damaged(self, error: Exception) -> CheckpointError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else first_line(error)
        return CheckpointError(
            f"{self.name} is damaged, or no file that OpenVINO can run: {reason}"
        )

    def _pick(self, model: Any, named: str | None) -> int:
        """Number of the output to take."""
        outputs = model.outputs
        names = [", ".join(sorted(one.get_names())) or str(i) for i, one in enumerate(outputs)]
        if named is not None:
            found = [i for i, one in enumerate(outputs) if named in one.get_names()]
            if not found:
                raise ConfigError(
                    f"--network-output {named}: {self.name} has {'; '.join(names)} alone"
                )
            return found[0]
        if len(outputs) != 1:
            raise ConfigError(
                f"{self.name} has {len(outputs)} outputs ({'; '.join(names)}); name one: "
                "--network-output"
            )
        return 0

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        fixed = self.batch if self._fixed else None
        planes = as_input(self.inputs, images, self.dtype, self.channels_last, fixed)
        made = self._compiled([planes])[self._output]
        return as_rows(made, len(planes), self.name)[: len(images)]


def _read(path: Path) -> bytes:
    if not is_ordinary(path):
        there = path.exists()
        what = f"{path} is no file" if there else f"no such file: {path}"
        raise CheckpointError(f"{what}; .xml and .bin belong together")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CheckpointError(f"{path} is larger than 2 GB")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
