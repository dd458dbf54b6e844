"""A network of others and its head → one ONNX file, which `--model` takes as any other.

Pictures in, real outputs and floats out: what the network expects of its input is in the graph, and
the head is behind it. `OnnxEncoder` runs it, with the fingerprint of the pair.
"""

import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CheckpointError
from reid_hash.models.foreign.encoder import ForeignEncoder
from reid_hash.models.foreign.onnx_network import OnnxNetwork
from reid_hash.models.onnx_encoder import FORMAT, INPUT, OUTPUTS, OnnxEncoder, probe_picture
from reid_hash.utils.files import json_text, replacing
from reid_hash.utils.onnx_file import first_line, read_onnx

_PREFIX = "network/"  # before all names of the network, which may be those of this file
_OPSET = 17  # of networks that torch runs
_LIMIT = 1e-3  # largest relative difference of outputs; rounding is some 1e-6
_TRIED = 16  # pictures on which bits are compared
_SMALLEST = 1e-12  # norm below which a vector counts as zero


@dataclass(frozen=True)
class Joined:
    """What was written.

    Attributes:
        file: the ONNX file.
        size: its bytes.
        bits: how many bits were compared with those of the pair.
        differing: how many of them differ, by rounding.
    """

    file: Path
    size: int
    bits: int
    differing: int


def export_joined(pair: ForeignEncoder, path: str | os.PathLike[str]) -> Joined:
    """Write a network with its head as one ONNX file, whole or not at all.

    Before it is written the file is run, and compared with the pair.

    Args:
        pair: the network, of ONNX or torch, with a head.
        path: the file to write.

    Raises:
        CheckpointError: there is no head; the extra `onnx` is not installed; the graph cannot be
            joined, takes one number of pictures alone, or computes something else.
    """
    pair.binarise(np.zeros((0, pair.bits)))  # without a head it says so
    try:
        import onnx
    except ImportError as error:
        raise CheckpointError(
            "exporting needs onnx and onnxruntime: pip install 'reid-hash[onnx]'"
        ) from error
    try:
        model = _join(pair, _graph(pair, onnx), onnx)
        content = model.SerializeToString()
    except CheckpointError:
        raise
    except Exception as error:  # of a graph that onnx does not understand
        raise CheckpointError(f"{pair.network.name} as ONNX: {first_line(error)}") from error
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        try:
            bits, differing = _compare(pair, OnnxEncoder(temporary, "cpu"))
        except CheckpointError as error:
            reason = str(error).replace(str(temporary), "the joined graph")
            raise CheckpointError(
                f"{pair.network.name} with its head: {reason}; where it was exported for one "
                "number of pictures, export it for any"
            ) from error
    return Joined(Path(path), len(content), bits, differing)


def _graph(pair: ForeignEncoder, onnx: Any) -> Any:
    """The network alone as an onnx.ModelProto."""
    network = pair.network
    if isinstance(network, OnnxNetwork):
        return onnx.load_model_from_string(read_onnx(network.name))
    module = getattr(network, "net", None)
    if module is None:
        raise CheckpointError(
            f"{network.name}: OpenVINO's files cannot be joined; take the ONNX file it was made of"
        )
    import torch

    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes that are constants here
        torch.onnx.export(
            module.cpu(),
            (torch.zeros(2, 3, *network.size),),
            written,  # type: ignore[arg-type]
            dynamo=False,  # see onnx_export
            opset_version=_OPSET,
            input_names=["input"],
            output_names=["floats"],
            dynamic_axes={"input": {0: "n"}, "floats": {0: "n"}},
        )
        module.to(getattr(network, "device", "cpu"))
    return onnx.load_model_from_string(written.getvalue())


class _Nodes:
    """Nodes and constants that are added to a graph.

    Args:
        onnx: the package.
        graph: which gets them.
    """

    def __init__(self, onnx: Any, graph: Any) -> None:
        self.onnx, self.graph, self.count = onnx, graph, 0

    def constant(self, values: NDArray[Any]) -> str:
        """Add a constant; gives its name."""
        self.count += 1
        name = f"constant_{self.count}"
        self.graph.initializer.append(self.onnx.numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; gives the name of its output."""
        self.count += 1
        name = output or f"value_{self.count}"
        node = self.onnx.helper.make_node(kind, list(inputs), [name], **attributes)
        self.graph.node.append(node)
        return name


def _join(pair: ForeignEncoder, model: Any, onnx: Any) -> Any:
    network, head = pair.network, pair.head
    layers: Callable[[], Any] | None = getattr(head, "layers", None)
    if layers is None:
        raise CheckpointError(f"{type(head).__name__} cannot be written as ONNX")
    source, wanted = "input", "floats"
    if isinstance(network, OnnxNetwork):
        source, wanted = network.input, network.output
    height, width = network.size
    model = onnx.compose.add_prefix(model, _PREFIX)
    kinds = onnx.TensorProto
    graph = onnx.GraphProto(name="reid_hash")
    make = onnx.helper.make_tensor_value_info
    graph.input.append(make(INPUT, kinds.UINT8, ["n", height, width, 3]))
    graph.output.append(make(OUTPUTS[0], kinds.FLOAT, ["n", pair.bits]))
    graph.output.append(make(OUTPUTS[1], kinds.FLOAT, ["n", network.features]))
    graph.initializer.extend(model.graph.initializer)
    graph.sparse_initializer.extend(model.graph.sparse_initializer)
    nodes = _Nodes(onnx, graph)
    planes = INPUT
    if network.inputs.color == "bgr":
        planes = nodes.add("Gather", planes, nodes.constant(np.array([2, 1, 0])), axis=3)
    planes = nodes.add("Cast", planes, to=kinds.FLOAT)
    scale, offset = network.inputs.factors()
    planes = nodes.add("Mul", planes, nodes.constant(scale))
    planes = nodes.add("Add", planes, nodes.constant(offset))
    if not getattr(network, "channels_last", False):
        planes = nodes.add("Transpose", planes, perm=[0, 3, 1, 2])
    dtype = getattr(network, "dtype", np.dtype(np.float32))
    if dtype.kind == "u":
        raise CheckpointError(f"{network.name} takes bytes, and cannot be joined")
    nodes.add(
        "Cast", planes, to=onnx.helper.np_dtype_to_tensor_dtype(dtype), output=_PREFIX + source
    )
    graph.node.extend(model.graph.node)
    floats = nodes.add("Cast", _PREFIX + wanted, to=kinds.FLOAT)
    floats = nodes.add("Flatten", floats, axis=1, output=OUTPUTS[1])
    numbers = network.features
    for kind, *values in layers():
        floats = _add_layer(nodes, floats, numbers, kind, *values)
        numbers = values[0].shape[1] if values else numbers
    nodes.add("Identity", floats, output=OUTPUTS[0])
    joined = onnx.helper.make_model(
        graph,
        ir_version=model.ir_version,
        opset_imports=model.opset_import,
        functions=model.functions,
        doc_string=f"[n, {height}, {width}, 3] uint8 RGB → outputs [n, bits], whose signs are the "
        "code, and embedding",
    )
    probe, _ = pair.outputs(probe_picture(height, width), progress=False)
    metadata = {
        "format": FORMAT,
        "size": json_text([height, width]),
        "growing": network.inputs.growing,
        "fingerprint": pair.fingerprint,
        "bit_weights": json_text([float(w) for w in pair.bit_weights]),
        "bit_order": json_text(list(range(pair.bits))),
        "inputs": json_text(network.inputs.as_object()),
        "trained_on": json_text({"network": Path(network.name).name}),
        "probe": json_text([float(f"{value:.5g}") for value in probe[0]]),
    }
    for key, value in metadata.items():
        joined.metadata_props.add(key=key, value=value)
    return joined


def _add_layer(nodes: _Nodes, x: str, width: int, kind: str, *values: NDArray[np.float32]) -> str:
    """Add a layer of a head: ("unit",), ("affine", weight [in, out], bias [out]) or ("relu",).

    Args:
        nodes: where.
        x: name of its input [n, width].
        width: of the input.
        kind: what it does; "unit" divides by the norm.
        values: of "affine".
    """
    if kind == "unit":  # by operators that are the same in every version
        squares = nodes.add("Mul", x, x)
        sums = nodes.add("MatMul", squares, nodes.constant(np.ones((width, 1), np.float32)))
        norms = nodes.add("Sqrt", sums)
        least = nodes.constant(np.array([_SMALLEST], np.float32))
        return nodes.add("Div", x, nodes.add("Max", norms, least))
    if kind == "affine":
        weight, bias = (np.ascontiguousarray(one, np.float32) for one in values)
        product = nodes.add("MatMul", x, nodes.constant(weight))
        return nodes.add("Add", product, nodes.constant(bias))
    if kind == "relu":
        return nodes.add("Relu", x)
    raise CheckpointError(f"a head's layer {kind!r} cannot be written as ONNX")


def _compare(pair: ForeignEncoder, joined: OnnxEncoder) -> tuple[int, int]:
    """(bits compared, bits that differ); CheckpointError where outputs do."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (_TRIED, 16, 8, 3), np.uint8)
    height, width = pair.size
    images = blocks[:, np.arange(height) * 16 // height][:, :, np.arange(width) * 8 // width]
    differing = 0
    for part in (images[:1], images[1:4], images[4:]):
        try:
            found, _ = joined.outputs(part, progress=False)
        except CheckpointError:
            raise
        except Exception as error:  # onnxruntime's failures have no common class
            raise CheckpointError(f"{len(part)} pictures: {first_line(error)}") from error
        wanted, _ = pair.outputs(part, progress=False)
        distance = float(np.linalg.norm(found - wanted)) / max(float(np.linalg.norm(wanted)), 1e-12)
        if not distance <= _LIMIT:
            raise CheckpointError(f"outputs differ by {distance:.2g} from the pair's")
        differing += int(np.count_nonzero((found > 0) != (wanted > 0)))
    return _TRIED * pair.bits, differing
