"""Optimiser and learning-rate schedule."""

import math

import torch
from torch import nn

from reid_hash.config.schema import TrainConfig


def build_optimiser(model: nn.Module, options: TrainConfig) -> torch.optim.Optimizer:
    """SGD, AdamW or Muon; weight decay acts on matrices and the element-wise weights (the paper).

    Muon is for what the network computes with between its input and its code: the first layer, of
    three channels, depthwise convolutions, and the classifiers, whose rows are classes and not
    directions, stay with AdamW.
    """
    groups: dict[tuple[str, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        kind = "decayed" if parameter.ndim > 1 else "free"
        share = options.backbone_rate if ".backbone." in f".{name}" else 1.0
        if name.endswith(("weight.weight", "weight.steps", "weight.base")):
            kind, share = "weights", options.bit_weights_rate
        elif options.optimiser == "muon" and _is_inner(name, parameter):
            kind = "orthogonal"
        groups.setdefault((kind, share), []).append(parameter)
    # a saved state counts the parameters in this order
    kinds = ("orthogonal", "decayed", "free", "weights")
    made = [
        {
            "params": parameters,
            "weight_decay": 0.0 if kind == "free" else options.weight_decay,
            "rate_share": share,
            "orthogonal": kind == "orthogonal",
        }
        for (kind, share), parameters in sorted(
            groups.items(), key=lambda item: (kinds.index(item[0][0]), -item[0][1])
        )
    ]
    if options.optimiser == "muon":
        from reid_hash.training.muon import Muon  # here: it imports timm, which takes seconds

        return Muon(made, options.learning_rate)
    if options.optimiser == "sgd":
        return torch.optim.SGD(made, options.learning_rate, options.momentum)
    return torch.optim.AdamW(made, options.learning_rate)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all groups: that of the backbone and of the bit weights is their share."""
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
