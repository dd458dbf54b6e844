import numpy as np
import pytest
import torch

from reid_hash.errors import CheckpointError
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_state,
    read_facts,
    save_checkpoint,
    save_state,
)
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.optimiser import Muon
from tests.helpers import coloured_pixels, tiny_config


def checkpoint(seed=0):
    torch.manual_seed(seed)
    net = HashNet(tiny_config()).eval()
    return Checkpoint(net, np.linspace(2, 1, 16, dtype=np.float32), np.arange(16)[::-1], {"a": 1})


def test_round_trip(tmp_path):
    saved = checkpoint()
    save_checkpoint(tmp_path / "m.safetensors", saved)
    loaded = load_checkpoint(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.bit_weights, saved.bit_weights)
    np.testing.assert_array_equal(loaded.bit_order, saved.bit_order)
    assert loaded.trained_on == {"a": 1}
    assert loaded.net.config == saved.net.config
    assert loaded.fingerprint == saved.fingerprint != checkpoint(1).fingerprint
    images = coloured_pixels().images
    a, b = TorchEncoder(saved, "cpu").encode(images), TorchEncoder(loaded, "cpu").encode(images)
    np.testing.assert_array_equal(a.packed, b.packed)
    np.testing.assert_array_equal(b.weights, saved.bit_weights)
    assert a.model == b.model == saved.fingerprint


def test_half_precision_is_half_as_large_and_gives_nearly_the_same_codes(tmp_path):
    saved, whole, half = checkpoint(), tmp_path / "whole", tmp_path / "half"
    save_checkpoint(whole, saved)
    save_checkpoint(half, saved, half=True)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = load_checkpoint(half)
    assert {tensor.dtype for tensor in loaded.net.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded.net.head.norm.weight, saved.net.head.norm.weight)
    images = coloured_pixels().images
    a, b = (TorchEncoder(one, "cpu").outputs(images)[0] for one in (saved, loaded))
    np.testing.assert_allclose(a, b, atol=0.01 * np.abs(a).max())
    assert np.abs(a - b).max() > 0  # it was rounded
    assert loaded.fingerprint != saved.fingerprint
    saved.net.head.project.weight.data[0, 0] = 1e6
    with pytest.raises(CheckpointError, match="does not fit into half precision"):
        save_checkpoint(half, saved, half=True)
    assert load_checkpoint(half).fingerprint == loaded.fingerprint


def test_a_part_of_a_file_is_never_a_checkpoint(tmp_path):
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, checkpoint())
    whole = path.read_bytes()
    for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged, or no checkpoint"):
            load_checkpoint(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(path)
    net = HashNet(tiny_config())
    save_state(path, {"net": net}, torch.optim.SGD(net.parameters(), 0.1), {"step": 1})
    with pytest.raises(CheckpointError, match="is not a reid_hash checkpoint"):
        load_checkpoint(path)
    torch.save({"a": 1}, path)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_a_missing_tensor_is_told(tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "m.safetensors"
    save_checkpoint(path, checkpoint())
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    del tensors["head.project.weight"]
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match="another version"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_state_round_trip_continues_the_optimiser(tmp_path, name):
    def make():
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        if name == "adamw":
            return net, torch.optim.AdamW(net.parameters(), 0.1)
        if name == "muon":
            groups = [
                {"params": [net.weight], "orthogonal": True},
                {"params": [net.bias]},
            ]
            return net, Muon(groups, 0.1)
        return net, torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)

    def step(net, optimiser):
        optimiser.zero_grad()
        net(torch.ones(1, 3)).square().sum().backward()
        optimiser.step()

    net, optimiser = make()
    step(net, optimiser)
    save_state(tmp_path / "s", {"net": net}, optimiser, {"step": 7})
    step(net, optimiser)
    other, other_optimiser = make()
    assert load_state(tmp_path / "s", {"net": other}, other_optimiser) == {"step": 7}
    assert read_facts(tmp_path / "s") == {"step": 7}
    step(other, other_optimiser)
    torch.testing.assert_close(other.state_dict(), net.state_dict(), rtol=0, atol=0)


def test_a_state_of_another_network_is_refused(tmp_path):
    net = torch.nn.Linear(3, 2)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    save_state(tmp_path / "s", {"net": net}, optimiser, {})
    with pytest.raises(CheckpointError, match="another network"):
        load_state(tmp_path / "s", {"net": torch.nn.Linear(4, 2)}, optimiser)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["head.project.weight", "backbone.", "mean", "head.norm.running"])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, part, value):
    spoilt = checkpoint()
    state = spoilt.net.state_dict()
    name = next(key for key in state if key.startswith(part))
    state[name].view(-1)[0] = value
    save_checkpoint(tmp_path / "m.safetensors", spoilt)
    with pytest.raises(CheckpointError, match=f"m.safetensors.*{name}.*training diverged"):
        load_checkpoint(tmp_path / "m.safetensors")


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0])
def test_bit_weights_out_of_range_are_refused(tmp_path, weight):
    spoilt = checkpoint()
    spoilt.bit_weights[3] = weight
    save_checkpoint(tmp_path / "m.safetensors", spoilt)
    with pytest.raises(CheckpointError, match="bit_weights"):
        load_checkpoint(tmp_path / "m.safetensors")


def test_outputs_that_overflow_are_refused(tmp_path):
    spoilt = checkpoint()
    spoilt.net.state_dict()["head.project.weight"].fill_(3e38)
    encoder = TorchEncoder(spoilt, "cpu")
    images = np.random.default_rng(0).integers(0, 256, (3, *encoder.size, 3), np.uint8)
    for make in (encoder.encode, encoder.outputs):
        with pytest.raises(CheckpointError, match="NaN or infinity for 3 of 3 images"):
            make(images)
