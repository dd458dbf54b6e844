"""Muon takes timm's steps, and what is not for it gets AdamW's."""

import copy

import pytest
import timm.optim
import torch

from reid_hash.nn.hashnet import HashNet
from reid_hash.training.objective import TrainingModel
from reid_hash.training.optimiser import Muon, build_optimiser, set_learning_rate
from tests.helpers import tiny_config


def with_gradients(net, seed):
    torch.manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)


def test_muon_takes_the_steps_of_timm_but_for_its_bfloat16():
    torch.manual_seed(0)
    own = torch.nn.Sequential(torch.nn.Conv2d(8, 6, 3), torch.nn.Linear(5, 7))
    start, published = copy.deepcopy(own), copy.deepcopy(own)

    def matrices(net):
        return [p for p in net.parameters() if p.ndim > 1]

    def others(net):
        return [p for p in net.parameters() if p.ndim == 1]

    ours = Muon(
        [
            {"params": matrices(own), "orthogonal": True, "weight_decay": 0.1},
            {"params": others(own), "weight_decay": 0.1},
        ],
        0.01,
    )
    reference = timm.optim.Muon(
        matrices(published), lr=0.01, weight_decay=0.1, nesterov=True, ns_coefficients="original"
    )
    adamw = torch.optim.AdamW(others(published), 0.01, weight_decay=0.1)
    for seed in range(3):
        with_gradients(own, seed)
        ours.step()
        with_gradients(published, seed)
        reference.step()
        adamw.step()
    for mine, theirs, before in zip(
        own.parameters(), published.parameters(), start.parameters(), strict=True
    ):
        moved = (theirs - before).norm()
        assert (mine - theirs).norm() < (0.02 if mine.ndim > 1 else 1e-5) * moved


def test_gradients_are_there_after_a_step():
    net = torch.nn.Linear(4, 3)
    with_gradients(net, 0)
    before = net.weight.grad.clone()
    Muon([{"params": [net.weight], "orthogonal": True}, {"params": [net.bias]}], 0.1).step()
    assert net.weight.grad.equal(before)


@pytest.mark.parametrize("backbone", ["paper", "timm:tf_efficientnet_lite0"])
def test_each_parameter_is_in_one_group_and_the_ends_of_the_network_stay_with_adamw(backbone):
    config = tiny_config(
        f"model.backbone={backbone}", "train.optimiser=muon", "loss.code_cross_entropy=1"
    )
    model = TrainingModel(HashNet(config), 3)
    groups = build_optimiser(model, config.train).param_groups
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    orthogonal = {
        names[id(p)] for group in groups if group.get("orthogonal") for p in group["params"]
    }
    assert "net.head.project.weight" in orthogonal
    assert not any("classifier" in name or "bn1" in name for name in orthogonal)
    assert not orthogonal & {"net.backbone.0.weight", "net.backbone.net.conv_stem.weight"}
    assert not any("conv_dw" in name for name in orthogonal)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "muon"])
def test_bit_weights_learn_at_their_share_of_the_rate(optimiser):
    config = tiny_config(f"train.optimiser={optimiser}", "train.bit_weights_rate=0.25")
    net = HashNet(config)
    made = build_optimiser(net, config.train)
    set_learning_rate(made, 0.5)
    slow = [group for group in made.param_groups if group["lr"] != 0.5]
    assert [group["lr"] for group in slow] == [0.125]
    assert slow[0]["params"] == [net.weight.weight]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "muon"])
def test_the_backbone_learns_at_its_share_of_the_rate(optimiser):
    config = tiny_config(
        f"train.optimiser={optimiser}", "train.backbone_rate=0.1", "loss.code_cross_entropy=1"
    )
    model = TrainingModel(HashNet(config), 3)
    made = build_optimiser(model, config.train)
    set_learning_rate(made, 0.5)
    rates = {id(p): group["lr"] for group in made.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        wanted = 0.05 if name.startswith("net.backbone.") else 0.5
        assert rates[id(parameter)] == pytest.approx(wanted), name
