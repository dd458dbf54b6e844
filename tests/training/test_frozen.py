"""Training on top of somebody's ONNX file, whose floats are made once."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from reid_hash.app.train import train as train_command
from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models import load_model
from reid_hash.models.onnx_export import export_onnx
from reid_hash.models.run_files import MODEL_FILE, STATE_FILE
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import load_checkpoint
from reid_hash.training.frozen import FEATURES_FILE, settle_frozen, vectors_of
from reid_hash.training.loop import Stopped, train
from tests.helpers import coloured_pixels, tiny_config
from tests.training.test_loop import StopAt

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install 'reid-hash[onnx]'")

from tests.models.foreign.graphs import save_network  # noqa: E402


@pytest.fixture
def file(tmp_path):
    return save_network(tmp_path / "net.onnx")


def config_for(file, *settings):
    return settle_frozen(
        tiny_config(f"model.backbone=onnx:{file}", "model.preset=torchreid", *settings)
    )


def test_the_hash_layer_is_trained_and_the_checkpoint_holds_the_network(tmp_path, file):
    pixels = coloured_pixels(identities=12)
    config = config_for(file, "train.epochs=8", "train.learning_rate=0.01")
    trained = train(config, pixels, tmp_path / "run", device="cpu")
    file.rename(tmp_path / "elsewhere.onnx")  # the checkpoint alone is enough
    again = TorchEncoder(load_checkpoint(tmp_path / "run" / MODEL_FILE), "cpu")
    assert again.fingerprint == trained.fingerprint
    assert again.config.model.backbone == "onnx:net.onnx"  # and tells nobody's folders
    assert again.size == (32, 16)
    assert again.growing == "linear"  # as torchreid's preset has it
    codes = again.encode(pixels.images, progress=False)
    outputs, embedding = again.outputs(pixels.images, progress=False)
    np.testing.assert_array_equal(codes.unpack(), outputs > 0)
    floats = load_model(tmp_path / "elsewhere.onnx", "cpu", preset="torchreid")
    neck = again.checkpoint.net.head.neck
    with torch.no_grad():
        vectors = torch.from_numpy(floats.outputs(pixels.images, progress=False)[1])
        np.testing.assert_allclose(embedding, neck(vectors).numpy(), rtol=1e-4, atol=1e-5)
    # training has brought images of one identity together, as nothing else could have
    start = train(
        config_for(tmp_path / "elsewhere.onnx", "train.epochs=8", "train.learning_rate=1e-9"),
        *(pixels, tmp_path / "start"),
        device="cpu",
    )
    before = TorchEncoder(start, "cpu").encode(pixels.images, progress=False)

    def apart(codes):
        bits = codes.unpack().astype(float)
        distances = (bits[:, None] != bits[None]).mean(-1)
        same = pixels.labels[:, None] == pixels.labels
        return distances[~same].mean() - distances[same].mean()

    assert apart(codes) > apart(before)


def test_floats_are_made_once_and_a_resumed_run_ends_the_same(tmp_path, file, monkeypatch):
    pixels = coloured_pixels()
    config = config_for(file, "train.evaluate_every=1")
    whole = train(config, pixels, tmp_path / "whole", device="cpu")
    with pytest.raises(Stopped):
        train(config, pixels, tmp_path / "cut", device="cpu", evaluate=StopAt(2))
    assert (tmp_path / "cut" / FEATURES_FILE).is_file()
    kept = (tmp_path / "cut" / FEATURES_FILE).stat().st_mtime_ns
    resumed = train(config, pixels, tmp_path / "cut", device="cpu", resume=True)
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)
    assert (tmp_path / "cut" / FEATURES_FILE).stat().st_mtime_ns == kept


def test_floats_of_other_images_or_damaged_ones_are_made_anew(tmp_path, file):
    pixels, config = coloured_pixels(), config_for(file)
    first = vectors_of(config, pixels, 1, tmp_path).images
    (tmp_path / FEATURES_FILE).write_bytes(b"PK\x03\x04 nothing")
    np.testing.assert_array_equal(vectors_of(config, pixels, 1, tmp_path).images, first)
    other = coloured_pixels(seed=5)
    assert (vectors_of(config, other, 2, tmp_path).images != first).any()
    assert np.load(tmp_path / FEATURES_FILE)["key"] != ""


def test_another_file_under_the_same_name_is_not_resumed_with(tmp_path, file):
    config = config_for(file, "train.evaluate_every=1")
    with pytest.raises(Stopped):
        train(config, coloured_pixels(), tmp_path, device="cpu", evaluate=StopAt(1))
    assert (tmp_path / STATE_FILE).is_file()
    save_network(file, seed=7)
    with pytest.raises(CheckpointError, match=r"ONNX file of model.backbone is another one"):
        train(config, coloured_pixels(), tmp_path, device="cpu", resume=True)


def test_the_averaged_network_keeps_the_file_as_it_is(tmp_path, file):
    trained = train(
        config_for(file, "train.average=0.9"), coloured_pixels(), tmp_path / "run", device="cpu"
    )
    assert trained.net.backbone.content.numpy().tobytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.backbone=onnx:nosuch.onnx"], "no such file: .*nosuch.onnx"),
        (["model.preset=nosuch"], "nosuch"),
        (["model.standardise=true"], "model.standardise is not for onnx:"),
        (["model.pretrained=timm"], "model.pretrained is not for onnx:"),
        (["loss.teacher=base", "loss.distillation=1"], "loss.teacher is for networks"),
        (["loss.regulariser=1", "loss.similarity=appearance"], "similarity=appearance is of"),
        (["model.backbone=paper"], "model.preset is for model.backbone=onnx:FILE"),
    ],
)
def test_what_does_not_go_together_is_told_before_any_work(file, settings, message):
    with pytest.raises((ConfigError, CheckpointError), match=message) as told:
        config_for(file, *settings)
    assert "\n" not in str(told.value)


def test_damaged_checkpoints_end_in_one_line(tmp_path, file):
    from safetensors.torch import load_file, save_file

    train(config_for(file), coloured_pixels(), tmp_path / "run", device="cpu")
    model = tmp_path / "run" / MODEL_FILE
    with safe_open(model, "pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(model)
    content = tensors["backbone._extra_state"]
    for changed in (
        {"backbone._extra_state": content[:-40].contiguous()},
        {"backbone._extra_state": torch.zeros_like(content)},
        {"backbone._extra_state": content.float()},
        {"head.project.weight": tensors["head.project.weight"][:, :3].contiguous()},
        {"backbone._extra_state": None},
    ):
        kept = {key: value for key, value in (tensors | changed).items() if value is not None}
        save_file(kept, tmp_path / "x.safetensors", metadata)
        with pytest.raises(CheckpointError) as told:
            TorchEncoder.load(tmp_path / "x.safetensors", "cpu")
        assert "\n" not in str(told.value)
    with pytest.raises(CheckpointError, match="lies within the checkpoint"):
        export_onnx(load_checkpoint(model), tmp_path / "x.onnx")


def test_the_command_takes_the_networks_size_and_evaluates(tmp_path, file, capsys):
    run = train_command(
        "walkers",
        bits=16,
        settings=[
            *(f"model.backbone=onnx:{file}", "model.preset=torchreid", "train.epochs=1"),
            *("train.evaluate_every=1", "model.stripes=null", "model.standardise=false"),
        ],
        output=tmp_path / "run",
        device="cpu",
    )
    assert (run.checkpoint.net.config.data.height, run.checkpoint.net.config.data.width) == (32, 16)
    assert 0 <= run.records[0]["rank1"] <= 1
    assert load_model(tmp_path / "run", "cpu").bits == 16
