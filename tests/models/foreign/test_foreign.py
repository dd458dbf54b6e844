"""Anybody's networks give their own floats, whatever form of input they take."""

import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from reid_hash.codes import load_codes
from reid_hash.errors import CheckpointError, ConfigError, ReidHashError
from reid_hash.gallery.encoding import find_network
from reid_hash.models import load, load_model
from reid_hash.models.foreign.encoder import ForeignEncoder
from reid_hash.models.foreign.inputs import PRESETS, Inputs
from reid_hash.models.foreign.join import export_joined
from reid_hash.models.foreign.network import Network
from reid_hash.models.onnx_encoder import OnnxEncoder
from tests.helpers import coloured_pixels, run_cli
from tests.nn.torchreid_form import TorchreidOSNet, randomised

WHY = "needs the extra: pip install 'reid-hash[onnx]'"
onnx = pytest.importorskip("onnx", reason=WHY)
onnxruntime = pytest.importorskip("onnxruntime", reason=WHY)

from tests.models.foreign.graphs import LinearHead, save_network  # noqa: E402

IMAGES = coloured_pixels(identities=3, images=2).images  # 32×16


def by_hand(path, planes):
    session = onnxruntime.InferenceSession(path)
    return session.run(["floats"], {session.get_inputs()[0].name: planes})[0]


def floats(encoder, images=IMAGES):
    outputs, embedding = encoder.outputs(images, progress=False)
    assert outputs.shape == (len(images), encoder.bits)
    return embedding


@pytest.fixture
def file(tmp_path):
    return save_network(tmp_path / "net.onnx")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(file, preset):
    scaled = IMAGES.astype(np.float64)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = {
        "torchreid": (scaled / 255 - mean) / std,
        "imagenet": (scaled / 255 - mean) / std,
        "fastreid": scaled,
        "openvino": scaled[..., ::-1],
    }[preset]
    planes = np.ascontiguousarray(expected.transpose(0, 3, 1, 2), np.float32)
    found = floats(load_model(file, "cpu", preset=preset))
    np.testing.assert_allclose(found, by_hand(file, planes), rtol=1e-4, atol=1e-4)


def test_single_options(file):
    encoder = load_model(
        file, "cpu", color="bgr", white=2, mean=(0.1, 0.2, 0.3), std=(1, 2, 4), growing="cubic"
    )
    expected = (IMAGES[..., ::-1] / 255 * 2 - [0.1, 0.2, 0.3]) / [1, 2, 4]
    planes = np.ascontiguousarray(expected.transpose(0, 3, 1, 2), np.float32)
    np.testing.assert_allclose(floats(encoder), by_hand(file, planes), rtol=1e-4, atol=1e-5)
    assert encoder.growing == "cubic"


def test_a_guess_is_said_aloud_and_a_preset_is_not(file, caplog):
    load_model(file, "cpu", preset="torchreid")
    assert not caplog.records
    load_model(file, "cpu", color="rgb")
    assert "is a guess; name it with --preset" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


def test_a_graph_that_normalises_by_itself_is_guessed_to_take_bytes(tmp_path):
    file = save_network(tmp_path / "net.onnx", first=("Sub", "Div"))
    assert load_model(file, "cpu").network.inputs == PRESETS["fastreid"]


@pytest.mark.parametrize("form", [{"batch": 1}, {"batch": 4}, {"channels_last": True}, {}], ids=str)
def test_batches_and_layouts(tmp_path, form):
    plain = load_model(save_network(tmp_path / "plain.onnx"), "cpu", preset="torchreid")
    other = load_model(save_network(tmp_path / "net.onnx", **form), "cpu", preset="torchreid")
    for count in (0, 1, 6):
        np.testing.assert_allclose(
            floats(other, IMAGES[:count]), floats(plain, IMAGES[:count]), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("kind", ["FLOAT16", "UINT8", "DOUBLE"])
def test_types_of_input(tmp_path, kind):
    kind = getattr(onnx.TensorProto, kind)
    plain = load_model(save_network(tmp_path / "plain.onnx"), "cpu", preset="fastreid")
    other = load_model(save_network(tmp_path / "net.onnx", kind=kind), "cpu", preset="fastreid")
    np.testing.assert_allclose(floats(other), floats(plain), rtol=1e-3, atol=1e-2)


def test_a_size_that_is_open(tmp_path, caplog):
    file = save_network(tmp_path / "net.onnx", size=("h", "w"))
    assert load_model(file, "cpu", preset="torchreid").size == (256, 128)
    assert "an input of 256×128 is a guess; name it with --input-size" in caplog.text
    assert load_model(file, "cpu", preset="torchreid", size=(32, 16)).size == (32, 16)
    with pytest.raises(ConfigError, match="takes 32×16 alone"):
        load_model(save_network(tmp_path / "fixed.onnx"), "cpu", size=(64, 32))


def test_a_batch_that_is_open_by_name_alone(tmp_path):
    shape = onnx.numpy_helper.from_array(np.array([1, 8]), "shape")
    last = [onnx.helper.make_node("Reshape", ["floats", "shape"], ["one"])]
    file = save_network(tmp_path / "net.onnx", last=last)
    model = onnx.load(file)
    model.graph.initializer.append(shape)
    model.graph.output[0].name = "one"
    onnx.save(model, file)
    plain = load_model(save_network(tmp_path / "plain.onnx"), "cpu", preset="torchreid")
    found = floats(load_model(file, "cpu", preset="torchreid"))
    np.testing.assert_allclose(found, floats(plain), rtol=1e-4, atol=1e-5)


def test_several_outputs(tmp_path):
    file = save_network(tmp_path / "net.onnx", outputs=2)
    assert floats(load_model(file, "cpu", preset="torchreid")).shape == (6, 8)
    with pytest.raises(CheckpointError, match="a map rather than a vector"):
        load_model(file, "cpu", preset="torchreid", output="maps")
    with pytest.raises(ConfigError, match="net.onnx has floats, maps alone"):
        load_model(file, "cpu", output="wings")


def test_what_is_no_network_of_pictures(tmp_path):
    file = save_network(tmp_path / "net.onnx")
    model = onnx.load(file)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    onnx.save(model, tmp_path / "four.onnx")
    with pytest.raises(CheckpointError, match="neither|cannot|damaged"):
        load_model(tmp_path / "four.onnx", "cpu")
    with pytest.raises(CheckpointError, match="no such file"):
        load_model(tmp_path / "missing.onnx", "cpu", preset="torchreid")


@pytest.mark.parametrize(
    "form", [{"batch": 10**9}, {"size": (10**6, 16)}, {"size": ("height", 10**6)}], ids=str
)
def test_sizes_and_batches_that_take_all_memory_are_refused(tmp_path, form):
    file = save_network(tmp_path / "net.onnx", **form)
    with pytest.raises(CheckpointError, match="that is too much"):
        load_model(file, "cpu", preset="torchreid")


def test_options_out_of_range(file):
    for wrong in (
        {"std": (0, 1, 1)},
        {"mean": (1, 2)},
        {"white": -1},
        {"preset": "wings"},
        {"size": (0, 9)},
        {"color": "gbr"},
        {"growing": "fast"},
        {"weights": "timm"},
        {"wings": 2},
    ):
        with pytest.raises(ConfigError) as error:
            load_model(file, "cpu", **wrong)
        assert "\n" not in str(error.value)


def test_damaged_files_end_in_one_line(file, tmp_path):
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    bad = tmp_path / "bad.onnx"
    for trial in range(80):
        damaged = whole.copy()
        damaged[random.integers(len(whole))] ^= 1 << random.integers(8)
        bad.write_bytes(
            damaged.tobytes()[: len(whole) if trial % 2 else random.integers(len(whole))]
        )
        try:
            floats(load_model(bad, "cpu", preset="torchreid"))
        except ReidHashError as error:
            assert "\n" not in str(error)


def test_the_fingerprint_is_of_network_and_inputs(file, tmp_path):
    made = {
        load_model(one, "cpu", **options).fingerprint
        for one, options in (
            (file, {"preset": "torchreid"}),
            (file, {"preset": "openvino"}),
            (file, {"preset": "torchreid", "growing": "cubic"}),
            (save_network(tmp_path / "other.onnx", seed=1), {"preset": "torchreid"}),
        )
    }
    assert len(made) == 4
    assert load_model(file, "cpu", preset="imagenet").fingerprint in made


def test_without_a_head_there_are_floats_alone(file):
    encoder = load_model(file, "cpu", preset="torchreid")
    assert (encoder.bits, encoder.config) == (0, None)
    assert "8 floats, no codes" in repr(encoder)
    with pytest.raises(CheckpointError, match="fit a head with `reid-hash fit"):
        encoder.encode(IMAGES)


def test_with_a_head_there_are_codes(file):
    head = LinearHead()
    plain = load_model(file, "cpu", preset="torchreid")
    pair = load_model(file, "cpu", preset="torchreid", head=head)
    codes = pair.encode(IMAGES)
    expected = head.outputs(floats(plain))[0] > 0
    np.testing.assert_array_equal(codes.unpack(), expected)
    np.testing.assert_array_equal(codes.weights, head.bit_weights)
    assert codes.model == pair.fingerprint not in (plain.fingerprint, head.fingerprint)


def test_floats_that_are_not_finite(tmp_path):
    file = save_network(tmp_path / "net.onnx", first=("Pow",) * 12)
    for head in (None, LinearHead()):
        encoder = load_model(file, "cpu", preset="fastreid", head=head)
        with pytest.raises(CheckpointError, match="NaN or infinity for 6 of 6 images"):
            encoder.outputs(IMAGES)


def test_the_two_options_are_not_taken_for_each_other(file, tmp_path, capsys):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    encode = ("encode", tmp_path / "a.png", "-o", tmp_path / "c.npz")
    code, _, error = run_cli(capsys, *encode, "--model", file)
    assert code == 1
    assert "name it with --network in place of --model" in error
    code, _, error = run_cli(capsys, *encode, "--network", "reid_hash/models/small.safetensors")
    assert code == 1
    code, _, error = run_cli(capsys, *encode, "--head", "x")
    assert code == 2
    assert "--head: belongs to --network" in error
    code, _, error = run_cli(capsys, *encode, "--model", "small", "--network", file)
    assert code == 2
    assert "leave one out" in error
    code, _, error = run_cli(capsys, *encode, "--network", file, "--preset", "torchreid")
    assert code == 1
    assert "fit a head" in error
    assert "\n" not in error.strip()


def test_encode_writes_floats(file, tmp_path, capsys):
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    named = ("--network", file, "--preset", "torchreid", "--float")
    code, out, _ = run_cli(capsys, "encode", tmp_path, "-o", tmp_path / "f.npz", *named)
    assert (code, out) == (0, "6 vectors of 8 floats\n")
    expected = floats(load_model(file, "cpu", preset="torchreid"))
    with np.load(tmp_path / "f.npz") as found:
        np.testing.assert_array_equal(found["embeddings"], expected)
        assert [name[-5:] for name in found["names"]] == [f"{i}.png" for i in range(6)]
    run_cli(capsys, "encode", tmp_path, "-o", tmp_path / "f.npy", *named)
    np.testing.assert_array_equal(np.load(tmp_path / "f.npy"), expected)


def test_cmc_of_floats(file, capsys):
    named = ("cmc", "--dataset", "walkers", "--network", file, "--preset", "torchreid")
    code, out, _ = run_cli(capsys, *named, "--float")
    assert code == 0
    assert "float embedding, cosine" in out
    code, _, error = run_cli(capsys, *named)
    assert code == 2
    assert "evaluate them with --float" in error


def test_the_joined_file_gives_the_codes_of_the_pair(tmp_path):
    forms = [{}, {"channels_last": True}, {"opset": 11}, {"kind": onnx.TensorProto.FLOAT16}]
    for form in forms:
        for preset in ("torchreid", "openvino"):
            file = save_network(tmp_path / "net.onnx", **form)
            pair = load_model(file, "cpu", preset=preset, head=LinearHead())
            made = export_joined(pair, tmp_path / "joined.onnx")
            assert made.differing <= made.bits // 1000
            joined = load_model(tmp_path / "joined.onnx", "cpu")
            assert isinstance(joined, OnnxEncoder)
            assert joined.fingerprint == pair.fingerprint
            assert (joined.size, joined.bits, joined.growing) == ((32, 16), 24, pair.growing)
            wanted, found = pair.encode(IMAGES), joined.encode(IMAGES)
            np.testing.assert_array_equal(found.packed, wanted.packed)
            np.testing.assert_array_equal(found.weights, wanted.weights)
            assert "24 bits" in repr(joined)


def test_networks_of_torch_are_joined_too(tmp_path):
    torch.manual_seed(0)
    torch.save(randomised(TorchreidOSNet()).state_dict(), tmp_path / "osnet.pth")
    named = {"preset": "torchreid", "size": (64, 32)}
    pair = load_model(tmp_path / "osnet.pth", "cpu", head=LinearHead(512), **named)
    export_joined(pair, tmp_path / "joined.onnx")
    joined = load_model(tmp_path / "joined.onnx", "cpu")
    images = coloured_pixels(height=64, width=32).images
    np.testing.assert_array_equal(joined.encode(images).packed, pair.encode(images).packed)


def test_what_cannot_be_joined(file, tmp_path):
    with pytest.raises(CheckpointError, match="fit a head"):
        export_joined(load_model(file, "cpu", preset="torchreid"), tmp_path / "joined.onnx")
    shape = onnx.numpy_helper.from_array(np.array([1, 8]), "shape")
    last = [onnx.helper.make_node("Reshape", ["floats", "shape"], ["one"])]
    fixed = save_network(tmp_path / "fixed.onnx", batch=1, last=last)
    model = onnx.load(fixed)
    model.graph.initializer.append(shape)
    model.graph.output[0].name = "one"
    onnx.save(model, fixed)
    pair = load_model(fixed, "cpu", preset="torchreid", head=LinearHead())
    with pytest.raises(CheckpointError, match="export it for any"):
        export_joined(pair, tmp_path / "joined.onnx")
    assert not (tmp_path / "joined.onnx").exists()


def test_what_a_gallery_notes_is_read_again(file):
    network = Network(str(file), "head.safetensors", preset="torchreid", size=(32, 16))
    assert Network.read_noted(network.noted()) == network
    assert Network.read_noted(str(file)) is None
    assert Network.read_noted('{"file": 3, "wings": 2}') is None
    assert Network.read_noted('{"file": 3}') is None
    assert Network.read_noted('{"file": "x", "size": 7}') is None


def test_a_gallery_from_elsewhere_downloads_nothing(tmp_path):
    noted = Network("timm:resnet18", weights="timm").noted()
    with pytest.raises(CheckpointError, match="only you may ask for"):
        find_network("g", "0" * 16, noted)
    noted = Network("timm:resnet18", weights="//host/share").noted()
    with pytest.raises(CheckpointError, match="is not opened"):
        find_network("g", "0" * 16, noted)
    noted = Network(str(tmp_path / "gone.onnx")).noted()
    assert find_network("g", "0" * 16, noted) is None


@pytest.fixture
def pair(file, tmp_path, monkeypatch):
    """The options of a network with a head, of which the file is not looked into."""
    (tmp_path / "head").write_text("a head")
    monkeypatch.setattr(load, "open_head", lambda path, device: LinearHead())
    return ("--network", file, "--head", tmp_path / "head", "--preset", "torchreid")


def test_commands_with_a_head(file, pair, tmp_path, capsys, monkeypatch):
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / "photos" / f"{i}.png")
    photo, gallery = tmp_path / "photos" / "3.png", tmp_path / "g"
    encode = ("encode", tmp_path / "photos", "-o", tmp_path / "c.npz")
    assert run_cli(capsys, *encode, *pair)[0] == 0
    codes, _ = load_codes(tmp_path / "c.npz")
    expected = load_model(file, "cpu", preset="torchreid", head=LinearHead()).encode(IMAGES)
    assert codes.model == expected.model
    np.testing.assert_array_equal(codes.packed, expected.packed)

    monkeypatch.chdir(tmp_path)  # what is noted is found from elsewhere
    assert run_cli(capsys, "gallery", "create", gallery, *pair)[0] == 0
    assert f"{file} with {tmp_path / 'head'}" in run_cli(capsys, "gallery", "info", gallery)[1]
    monkeypatch.chdir(tmp_path / "photos")
    code, _, error = run_cli(capsys, "gallery", "add", gallery, tmp_path / "photos")
    assert (code, "guess" in error) == (0, False)  # the preset is remembered too
    code, out, _ = run_cli(capsys, "search", photo, "--gallery", gallery, "--plain")
    assert code == 0
    assert out.split("\t")[2] == "0.0"
    joined = tmp_path / "joined.onnx"
    assert run_cli(capsys, "export", "onnx", *pair, "-o", joined)[0] == 0
    search = ("search", photo, "--gallery", gallery, "--plain", "--model", joined)
    assert run_cli(capsys, *search)[1] == out

    other = save_network(tmp_path / "other.onnx", seed=1)
    wrong = ("search", photo, "--gallery", gallery, "--network", other, *pair[2:])
    code, _, error = run_cli(capsys, *wrong)
    assert code == 1
    assert "but gallery" in error
    file.unlink()
    code, _, error = run_cli(capsys, "search", photo, "--gallery", gallery)
    assert code == 1


def test_cmc_with_a_head(pair, capsys):
    named = ("cmc", "--dataset", "walkers", "--float", "--asymmetric", "--bits", "8,24")
    code, out, error = run_cli(capsys, *named, *pair)
    assert code == 0, error
    assert [row.split()[0] for row in out.splitlines()[-8:-1]].count("24") == 3


def test_a_head_is_none_that_takes_pictures(file):
    with pytest.raises(CheckpointError, match="it is no head of"):
        load_model(file, "cpu", preset="torchreid", head="small")
    with pytest.raises(CheckpointError, match="it is no head of"):
        load_model(file, "cpu", preset="torchreid", head=file)


def test_files_of_torchreid(tmp_path):
    torch.manual_seed(0)
    net = randomised(TorchreidOSNet())
    content = {"state_dict": net.state_dict(), "epoch": 5, "rank1": np.float64(0.5)}
    torch.save(content, tmp_path / "model.pth.tar-5")
    encoder = load_model(tmp_path / "model.pth.tar-5", "cpu", preset="torchreid", size=(64, 32))
    images = coloured_pixels(identities=2, images=2, height=64, width=32).images
    with torch.inference_mode():
        expected = net(torch.from_numpy(Inputs().apply(images)))
    np.testing.assert_allclose(floats(encoder, images), expected, rtol=1e-3, atol=1e-4)


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.mark.parametrize("old", [False, True])
def test_code_in_a_file_is_not_run(tmp_path, monkeypatch, old):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": Bomb()}}, "bomb.pth", _use_new_zipfile_serialization=not old)
    with pytest.raises(CheckpointError, match="could run code and is not opened"):
        load_model("bomb.pth", "cpu", preset="torchreid")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="could run code and is not opened"):
        load_model("pickle.pth", "cpu", preset="torchreid")
    assert not (tmp_path / "exploded").exists()


def test_timm(tmp_path, caplog):
    with pytest.raises(ConfigError, match="timm has no network wings"):
        load_model("timm:wings", "cpu")
    with pytest.raises(ConfigError, match="not the name of an architecture"):
        load_model("timm:hf-hub:some/where", "cpu")
    encoder = load_model("timm:test_resnet", "cpu", size=(64, 32))
    assert "random weights, and its floats mean nothing" in caplog.text
    assert load_model("timm:test_resnet", "cpu", size=(64, 32)).fingerprint == encoder.fingerprint
    import timm

    torch.manual_seed(7)
    net = timm.create_model("test_resnet", num_classes=4).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    weights = str(tmp_path / "w.pth")
    encoder = load_model("timm:test_resnet", "cpu", size=(64, 32), weights=weights)
    images = coloured_pixels(identities=1, images=2, height=64, width=32).images
    with torch.inference_mode():
        planes = torch.from_numpy(encoder.network.inputs.apply(images))
        expected = net.forward_head(net.forward_features(planes), pre_logits=True)
    np.testing.assert_allclose(floats(encoder, images), expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(CheckpointError, match="it is of another network"):
        load_model("timm:resnet18", "cpu", weights=weights)


def test_onnx_does_without_torch(file):
    source = (
        "import sys, numpy as np; from reid_hash.models import load_model\n"
        f"encoder = load_model({str(file)!r}, 'cpu', preset='torchreid')\n"
        "encoder.outputs(np.zeros((2, 32, 16, 3), 'u1'))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0


def test_openvino(file, tmp_path):
    openvino = pytest.importorskip("openvino", reason="needs pip install 'reid-hash[openvino]'")
    openvino.save_model(
        openvino.convert_model(str(file)), tmp_path / "net.xml", compress_to_fp16=False
    )
    found = load_model(tmp_path / "net.xml", "cpu", preset="torchreid")
    plain = load_model(file, "cpu", preset="torchreid")
    np.testing.assert_allclose(floats(found), floats(plain), rtol=1e-4, atol=1e-4)
    assert load_model(tmp_path / "net.xml", "cpu").network.inputs == PRESETS["openvino"]
    with pytest.raises(ConfigError, match="run with cpu alone"):
        load_model(tmp_path / "net.xml", "cuda")
    whole = (tmp_path / "net.xml").read_bytes()
    for length in (30, len(whole) // 2, len(whole) - 20):
        (tmp_path / "net.xml").write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as error:
            load_model(tmp_path / "net.xml", "cpu")
        assert "\n" not in str(error.value)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(CheckpointError, match="xml and .bin belong together"):
        load_model(tmp_path / "net.xml", "cpu")


def test_openvino_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    (tmp_path / "net.xml").write_text('<?xml version="1.0"?><net/>')
    with pytest.raises(CheckpointError, match=r"pip install 'reid-hash\[openvino\]'"):
        load_model(tmp_path / "net.xml", "cpu")


def test_a_network_and_its_pair_are_of_one_kind(file):
    assert isinstance(load_model(Network(str(file), preset="torchreid"), "cpu"), ForeignEncoder)
    with pytest.raises(ConfigError, match="the network names its own"):
        load_model(Network(str(file)), "cpu", preset="torchreid")
