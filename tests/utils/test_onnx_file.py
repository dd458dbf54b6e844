"""ONNX files from elsewhere: nothing but the file is opened."""

import os

import numpy as np
import pytest

from reid_hash.errors import CheckpointError, DataError
from reid_hash.models.load import load_model
from reid_hash.utils.onnx_file import MESSAGES, read_onnx
from reid_hash.video.detectors.detector import open_detector
from tests.offline import offline

WHY = "needs the extra: pip install 'reid-hash[onnx]'"
onnx = pytest.importorskip("onnx", reason=WHY)
pytest.importorskip("onnxruntime", reason=WHY)

from onnx import TensorProto, helper  # noqa: E402

WEIGHTS = np.arange(16, dtype=np.float32)


def outside(location, name="w"):
    """A tensor whose values are in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[16])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "64")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph(nodes, tensors=()):
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [16]) for n in "xy"]
    return helper.make_graph(nodes, "g", values[:1], values[1:], list(tensors))


def model(nodes=None, tensors=(), **more):
    nodes = nodes or [helper.make_node("Add", ["x", "w"], ["y"])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("evil", 1)]
    return helper.make_model(graph(nodes, tensors), ir_version=8, opset_imports=opsets, **more)


def in_constant():
    return model(
        [
            helper.make_node("Constant", [], ["w"], value=outside("secret")),
            helper.make_node("Add", ["x", "w"], ["y"]),
        ]
    )


def in_branch():
    inner = graph([helper.make_node("Add", ["x", "w"], ["y"])], [outside("secret")])
    inner.ClearField("input")
    return model([helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)])


def in_function():
    node = helper.make_node("Constant", [], ["w"], value=outside("secret"))
    made = helper.make_function("evil", "F", ["x"], ["w"], [node], [helper.make_opsetid("", 17)])
    return model([helper.make_node("F", ["x"], ["y"], domain="evil")], functions=[made])


def in_sparse():
    made = model()
    sparse = made.graph.sparse_initializer.add()
    sparse.values.CopyFrom(outside("secret"))
    return made


def in_training():
    made = model()
    made.training_info.add().algorithm.initializer.append(outside("secret"))
    return made


def only_location():
    made = model(tensors=[outside("secret")])
    del made.graph.initializer[0].external_data[:]
    return made


def only_entries():
    made = model(tensors=[outside("secret")])
    made.graph.initializer[0].ClearField("data_location")
    return made


LOCATIONS = ["secret", "../secret", "/etc/passwd", "//host/share", "*/_ORT_MEM_ADDR_/*", ""]
MADE = {
    **{f"at {location}": model(tensors=[outside(location)]) for location in LOCATIONS},
    "in a constant": in_constant(),
    "in a branch": in_branch(),
    "in a function": in_function(),
    "in a sparse tensor": in_sparse(),
    "in a training": in_training(),
    "without entries": only_location(),
    "without a location": only_entries(),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the weights are that a file asks for: beside it, above it, and where a command runs."""
    (tmp_path / "sub").mkdir()
    for place in (tmp_path, tmp_path / "sub"):
        (place / "secret").write_bytes(WEIGHTS.tobytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path / "sub"


@pytest.mark.parametrize("name", MADE)
def test_weights_in_other_files_are_refused(folder, name):
    (folder / "m.onnx").write_bytes(MADE[name].SerializeToString())
    with offline():
        with pytest.raises(CheckpointError, match="keeps weights in other files") as error:
            load_model(folder / "m.onnx", "cpu")
        assert "\n" not in str(error.value)
        with pytest.raises(DataError, match="keeps weights in other files"):
            open_detector(str(folder / "m.onnx"), say=lambda line: None)


def test_what_is_said_helps(folder):
    onnx.save(model(tensors=[outside("secret")]), folder / "m.onnx")
    onnx.save(onnx.load(folder / "m.onnx"), folder / "whole.onnx")
    read = onnx.load_from_string(read_onnx(folder / "whole.onnx"))
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(read.graph.initializer[0]), WEIGHTS)


def test_no_way_to_a_tensor_is_left_out():
    """By the description of the format that the package onnx has."""
    leads: dict[str, bool] = {"TensorProto": True}
    ways: dict[str, dict[int, str]] = {}

    def visit(message, above=()):
        if message.name in leads or message.name in above:
            return
        for field in message.fields:
            if field.message_type is not None:
                visit(field.message_type, (*above, message.name))
        ways[message.name] = {
            field.number: field.message_type.name
            for field in message.fields
            if field.message_type is not None
        }

    visit(onnx.ModelProto.DESCRIPTOR)
    found = {"TensorProto"}
    while True:  # messages from which a tensor can be reached, until no more are found
        more = {name for name, to in ways.items() if found & set(to.values())} | {"TensorProto"}
        if more <= found:
            break
        found |= more
    expected = {
        name: {number: kind for number, kind in to.items() if kind in found}
        for name, to in ways.items()
        if name in found - {"TensorProto"}
    }
    assert expected == MESSAGES


def test_custom_operators_and_onnxruntimes_own_format_are_refused(folder):
    import onnxruntime

    onnx.save(model([helper.make_node("Evil", ["x"], ["y"], domain="evil")]), folder / "m.onnx")
    with pytest.raises(CheckpointError, match="evil"):
        load_model(folder / "m.onnx", "cpu")
    plain = model([helper.make_node("Identity", ["x"], ["y"])])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "m.ort")
    onnxruntime.InferenceSession(plain.SerializeToString(), options)
    (folder / "own.onnx").write_bytes((folder / "m.ort").read_bytes())
    with pytest.raises(CheckpointError, match="damaged, or no"):
        load_model(folder / "own.onnx", "cpu")


def test_sizes_that_no_machine_has_are_refused(folder):
    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[10**12])
    onnx.save(model(tensors=[huge]), folder / "m.onnx")
    with pytest.raises(CheckpointError) as error:
        load_model(folder / "m.onnx", "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08",
        b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length without an end
        b"\x08\x08\x3a" + b"\x80" * 100_000,  # a number without an end
        b"\x08\x08\x3b",  # a group, which the format has none of
        bytes(range(256)),
    ],
)
def test_what_is_no_message_is_refused(tmp_path, data):
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(CheckpointError, match="no ONNX file"):
        read_onnx(tmp_path / "m.onnx")


def test_graphs_in_graphs_without_an_end_are_read(tmp_path):
    def varint(number):
        out = b""
        while number > 127:
            out, number = out + bytes([number & 127 | 128]), number >> 7
        return out + bytes([number])

    data = b""
    for i in range(3_000):  # deeper than Python's calls go
        field = (6, 5, 1)[i % 3]  # attribute → node → graph → attribute
        data = varint(field << 3 | 2) + varint(len(data)) + data
    data = b"\x08\x08" + varint(7 << 3 | 2) + varint(len(data)) + data
    (tmp_path / "m.onnx").write_bytes(data)
    assert read_onnx(tmp_path / "m.onnx") == data
    with pytest.raises(CheckpointError):
        load_model(tmp_path / "m.onnx", "cpu")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.onnx")
    with pytest.raises(CheckpointError, match="is no file"):
        read_onnx(tmp_path / "m.onnx")
    with pytest.raises(DataError, match="is no file"):
        open_detector(str(tmp_path / "m.onnx"), say=lambda line: None)
