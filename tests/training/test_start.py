"""A training that starts from a trained network: which weights it takes, and what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from reid_hash.app.train import training_config
from reid_hash.errors import ConfigError
from reid_hash.models.run_files import CONFIG_FILE, MODEL_FILE
from reid_hash.models.shipped import shipped_model
from reid_hash.nn.checkpoint import Checkpoint, load_checkpoint
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.loop import Stopped, train
from reid_hash.training.setup import start_from
from tests.helpers import coloured_pixels, tiny_config

STANDING = ("train.epochs=1", "train.learning_rate=1e-9", "train.weight_decay=0")


def checkpoint_of(*settings):
    net = HashNet(tiny_config(*settings)).eval()
    return Checkpoint(net, np.ones(16, np.float32), np.arange(16))


@pytest.mark.parametrize("weights", ["learned", "monotone"])
def test_a_shorter_code_starts_from_the_first_bits(weights):
    given = checkpoint_of(f"model.weights={weights}")
    for tensor in given.net.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2)
    images = torch.randn(3, 3, 32, 16)
    for bits in (16, 8, 1):
        net = HashNet(tiny_config(f"model.weights={weights}", f"model.bits={bits}")).eval()
        start_from(net, given, "it")
        features, embedding, outputs = net(images)
        wanted = given.net(images)
        torch.testing.assert_close(features, wanted.features)
        torch.testing.assert_close(embedding, wanted.embedding)
        torch.testing.assert_close(outputs, wanted.outputs[:, :bits])
        torch.testing.assert_close(net.mean, given.net.mean)


def test_a_training_goes_on_where_the_start_ended(tmp_path):
    pixels, others = coloured_pixels(seed=0), coloured_pixels(identities=5, seed=1)
    first = train(tiny_config(), pixels, tmp_path / "first")
    start = f"train.start={tmp_path / 'first' / MODEL_FILE}"
    standing = train(tiny_config(*STANDING, start), others, tmp_path / "standing")
    anew = train(tiny_config(*STANDING), others, tmp_path / "anew")
    weights = {name: made.net.state_dict() for name, made in (("s", standing), ("n", anew))}
    assert any("project.weight" in key for key in weights["s"])
    for key, tensor in first.net.state_dict().items():
        if "project" in key or key in ("mean", "std") or key.startswith("backbone"):
            torch.testing.assert_close(weights["s"][key], tensor, atol=1e-5, rtol=1e-5)
            assert not torch.allclose(weights["n"][key], tensor, atol=1e-5)


def test_without_the_start_a_stopped_run_goes_on_nevertheless(tmp_path, monkeypatch):
    pixels = coloured_pixels()
    file = tmp_path / "first" / MODEL_FILE
    train(tiny_config(), pixels, file.parent)
    config = tiny_config(f"train.start={file}")
    monkeypatch.setattr("reid_hash.training.loop.agree", lambda *_: True)
    with pytest.raises(Stopped):
        train(config, pixels, tmp_path / "second")
    monkeypatch.undo()
    file.unlink()
    train(config, pixels, tmp_path / "second", resume=True)
    assert (tmp_path / "second" / MODEL_FILE).exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.bits=24"], "has 16 bits; set model.bits to no more, not 24"),
        (["model.backbone=resnet-slim"], "model.backbone is paper there and resnet-slim here"),
        (["data.height=64"], "its input is of another size"),
    ],
)
def test_networks_that_do_not_fit_are_told_where(settings, message):
    with pytest.raises(ConfigError, match=message):
        start_from(HashNet(tiny_config(*settings)), checkpoint_of(), "it")


def test_the_start_brings_its_configuration_but_not_its_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = shipped_model("small")
    own = load_checkpoint(small.file).net.config
    start = Path("small")
    config = training_config("market1501", None, ["train.epochs=3", "model.bits=64"], start)
    assert config.train.start == "small"
    assert (config.data.dataset, config.data.height) == ("market1501", own.data.height)
    assert (config.train.epochs, config.model.bits) == (3, 64)
    assert config.model == own.model.model_copy(update={"bits": 64})
    assert config.loss == own.loss
    imagenet = training_config("cuhk03", "cuhk03-lite0", (), start)
    assert imagenet.model.pretrained is None
    # a configuration that is named wins, and so does that of a run which is resumed
    named = training_config("market1501", "cuhk03-hour", (), start)
    assert (named.train.start, named.model.backbone) == ("small", "resnet-medium")
    (tmp_path / CONFIG_FILE).write_text(named.to_yaml())
    assert training_config("market1501", None, (), start, tmp_path) == named
    assert training_config("market1501", None, (), None, tmp_path) == named
    # a file is kept as its path
    copied = tmp_path / "a: b.safetensors"
    shutil.copy(small.file, copied)
    by_file = training_config("market1501", None, (), copied)
    assert by_file.train.start == str(copied)
