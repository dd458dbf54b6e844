"""Optimiser and learning-rate schedule."""

import math

import torch
from torch import nn

from reid_hash.config import TrainConfig


def build_optimiser(model: nn.Module, options: TrainConfig) -> torch.optim.Optimizer:
    """SGD or AdamW; weight decay acts on matrices and, on the element-wise weights (the paper)."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim > 1 or name.endswith("weight.weight")
        (decayed if decays else free).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    if options.optimiser == "sgd":
        return torch.optim.SGD(groups, options.learning_rate, options.momentum)
    return torch.optim.AdamW(groups, options.learning_rate)


def learning_rate_at(progress: float, options: TrainConfig) -> float:
    """Learning rate after a share `progress` of the steps: linear warm-up, then the schedule."""
    rise = min(1.0, progress / options.warmup + 0.01) if options.warmup else 1.0
    if options.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * progress))
    else:
        fall = 1.0 if progress < 0.6 else 0.1 if progress < 0.85 else 0.01
    return options.learning_rate * rise * fall
