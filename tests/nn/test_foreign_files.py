"""A checkpoint or a configuration from elsewhere opens nothing but itself."""

import json
import os
import socket
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file

from reid_hash.app.train import training_config
from reid_hash.config.reading import load_config
from reid_hash.config.schema import Config, timm_name
from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.load import load_model
from reid_hash.nn.backbones.build import build_backbone
from reid_hash.nn.checkpoint import (
    FORMAT,
    STATE_FORMAT,
    Checkpoint,
    load_checkpoint,
    load_state,
    metadata_of,
    read_facts,
    save_checkpoint,
)
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.loop import train
from tests.helpers import coloured_pixels, run_cli, tiny_config
from tests.offline import offline

PLACES = [
    "hf-hub:timm/resnet18.a1_in1k",
    "hf_hub:timm/resnet18.a1_in1k",
    "HF-HUB:timm/resnet18.a1_in1k@main",
    "local-dir:/etc",
    "local-dir:.",
    "local-dir:\\\\host\\share",
    "https://host/model",
    "timm/resnet18.a1_in1k",
    "../resnet18",
    "C:\\models\\resnet18",
    "resnet18\n",
    "resnet18 ",
    "resnet18.",
    "",
    "ｒesnet18",  # full-width letter
]


def described(backbone: str, **model: object) -> dict[str, object]:
    values = Config().model_dump(mode="json")
    values["model"] |= {"backbone": backbone, "bits": 16, **model}
    values["data"] |= {"height": 64, "width": 32}
    return values


def forged(path, described, **changed):
    """A checkpoint of a real network whose metadata say something else."""
    real = HashNet(tiny_config()).eval()
    metadata = metadata_of(Checkpoint(real, torch.ones(16).numpy(), torch.arange(16).numpy()))
    metadata |= {"format": FORMAT, "config": json.dumps(described), **changed}
    save_file(real.state_dict(), path, {k: v for k, v in metadata.items() if v is not None})
    return path


@pytest.mark.parametrize("place", PLACES)
def test_a_checkpoint_names_no_place(tmp_path, place):
    file = forged(tmp_path / "m.safetensors", described(f"timm:{place}"))
    with offline(), pytest.raises(CheckpointError, match="is not the name of an arch") as error:
        load_model(file, "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", PLACES)
def test_neither_does_a_configuration_that_is_trained(tmp_path, place):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(json.dumps(described(f"timm:{place}", pretrained="timm")))
    with offline():
        for read in (
            lambda: load_config(run / "config.yaml"),
            lambda: load_config(settings=[f"model.backbone={json.dumps(f'timm:{place}')}"]),
            lambda: training_config("walkers", resumed=run),
            lambda: build_backbone(f"timm:{place}", 64, 32, "timm"),
        ):
            with pytest.raises(ConfigError, match=r"name the architecture.*pretrained: timm"):
                read()


@pytest.mark.parametrize("name", ["nosuch", "resnet18_nosuch", "timm", "a.b.c", "__init__"])
def test_only_networks_of_the_registry_are_built(name):
    with offline(), pytest.raises(ConfigError, match=f"timm has no network {name}"):
        build_backbone(f"timm:{name}", 64, 32, "timm")


def test_every_network_of_timm_can_be_named():
    names = [*timm.list_models(), *timm.list_models(pretrained=True)]
    assert len(names) > 1000
    assert [timm_name(f"timm:{name}") for name in names] == names


@pytest.mark.parametrize("backbone", ["timm:resnet10t.c3_in1k", "timm:mobilenetv3_small_050"])
def test_loading_what_was_trained_from_pretrained_weights_downloads_nothing(tmp_path, backbone):
    settings = (f"model.backbone={backbone}", "data.height=64", "data.width=32")
    net = HashNet(tiny_config(*settings)).eval()
    net.config = tiny_config(*settings, "model.pretrained=timm")
    ones = torch.ones(16).numpy()
    file = tmp_path / "m.safetensors"
    save_checkpoint(file, Checkpoint(net, ones, torch.arange(16).numpy()))
    with offline():
        assert load_checkpoint(file).fingerprint == Checkpoint(net, ones, ones).fingerprint


def test_the_watch_sees_a_connection_even_if_its_failure_is_caught():
    with pytest.raises(AssertionError, match="a connection was opened"), offline():  # noqa: SIM117
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 9))


def test_a_resumed_training_downloads_nothing(tmp_path, monkeypatch):
    """All weights are in the state, whatever model.pretrained says."""
    config = tiny_config("model.backbone=timm:resnet10t", "data.height=32", "data.width=32")
    pixels = coloured_pixels(width=32)
    whole = train(config, pixels, tmp_path / "whole", device="cpu")

    class Interrupted(Exception):
        pass

    import reid_hash.nn.checkpoint as module
    import reid_hash.training.loop as training

    saved = module.save_state

    def save(path, modules, optimiser, facts):
        facts["config"]["model"]["pretrained"] = "timm"  # as if it had started from these
        saved(path, modules, optimiser, facts)
        raise Interrupted

    monkeypatch.setattr(training, "save_state", save)
    with pytest.raises(Interrupted):
        train(config, pixels, tmp_path / "run", device="cpu")
    monkeypatch.setattr(training, "save_state", saved)
    asked = config.model_copy(
        update={"model": config.model.model_copy(update={"pretrained": "timm"})}
    )
    with offline():
        again = train(asked, pixels, tmp_path / "run", device="cpu", resume=True)
    assert again.fingerprint == whole.fingerprint
    assert again.net.config.model.pretrained == "timm"  # it is still told what it started from


DEEP = "[" * 100_000
CHANGED = [
    {"config": DEEP},
    {"config": "[]"},
    {"config": "null"},
    {"config": "{"},
    {"config": None},
    {"bit_weights": "5"},
    {"bit_weights": "{}"},
    {"bit_weights": "[[1]]"},
    {"bit_weights": DEEP},
    {"bit_weights": '["a"]'},
    {"bit_order": "[1e999]"},
    {"bit_order": "null"},
    {"trained_on": "5"},
    {"trained_on": DEEP},
    {"trained_on": None},
]


@pytest.mark.parametrize("changed", CHANGED, ids=lambda changed: str(changed)[:30])
def test_metadata_that_nobody_wrote_are_refused_in_one_line(tmp_path, changed):
    real = tiny_config().model_dump(mode="json")
    file = forged(tmp_path / "m.safetensors", real, **changed)
    with pytest.raises(CheckpointError, match="another version") as error:
        load_checkpoint(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("facts", ["5", "[1]", "null", DEEP, None])
def test_so_are_those_of_a_training_state(tmp_path, facts):
    net = torch.nn.Linear(2, 2)
    metadata = {"format": STATE_FORMAT, "scalars": "{}"} | ({"facts": facts} if facts else {})
    save_file({f"net/{k}": v for k, v in net.state_dict().items()}, tmp_path / "s", metadata)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    for read in (
        lambda: read_facts(tmp_path / "s"),
        lambda: load_state(tmp_path / "s", {"net": net}, optimiser),
    ):
        with pytest.raises(CheckpointError, match="another version"):
            read()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("name", ["pipe", "pipe.onnx"])
def test_a_pipe_is_no_model(tmp_path, capsys, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match=f"{name} is no file"):
        load_model(tmp_path / name, "cpu")
    code, _, err = run_cli(
        capsys, "encode", "-q", tmp_path, "-o", tmp_path / "c.npz", "--model", tmp_path / name
    )
    assert code == 1
    assert err.count("\n") == 1
