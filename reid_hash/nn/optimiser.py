"""Optimiser and learning-rate schedule."""

import math

import torch
from torch import nn

from reid_hash.config import TrainConfig


def build_optimiser(model: nn.Module, options: TrainConfig) -> torch.optim.Optimizer:
    """SGD, AdamW or Muon; weight decay acts on matrices and the element-wise weights (the paper).

    Muon is for what the network computes with between its input and its code: the first layer, of
    three channels, depthwise convolutions, and the classifiers, whose rows are classes and not
    directions, stay with AdamW.
    """
    weights: list[nn.Parameter] = []
    inner: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.endswith(("weight.weight", "weight.steps", "weight.base")):
            weights.append(parameter)
        elif options.optimiser == "muon" and _is_inner(name, parameter):
            inner.append(parameter)
        else:
            (decayed if parameter.ndim > 1 else free).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": free, "weight_decay": 0.0},
        {
            "params": weights,
            "weight_decay": options.weight_decay,
            "rate_share": options.bit_weights_rate,
        },
    ]
    if options.optimiser == "muon":
        from reid_hash.nn.muon import Muon  # here: it imports timm, which takes seconds

        orthogonal = {"params": inner, "weight_decay": options.weight_decay, "orthogonal": True}
        return Muon([orthogonal, *groups], options.learning_rate)
    if options.optimiser == "sgd":
        return torch.optim.SGD(groups, options.learning_rate, options.momentum)
    return torch.optim.AdamW(groups, options.learning_rate)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all groups; the bit weights' is their share of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("rate_share", 1.0)


def _is_inner(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and parameter.shape[1] > 3 and "classifier" not in name


def learning_rate_at(progress: float, options: TrainConfig) -> float:
    """Learning rate after a share `progress` of the steps: linear warm-up, then the schedule."""
    rise = min(1.0, progress / options.warmup + 0.01) if options.warmup else 1.0
    if options.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * progress))
    else:
        fall = 1.0 if progress < 0.6 else 0.1 if progress < 0.85 else 0.01
    return options.learning_rate * rise * fall
