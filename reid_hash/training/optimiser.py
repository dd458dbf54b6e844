"""Optimisers, including Muon, and the learning-rate schedule."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reid_hash.config.schema import TrainConfig

# Newton-Schulz coefficients from Jordan et al.
_STEPS = [(3.4445, -4.7750, 2.0315)]
_ROUNDS = 5


def build_optimiser(model: nn.Module, options: TrainConfig) -> torch.optim.Optimizer:
    """Make SGD, AdamW or Muon; weight decay acts on matrices and element-wise weights (the paper).

    Muon updates only inner layers between input and code. AdamW updates the first layer (three
    channels), depthwise convolutions, and the classifiers, whose rows are classes and not
    directions.
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
    # saved states rely on this order of the parameters
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
        return Muon(made, options.learning_rate)
    if options.optimiser == "sgd":
        return torch.optim.SGD(made, options.learning_rate, options.momentum)
    return torch.optim.AdamW(made, options.learning_rate)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate; backbone and bit weights get their shares of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("rate_share", 1.0)


def _is_inner(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and parameter.shape[1] > 3 and "classifier" not in name


def learning_rate_at(progress: float, options: TrainConfig) -> float:
    """Compute the learning rate at `progress` of the steps: linear warm-up, then the schedule."""
    rise = min(1.0, progress / options.warmup + 0.01) if options.warmup else 1.0
    if options.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * progress))
    else:
        fall = 1.0 if progress < 0.6 else 0.1 if progress < 0.85 else 0.01
    return options.learning_rate * rise * fall


class Muon(torch.optim.AdamW):
    """AdamW that updates its groups with `orthogonal: True` by Muon (Jordan et al. 2024).

    A matrix's momentum is replaced by the nearest matrix with orthogonal rows or columns, so rare
    directions learn as fast as common ones, and a network with few steps learns more per step. The
    update is scaled to AdamW's (Liu et al. 2025, eq. 4), so learning rate and weight decay keep
    their meaning.

    timm's own Muon computes in bfloat16, which processors without AVX512-BF16 emulate: 17 times
    slower here. This class runs timm's iteration in float32.

    Args:
        groups: parameter groups as in PyTorch. Groups with `orthogonal: True` hold tensors of 2 or
            more dimensions; all dimensions but the first are flattened.
        learning_rate: learning rate of all groups.
        momentum: Nesterov momentum of the orthogonal groups.
    """

    def __init__(
        self, groups: list[dict[str, Any]], learning_rate: float, momentum: float = 0.95
    ) -> None:
        super().__init__(groups, learning_rate)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the parameters from their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        kept: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            if group.get("orthogonal"):
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._update(parameter, parameter.grad, group)
                        kept.append((parameter, parameter.grad))
                        parameter.grad = None  # so that AdamW skips it
        super().step()
        for parameter, gradient in kept:
            parameter.grad = gradient
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        # imported here, since timm takes seconds to import
        from timm.optim.muon import MUON_EPS, get_lr_scale, zeropower_via_newtonschulz

        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)  # AdamW requires it when loading a state
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - self.momentum)
        ahead = gradient.lerp(state["momentum"], self.momentum).flatten(1)
        update = zeropower_via_newtonschulz(  # type: ignore[no-untyped-call]
            ahead, _ROUNDS, _STEPS, MUON_EPS, dtype=torch.float32
        )
        rate = group["lr"]
        parameter.mul_(1 - rate * group["weight_decay"])
        size = get_lr_scale(update.shape, "match_rms_adamw")  # type: ignore[no-untyped-call]
        parameter.add_(update.view_as(parameter), alpha=-rate * size)
