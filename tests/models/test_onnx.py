"""ONNX files give the codes of the checkpoint that they were exported from, or say why not."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from reid_hash.data.images import resize
from reid_hash.data.walkers import walkers
from reid_hash.errors import CheckpointError, ConfigError, ReidHashError
from reid_hash.models.load import load_model
from reid_hash.models.onnx_encoder import OnnxEncoder, is_onnx
from reid_hash.models.onnx_export import _Whole, export_onnx
from reid_hash.models.shipped import shipped_model
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from reid_hash.nn.hashnet import HashNet
from tests.helpers import coloured_pixels, tiny_config

WHY = "needs the extra: pip install 'reid-hash[onnx]'"
onnx = pytest.importorskip("onnx", reason=WHY)
pytest.importorskip("onnxruntime", reason=WHY)

BACKBONES = (
    ("paper", 32, 16, ()),
    ("paper", 32, 32, ("model.flip_average=false", "model.batch_norm=false")),
    ("resnet-slim", 64, 32, ()),
    ("resnet-thin", 80, 32, ("model.soft_stripes=true",)),
    ("resnet-thin", 72, 32, ("model.soft_stripes=true",)),
    ("osnet-x0.25", 64, 32, ()),
    ("airbench", 32, 32, ()),
    ("timm:test_resnet", 64, 32, ()),
    ("timm:tf_efficientnet_lite0", 64, 32, ()),
    ("resnet-thin", 80, 32, ("model.standardise=true",)),
    ("timm:tf_efficientnet_lite0", 96, 48, ("model.output_stride=16", "model.stripes=3")),
    ("timm:test_vit", 160, 160, ()),
)


@pytest.fixture(scope="module")
def crops():
    data = walkers(train_identities=1, test_identities=8, height=80, width=40)
    return [data.query.read(i) for i in range(len(data.query))]


def sized(crops, height, width):
    return np.stack([resize(crop, height, width) for crop in crops])


def checkpoint(backbone, height, width, images, settings=(), bits=32):
    """A network with random weights whose bits are ones and zeros on these images."""
    torch.manual_seed(0)
    net = HashNet(
        tiny_config(
            f"model.backbone={backbone}",
            f"data.height={height}",
            f"data.width={width}",
            f"model.bits={bits}",
            *settings,
        )
    )
    net.mean.copy_(torch.tensor([0.4, 0.5, 0.6]))
    with torch.no_grad():
        for _ in range(3):
            net(net.normalise(torch.from_numpy(images)))  # moves the statistics of batch norm
    weights = np.linspace(2, 1, bits, dtype=np.float32)
    return Checkpoint(net.eval(), weights, np.arange(bits)[::-1], {"images": 64})


def bits_that_agree(file, made, images):
    """Share of equal bits, for calls with all images, with three and with one."""
    true = TorchEncoder(made, "cpu").encode(images)
    encoder = OnnxEncoder(file, "cpu")
    shares = []
    for batch, calls in ((len(images), 1), (3, 4), (1, 8)):
        for start in range(0, batch * calls, batch):
            codes = encoder.encode(images[start : start + batch])
            differing = codes.packed ^ true.packed[start : start + batch]
            shares += [1 - np.bitwise_count(differing).sum() / (len(codes) * true.bits)]
    return min(np.mean(shares[:1]), np.mean(shares[1:5]), np.mean(shares[5:]))


@pytest.fixture(scope="module")
def made():
    images = coloured_pixels().images
    return checkpoint("paper", 32, 16, images, bits=16)


@pytest.fixture(scope="module")
def file(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    export_onnx(made, path)
    return path


def test_the_shipped_model_gives_the_same_codes(crops, tmp_path):
    small = load_checkpoint(shipped_model("small").file)
    exported = export_onnx(small, tmp_path / "small.onnx")
    assert exported.size == (tmp_path / "small.onnx").stat().st_size
    assert exported.difference < 1e-4
    images = sized(crops, 160, 64)
    assert bits_that_agree(tmp_path / "small.onnx", small, images) >= 0.999


@pytest.mark.parametrize(("backbone", "height", "width", "settings"), BACKBONES)
def test_every_kind_of_backbone(crops, tmp_path, backbone, height, width, settings):
    images = sized(crops, height, width)
    one = checkpoint(backbone, height, width, images, settings)
    ones = TorchEncoder(one, "cpu").encode(images).unpack().mean()
    assert 0.2 < ones < 0.8  # else equal bits would say nothing
    export_onnx(one, tmp_path / "m.onnx")
    assert bits_that_agree(tmp_path / "m.onnx", one, images) >= 0.999


def test_all_that_codes_need_is_in_the_file(made, file):
    encoder, true = OnnxEncoder(file, "cpu"), TorchEncoder(made, "cpu")
    assert encoder.fingerprint == true.fingerprint
    assert encoder.config == true.config
    assert (encoder.size, encoder.bits) == (true.size, true.bits)
    assert encoder.trained_on == {"images": 64}
    np.testing.assert_array_equal(encoder.bit_order, made.bit_order)
    images = coloured_pixels(seed=1).images
    counts = []
    outputs, embedding = encoder.outputs(np.repeat(images, 4, 0), progress=counts.append)
    assert counts == [128, 64]
    for found, expected in zip((outputs, embedding), true.outputs(images), strict=True):
        np.testing.assert_allclose(found[::4], expected, atol=1e-4)
    codes = encoder.encode(images)
    np.testing.assert_array_equal(codes.packed, true.encode(images).packed)
    np.testing.assert_array_equal(codes.weights, made.bit_weights)
    assert codes.model == made.fingerprint


@pytest.mark.parametrize("batch", [0, 1])
def test_none_and_one(made, file, batch):
    images = coloured_pixels().images[:batch]
    outputs, embedding = OnnxEncoder(file, "cpu").outputs(images)
    expected = TorchEncoder(made, "cpu").outputs(images)
    assert (outputs.shape, embedding.shape) == tuple(part.shape for part in expected)


def test_a_file_is_known_by_its_content(made, file, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(file.read_bytes())
    save_checkpoint(tmp_path / "b.onnx", made)
    assert isinstance(load_model(tmp_path / "a.safetensors", "cpu"), OnnxEncoder)
    assert isinstance(load_model(tmp_path / "b.onnx", "cpu"), TorchEncoder)
    assert is_onnx(tmp_path / "missing.ONNX")
    assert not is_onnx(tmp_path / "missing.safetensors")


def test_the_encoder_does_without_torch(file):
    source = (
        "import sys, numpy as np; from reid_hash.models.onnx_encoder import OnnxEncoder\n"
        f"encoder = OnnxEncoder({str(file)!r}, 'cpu')\n"
        "encoder.encode(np.zeros((2, *encoder.size, 3), np.uint8))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0


def test_opencv_reads_it(made, file):
    cv2 = pytest.importorskip("cv2")
    images = coloured_pixels(seed=1).images
    net = cv2.dnn.readNetFromONNX(str(file))
    net.setInput(images, "images")
    np.testing.assert_allclose(
        net.forward("outputs"), TorchEncoder(made, "cpu").outputs(images)[0], atol=1e-4
    )


@pytest.mark.parametrize(
    ("backbone", "height", "width", "settings"),
    [
        ("resnet-thin", 80, 32, ("model.soft_stripes=true",)),
        # works out its padding; of 64×32 OpenCV makes other outputs, of its own accord
        ("timm:tf_efficientnet_lite0", 96, 48, ()),
        ("timm:tf_efficientnet_lite0", 96, 48, ("model.standardise=true",)),
    ],
)
def test_opencv_reads_batches_of_any_size(backbone, height, width, settings, crops, tmp_path):
    cv2 = pytest.importorskip("cv2")
    images = sized(crops, height, width)
    made = checkpoint(backbone, height, width, images, settings)
    export_onnx(made, tmp_path / "m.onnx")
    net = cv2.dnn.readNetFromONNX(str(tmp_path / "m.onnx"))
    encoder = TorchEncoder(made, "cpu")
    for count in (1, len(images), 2):
        net.setInput(images[:count], "images")
        found = net.forward("outputs")
        np.testing.assert_allclose(found, encoder.outputs(images[:count])[0], atol=5e-4)


def test_a_part_of_a_file_is_refused(file, tmp_path):
    whole = file.read_bytes()
    path = tmp_path / "m.onnx"
    for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 3000, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as error:
            load_model(path, "cpu")
        assert "\n" not in str(error.value)


def test_damaged_bytes_raise_nothing_but_our_errors(file, tmp_path):
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    path = tmp_path / "m.onnx"
    for _ in range(60):
        damaged = whole.copy()
        place = random.integers(len(whole)) if random.random() < 0.5 else random.integers(6000)
        damaged[place] ^= 1 << random.integers(8)
        path.write_bytes(damaged.tobytes())
        try:
            load_model(path, "cpu")
        except ReidHashError as error:
            assert "\n" not in str(error)


def test_damaged_weights_are_noticed(file, tmp_path):
    whole = np.frombuffer(file.read_bytes(), np.uint8).copy()
    middle = len(whole) // 2
    whole[middle : middle + 4000] = np.random.default_rng(0).integers(0, 256, 4000)
    (tmp_path / "m.onnx").write_bytes(whole.tobytes())
    with pytest.raises(CheckpointError, match=r"gives other outputs .* damaged, or was changed"):
        load_model(tmp_path / "m.onnx", "cpu")


def test_another_onnx_file_is_refused(tmp_path):
    helper = onnx.helper
    value = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:]
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opset)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match="it is no network of coloured pictures"):
        load_model(tmp_path / "other.onnx", "cpu")
    with pytest.raises(
        CheckpointError, match="an ONNX file, but none that `reid-hash export onnx`"
    ):
        OnnxEncoder(tmp_path / "other.onnx", "cpu")
    (tmp_path / "text.onnx").write_text("no model at all")
    with pytest.raises(CheckpointError, match=r"text\.onnx is damaged, or no ONNX file"):
        load_model(tmp_path / "text.onnx", "cpu")
    with pytest.raises(CheckpointError, match="no such file"):
        load_model(tmp_path / "missing.onnx", "cpu")


def test_another_version_is_told(file, tmp_path):
    model = onnx.load(file)
    for entry in model.metadata_props:
        if entry.key == "config":
            entry.value = json.dumps({"model": {"wings": 2}})
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(CheckpointError, match=r"another version: .*wings"):
        load_model(tmp_path / "m.onnx", "cpu")


def test_a_device_that_onnxruntime_lacks(file, monkeypatch):
    there = ["CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    with pytest.raises(ConfigError, match="--device mps: onnxruntime .* has only: cpu"):
        OnnxEncoder(file, "mps")


def test_nothing_is_written_where_the_graph_computes_something_else(made, tmp_path, monkeypatch):
    right = _Whole.forward
    monkeypatch.setattr(_Whole, "forward", lambda self, x: tuple(y + 1 for y in right(self, x)))
    with pytest.raises(CheckpointError, match="backbone paper as ONNX: .*gives other outputs"):
        export_onnx(made, tmp_path / "m.onnx")
    monkeypatch.setattr(_Whole, "forward", lambda self, x: tuple(1.01 * y for y in right(self, x)))
    with pytest.raises(CheckpointError, match=r"outputs differ by 0\.01 from torch's"):
        export_onnx(made, tmp_path / "m.onnx")
    monkeypatch.setattr(_Whole, "forward", lambda self, x: torch.linalg.qr(right(self, x)[0]))
    with pytest.raises(CheckpointError, match="backbone paper as ONNX: ") as error:
        export_onnx(made, tmp_path / "m.onnx")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_metadata_that_is_no_text(file, tmp_path):
    data = file.read_bytes()
    assert data.count(b"fingerprint") == 1
    (tmp_path / "m.onnx").write_bytes(data.replace(b"fingerprint", b"fingerprin\xff"))
    with pytest.raises(CheckpointError, match=r"m\.onnx is damaged: its metadata is no text"):
        OnnxEncoder(tmp_path / "m.onnx", "cpu")


def test_a_damaged_entry_of_the_metadata(file, tmp_path):
    data = file.read_bytes()
    named = b"\x0a\x0bfingerprint"  # its key, of 11 bytes
    assert data.count(named) == 1
    (tmp_path / "m.onnx").write_bytes(data.replace(named, b"\x0a\x7ffingerprint"))
    with pytest.raises(CheckpointError, match=r"m\.onnx") as error:
        load_model(tmp_path / "m.onnx", "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spoilt", ["nan", "inf", "-1.0"])
def test_bit_weights_out_of_range_are_refused(file, tmp_path, spoilt):
    model = onnx.load(file)
    for entry in model.metadata_props:
        if entry.key == "bit_weights":
            weights = json.loads(entry.value)
            entry.value = json.dumps([float(spoilt), *weights[1:]])
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(CheckpointError, match="m.onnx has bit weights"):
        OnnxEncoder(tmp_path / "m.onnx", "cpu")


def test_outputs_that_are_not_finite_are_refused(file, monkeypatch):
    encoder = OnnxEncoder(file, "cpu")
    run = encoder._run

    def spoilt(images):
        outputs, embedding = run(images)
        embedding[0, 0] = np.nan
        return outputs, embedding

    monkeypatch.setattr(encoder, "_run", spoilt)
    with pytest.raises(CheckpointError, match="NaN or infinity for 1 of 2 images"):
        encoder.encode(np.zeros((2, *encoder.size, 3), np.uint8))
