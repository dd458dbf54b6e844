"""The loop trains something small for real in each of these."""

import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from reid_hash.errors import CheckpointError, ConfigError, ReidHashError
from reid_hash.metrics import rank_codes, summarise
from reid_hash.models.run_files import MODEL_FILE, STATE_FILE
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import (
    STATE_FORMAT,
    load_checkpoint,
    read_tensors,
    write_tensors,
)
from reid_hash.nn.hashnet import HashNet
from reid_hash.training import loop
from reid_hash.training.log import TrainingLog
from reid_hash.training.loop import Stopped, Training, train
from reid_hash.training.setup import faster_in_bf16, use_bf16
from tests.helpers import coloured_pixels, tiny_config

FULL = (
    "model.backbone=resnet-slim",
    "loss.cross_entropy=1",
    "loss.code_cross_entropy=1",
    "loss.feature_triplet=0.5",
    "loss.prefixes=[8]",
    "train.average=0.9",
    "model.dropout=0.1",
    "train.small_images=0.5",
    "train.clip=5",
)


def mean_ap(checkpoint, pixels, weighted=False):
    codes = TorchEncoder(checkpoint, "cpu").encode(pixels.images)
    labels, cameras = pixels.labels, pixels.cameras
    groups = rank_codes(codes, codes, labels, labels, cameras, cameras, "market", weighted=weighted)
    return summarise(groups)["map"]


@pytest.mark.parametrize(
    "settings", [(), ("loss.regulariser=0",), ("loss.similarity=appearance",), FULL]
)
def test_training_finds_codes_that_retrieve_unseen_identities(tmp_path, settings):
    pixels = coloured_pixels(identities=24, seed=0)
    unseen = coloured_pixels(identities=12, seed=1)
    config = tiny_config(
        "train.epochs=8", "train.learning_rate=0.002", "augment.erase=0.1", *settings
    )
    trained = train(config, pixels, tmp_path / "a", device="cpu")
    start = train(
        tiny_config("train.epochs=1", "train.learning_rate=1e-9", *settings),
        pixels,
        tmp_path / "b",
        device="cpu",
    )
    assert mean_ap(trained, unseen) > max(0.6, mean_ap(start, unseen) + 0.05)
    history = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").open()]
    assert history[-1]["loss"] < history[0]["loss"]
    assert (tmp_path / "a" / "config.yaml").exists()
    assert not (tmp_path / "a" / STATE_FILE).exists()
    assert list((tmp_path / "a").glob("events.out.tfevents*"))


class StopAt:
    """An evaluation that sends Ctrl-C after an epoch."""

    def __init__(self, epoch):
        self.left = epoch

    def __call__(self, net):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        return {"rank1": 0.5}


@pytest.mark.parametrize("settings", [(), FULL])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, settings):
    pixels = coloured_pixels()
    config = tiny_config("train.evaluate_every=1", *settings)
    whole = train(config, pixels, tmp_path / "whole", device="cpu", evaluate=StopAt(-1))
    with pytest.raises(Stopped, match=r"stopped after step 6 of 12; go on with --resume"):
        train(config, pixels, tmp_path / "cut", device="cpu", evaluate=StopAt(2))
    assert not (tmp_path / "cut" / MODEL_FILE).exists()
    torch.manual_seed(12345)  # what ran in between must not matter
    resumed = train(
        config, pixels, tmp_path / "cut", device="cpu", resume=True, evaluate=StopAt(-1)
    )
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)
    np.testing.assert_array_equal(resumed.bit_weights, whole.bit_weights)
    assert resumed.fingerprint == load_checkpoint(tmp_path / "cut" / MODEL_FILE).fingerprint
    steps = [json.loads(line)["step"] for line in (tmp_path / "cut" / "metrics.jsonl").open()]
    assert steps == [3, 3, 6, 6, 9, 9, 12, 12]


def test_a_run_stopped_in_the_middle_of_an_epoch_goes_on_there(tmp_path, monkeypatch):
    pixels = coloured_pixels()
    config = tiny_config()
    whole = train(config, pixels, tmp_path / "whole", device="cpu")

    seen = []
    real = TrainingLog.step

    def interrupting(self, *args):
        seen.append(1)
        if len(seen) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *args)

    monkeypatch.setattr(TrainingLog, "step", interrupting)
    with pytest.raises(Stopped, match="step 5 of 12"):
        train(config, pixels, tmp_path / "cut", device="cpu")
    resumed = train(config, pixels, tmp_path / "cut", device="cpu", resume=True)
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped in its middle, its configuration and its images."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    config, pixels = tiny_config("train.evaluate_every=1"), coloured_pixels()
    with pytest.raises(Stopped):
        train(config, pixels, folder, device="cpu", evaluate=StopAt(1))
    return config, pixels, folder


def changed(pixels, **fields):
    return dataclasses.replace(pixels, **fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p, None),
        (
            lambda p: p.subset(np.arange(len(p)) != 3),
            r"there were \d+ images, now \d+",
        ),
        (lambda p: changed(p, cameras=p.cameras[::-1].copy()), "as many .*, but of other content"),
        (lambda p: changed(p, labels=p.labels[::-1].copy()), "as many"),
        (lambda p: changed(p, images=255 - p.images), "as many"),
    ],
)
def test_resuming_with_other_images_says_so(stopped, tmp_path, change, said):
    config, pixels, folder = stopped
    shutil.copytree(folder, tmp_path / "run")
    out = io.StringIO()
    console = Console(file=out, width=300)
    checkpoint = train(
        config, change(pixels), tmp_path / "run", device="cpu", resume=True, console=console
    )
    noted = checkpoint.trained_on.get("resumed")
    if said is None:
        assert (noted, "other images" in out.getvalue()) == (None, False)
    else:
        assert re.search(f"warning: .*resumed with other images .*: {said}", out.getvalue())
        assert re.search(said, noted)


def test_one_other_image_is_told_without_a_console(stopped, tmp_path, caplog):
    config, pixels, folder = stopped
    shutil.copytree(folder, tmp_path / "run")
    images = pixels.images.copy()
    images[7] = 255 - images[7]
    train(config, changed(pixels, images=images), tmp_path / "run", device="cpu", resume=True)
    assert "resumed with other images" in caplog.text


def test_a_run_that_was_resumed_with_other_images_remembers_it(stopped, tmp_path, caplog):
    config, pixels, folder = stopped
    shutil.copytree(folder, tmp_path / "run")
    other = changed(pixels, images=255 - pixels.images)
    given = {"device": "cpu", "resume": True}
    with pytest.raises(Stopped):
        train(config, other, tmp_path / "run", evaluate=StopAt(1), **given)
    caplog.clear()
    checkpoint = train(config, other, tmp_path / "run", **given)
    assert caplog.text == ""
    assert "resumed with other images" in checkpoint.trained_on["resumed"]


def test_other_identities_are_refused_and_older_states_are_taken(stopped, tmp_path, caplog):
    config, pixels, folder = stopped
    shutil.copytree(folder, tmp_path / "run")
    fewer = pixels.subset(pixels.labels != pixels.labels[0])
    with pytest.raises(ConfigError, match=r"with other images: there were \d+ identities .* now"):
        train(config, fewer, tmp_path / "run", device="cpu", resume=True)
    state = tmp_path / "run" / STATE_FILE
    tensors, metadata = read_tensors(state, STATE_FORMAT)
    facts = json.loads(metadata["facts"])
    del facts["images"]  # as older versions wrote it
    write_tensors(state, tensors, {**metadata, "facts": json.dumps(facts)})
    train(
        config,
        changed(pixels, images=255 - pixels.images),
        tmp_path / "run",
        device="cpu",
        resume=True,
    )
    assert "other images" not in caplog.text


def test_resuming_what_cannot_be_resumed(tmp_path):
    pixels = coloured_pixels()
    config = tiny_config("train.evaluate_every=1")
    with pytest.raises(CheckpointError, match="nothing to resume .* no state"):
        train(config, pixels, tmp_path, device="cpu", resume=True)
    with pytest.raises(Stopped):
        train(config, pixels, tmp_path, device="cpu", evaluate=StopAt(1))
    other = tiny_config("train.evaluate_every=1", "train.epochs=5")
    with pytest.raises(ConfigError, match="train.epochs was 4, now 5"):
        train(other, pixels, tmp_path, device="cpu", resume=True)
    state = (tmp_path / STATE_FILE).read_bytes()
    (tmp_path / STATE_FILE).write_bytes(state[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        train(config, pixels, tmp_path, device="cpu", resume=True)
    (tmp_path / STATE_FILE).write_bytes(state)
    train(config, pixels, tmp_path, device="cpu", resume=True)
    with pytest.raises(CheckpointError, match="the run is finished"):
        train(config, pixels, tmp_path, device="cpu", resume=True)


def test_a_collapse_is_said(tmp_path):
    console = Console(record=True, width=200, file=io.StringIO())
    # images that are all alike and stay so have one code
    still = [f"augment.{change}=0" for change in ("shift", "zoom", "colour", "erase", "light")]
    config = tiny_config("train.epochs=1", *still)
    pixels = dataclasses.replace(coloured_pixels(), images=np.full((48, 32, 16, 3), 90, np.uint8))
    train(config, pixels, tmp_path, device="cpu", console=console)
    assert "training has collapsed" in console.export_text()


def test_a_run_without_collapse_says_nothing_of_it(tmp_path):
    console = Console(record=True, width=200, file=io.StringIO())
    train(tiny_config(), coloured_pixels(), tmp_path, device="cpu", console=console)
    text = console.export_text()
    assert "epoch 4, step 12 of 12" in text
    assert "collapsed" not in text


@pytest.mark.parametrize("order", [("fp32", "bf16"), ("bf16", "fp32")])
def test_trainings_of_different_precision_follow_each_other(tmp_path, order):
    """In a process of its own, since no training before it may fix the precision."""
    code = """
import json, sys
from pathlib import Path
import torch
from reid_hash.training.loop import train
from tests.helpers import coloured_pixels, tiny_config
torch.set_num_threads(1)
dtypes = []
def hook(module, given, out):
    if module.training and isinstance(module, torch.nn.Conv2d):
        dtypes.append(str(out.dtype))
torch.nn.modules.module.register_module_forward_hook(hook)
found = {}
for precision in sys.argv[2:]:
    dtypes.clear()
    config = tiny_config("train.epochs=1", f"train.precision={precision}")
    folder = Path(sys.argv[1]) / precision
    checkpoint = train(config, coloured_pixels(), folder, device="cpu")
    found[precision] = [sorted(set(dtypes)), checkpoint.fingerprint]
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *order],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["fp32"][0] == ["torch.float32"]
    assert "torch.bfloat16" in found["bf16"][0]  # beside a probe of the shapes at the start
    assert found["fp32"][1] != found["bf16"][1]


def test_a_loss_that_is_no_number_is_an_error(tmp_path):
    config = tiny_config("train.learning_rate=1e30", "train.optimiser=sgd", "train.warmup=0")
    with pytest.raises(ReidHashError, match=r"the loss is (nan|inf) at step \d+; lower"):
        train(config, coloured_pixels(), tmp_path, device="cpu")


def test_one_identity_is_not_enough(tmp_path):
    with pytest.raises(ConfigError, match="at least 2 identities"):
        train(tiny_config(), coloured_pixels(identities=1), tmp_path, device="cpu")


def test_precision_on_the_cpu_follows_the_processor(monkeypatch):
    monkeypatch.delenv("REID_HASH_PRECISION", raising=False)
    assert use_bf16("bf16", "cpu")
    assert not use_bf16("fp32", "cpu")
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            assert use_bf16("auto", "cpu") == ("avx512_bf16" in file.read())


def test_a_variable_decides_where_the_configuration_does_not(monkeypatch):
    for value in ("fp32", "bf16"):
        monkeypatch.setenv("REID_HASH_PRECISION", value)
        assert use_bf16("auto", "cpu") == (value == "bf16")
        assert use_bf16("bf16", "cpu")
        assert not use_bf16("fp32", "cpu")
    monkeypatch.setenv("REID_HASH_PRECISION", "fp16")
    with pytest.raises(ConfigError, match="REID_HASH_PRECISION is 'fp16'; set it to fp32 or bf16"):
        use_bf16("auto", "cpu")


@pytest.mark.parametrize(("rates", "chosen"), [((100.0, 110.0), "fp32"), ((100.0, 120.0), "bf16")])
def test_bf16_is_chosen_on_a_cpu_where_it_is_clearly_faster(tmp_path, monkeypatch, rates, chosen):
    monkeypatch.delenv("REID_HASH_PRECISION", raising=False)
    monkeypatch.setattr(loop, "use_bf16", lambda precision, device: precision != "fp32")
    monkeypatch.setattr(loop, "faster_in_bf16", lambda net, pixels: rates)
    said = io.StringIO()
    config = tiny_config("train.precision=auto")
    checkpoint = train(
        config, coloured_pixels(), tmp_path, device="cpu", console=Console(file=said, width=200)
    )
    assert checkpoint.trained_on["precision"] == chosen
    assert f"precision: {chosen} (measured: 100 images/s in fp32" in said.getvalue()


def test_timing_the_precisions_leaves_the_network_as_it_was():
    net = HashNet(tiny_config())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    fp32, bf16 = faster_in_bf16(net, coloured_pixels().images[:4])
    assert fp32 > 0
    assert bf16 > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_training_beside_the_accelerator_of_a_notebook(tmp_path):
    """In a process of its own; another precision than the training's, before and between two."""
    code = """
import sys
from pathlib import Path
from accelerate import Accelerator
from reid_hash.training.loop import train
from tests.helpers import coloured_pixels, tiny_config
Accelerator(mixed_precision="bf16", cpu=True)
for name in ("fp32", "bf16"):
    config = tiny_config("train.epochs=1", f"train.precision={name}")
    train(config, coloured_pixels(), Path(sys.argv[1]) / name, device="cpu")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr


def write_market(folder, pixels):
    """Training images in Market-1501's naming."""
    part = folder / "bounding_box_train"
    part.mkdir(parents=True)
    for i, image in enumerate(pixels.images):
        name = f"{pixels.labels[i] + 1:04d}_c{pixels.cameras[i]}s1_{i:06d}_00.png"
        cv2.imwrite(str(part / name), image[:, :, ::-1])


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
    write_market(tmp_path / "data", coloured_pixels())
    # SGD: Adam would blow the rounding of gradients that start at zero up to whole steps
    settings = ("model.dropout=0", "train.optimiser=sgd", "train.learning_rate=0.01")
    # in bfloat16 the rounding of a half batch alone differs by more than is compared here
    settings += ("train.precision=fp32",)
    config = tiny_config(*FULL, *settings, "data.dataset=market1501", "data.protocol=train-only")
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    weights = []
    for processes in (1, 2):
        output = tmp_path / f"run{processes}"
        launch = ["-m", "accelerate.commands.launch", "--num_processes", str(processes)]
        if processes > 1:
            launch.append("--multi_gpu")  # its name for "several processes"; --device cpu below
        subprocess.run(
            [sys.executable, *launch, "--num_machines", "1", "--mixed_precision", "no"]
            + ["--dynamo_backend", "no", "-m", "reid_hash", "train", "market1501"]
            + ["--data", str(tmp_path / "data"), "--config", str(tmp_path / "config.yaml")]
            + ["--output", str(output), "--device", "cpu", "-q"],
            check=True,
            env=environment,
            timeout=300,
        )
        tensors, metadata = read_tensors(output / MODEL_FILE, "reid_hash checkpoint 1")
        assert json.loads(metadata["trained_on"])["processes"] == processes
        weights.append(tensors)
    start = train(
        tiny_config(*FULL, "train.epochs=1", "train.learning_rate=1e-9"),
        coloured_pixels(),
        tmp_path / "start",
        device="cpu",
    ).net.state_dict()
    for name, one in weights[0].items():
        difference = (one.float() - weights[1][name].float()).abs().max()
        moved = (one.float() - start[name].float()).abs().max()
        assert difference <= 1e-5 + 2e-3 * moved, name


def test_a_network_that_diverged_in_its_last_step_is_not_saved(tmp_path, monkeypatch):
    step = Training.step

    def spoiling(self, number, *args):
        found = step(self, number, *args)
        self.net.head.project.weight.data.fill_(float("nan"))
        return found

    monkeypatch.setattr(Training, "step", spoiling)
    one_step = ("train.epochs=1", "train.identities_per_batch=8", "train.images_per_identity=6")
    config = tiny_config(*one_step)
    with pytest.raises(ReidHashError, match="training diverged.*head.project.weight.*step"):
        train(config, coloured_pixels(), tmp_path, device="cpu")
    assert not (tmp_path / "model.safetensors").exists()
    assert not (tmp_path / "state.safetensors").exists()
