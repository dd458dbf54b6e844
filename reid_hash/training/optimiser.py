"""Optimisers, Muon among them, and the learning-rate schedule."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reid_hash.config.schema import TrainConfig

# Newton-Schulz, as Jordan et al. chose it
_STEPS = [(3.4445, -4.7750, 2.0315)]
_ROUNDS = 5


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


class Muon(torch.optim.AdamW):
    """AdamW whose groups with `orthogonal: True` are updated by Muon (Jordan et al. 2024).

    The momentum of a matrix is replaced by the nearest matrix with orthogonal rows or columns, so
    that rare directions learn as fast as common ones: a network that has few steps learns more in
    each. The update is scaled to the size of AdamW's (Liu et al. 2025, eq. 4), so learning rate
    and weight decay keep their meaning.

    timm's own Muon computes in bfloat16, which processors without AVX512-BF16 imitate: 17 times
    slower here. This one takes timm's iteration in float32.

    Args:
        groups: as torch takes them; those with `orthogonal: True` hold tensors of 2 or more
            dimensions, of which the first is kept and the others are joined.
        learning_rate: of all groups.
        momentum: of the orthogonal ones, with Nesterov's step ahead.
    """

    def __init__(
        self, groups: list[dict[str, Any]], learning_rate: float, momentum: float = 0.95
    ) -> None:
        super().__init__(groups, learning_rate)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update from the gradients."""
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
                        parameter.grad = None  # AdamW passes over it
        super().step()
        for parameter, gradient in kept:
            parameter.grad = gradient
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        # imported here, since timm takes seconds
        from timm.optim.muon import MUON_EPS, get_lr_scale, zeropower_via_newtonschulz

        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)  # AdamW asks for it when it loads a state
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
