"""Muon (Jordan et al. 2024) for matrices and convolutions, AdamW for all else."""

from collections.abc import Callable
from typing import Any

import torch
from timm.optim.muon import MUON_EPS, get_lr_scale, zeropower_via_newtonschulz
from torch import Tensor

_STEPS = [(3.4445, -4.7750, 2.0315)]  # Newton-Schulz, as Jordan et al. chose it
_ROUNDS = 5


class Muon(torch.optim.AdamW):
    """AdamW whose groups with `orthogonal: True` are updated by Muon.

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
