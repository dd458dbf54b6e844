"""Small networks in ONNX form, and a head, to try what takes anybody's."""

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reid_hash.models.encoder import Encoder


def save_network(
    path,
    *,
    batch="n",
    size=(32, 16),
    features=8,
    channels_last=False,
    kind=TensorProto.FLOAT,
    first=(),
    last=(),
    outputs=1,
    opset=13,
    seed=0,
):
    """A convolution, the mean over all places and a linear layer: [batch, 3, *size] → features."""
    random = np.random.default_rng(seed)
    weights = {
        "conv.w": random.normal(0, 0.3, (6, 3, 3, 3)),
        "fc.w": random.normal(0, 1, (6, features)),
        "two": np.array(2.0),
    }
    constants = [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()]
    nodes = [helper.make_node("Cast", ["images"], ["bytes"], to=TensorProto.FLOAT)]
    if channels_last:
        nodes.append(helper.make_node("Transpose", ["bytes"], ["planes"], perm=[0, 3, 1, 2]))
    else:
        nodes.append(helper.make_node("Identity", ["bytes"], ["planes"]))
    before = "planes"
    for i, operator in enumerate(first):
        nodes.append(helper.make_node(operator, [before, "two"], [f"first{i}"]))
        before = f"first{i}"
    nodes += [
        helper.make_node("Conv", [before, "conv.w"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "fc.w"], ["floats"]),
        *last,
    ]
    shape = [batch, *size, 3] if channels_last else [batch, 3, *size]
    made = [helper.make_tensor_value_info("floats", TensorProto.FLOAT, [batch, features])]
    made += [helper.make_tensor_value_info("maps", TensorProto.FLOAT, None)][: outputs - 1]
    given = helper.make_tensor_value_info("images", kind, shape)
    graph = helper.make_graph(nodes, "g", [given], made, constants)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opsets), path)
    return path


class LinearHead(Encoder):
    """A head as `reid_hash.fit` gives one: vectors → unit length → bits."""

    config = None

    def __init__(self, features=8, bits=24, seed=1):
        random = np.random.default_rng(seed)
        self.weight = random.normal(0, 1, (features, bits)).astype(np.float32)
        self.bias = random.normal(0, 0.1, bits).astype(np.float32)
        self.bit_weights = np.linspace(2, 1, bits, dtype=np.float32)
        self.fingerprint = hashlib.sha256(self.weight.tobytes()).hexdigest()[:16]

    @property
    def bits(self):
        return len(self.bias)

    def outputs(self, vectors, *, color="rgb", progress=None):
        assert vectors.shape[1] == len(self.weight)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
        return unit @ self.weight + self.bias, vectors

    def _outputs(self, images, progress):
        raise NotImplementedError

    def layers(self):
        return [("unit",), ("affine", self.weight, self.bias)]
