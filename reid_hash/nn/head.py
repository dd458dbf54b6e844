"""The hash head: tanh-like layer and element-wise weight layer (Zhang et al. 2015, section III)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TanhLike(nn.Module):
    """o(v) = 2 / (1 + exp(-beta v)) - 1, which becomes sign(v) as beta grows.

    Attributes:
        beta: slope, a buffer so that a checkpoint keeps it; set it with `set_beta`.
    """

    beta: Tensor

    def __init__(self, beta: float = 5.0) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(float(beta)))

    def set_beta(self, beta: float) -> None:
        """Change the slope, in place."""
        self.beta.fill_(beta)

    def forward(self, outputs: Tensor) -> Tensor:
        """[n, bits] real → [n, bits] in (-1, 1)."""
        return torch.tanh(outputs * (self.beta / 2))  # the same function, without overflow


class ElementwiseWeight(nn.Module):
    """One learned factor w_k for each bit, 1 at the start, without a constraint on its sign.

    A differing bit adds (2 w_k)² to the squared distance of two weighted codes, so the
    significance of bit k is w_k².
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(bits))

    def forward(self, codes: Tensor) -> Tensor:
        """[n, bits] → [n, bits], each bit times its factor."""
        return codes * self.weight


class MonotoneWeight(nn.Module):
    """Learned factors whose squares fall from bit to bit, by construction.

    The significance of bit k is softplus(base) + the sum of softplus(steps_j) / bits over j ≥ k: a
    later bit never counts more, so that a prefix is always the most significant bits. At the start
    it falls evenly from 1.34 to 0.65.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(bits))
        self.base = nn.Parameter(torch.tensor([-0.09]))

    @property
    def weight(self) -> Tensor:
        """[bits] factors w_k > 0."""
        steps = functional.softplus(self.steps) / len(self.steps)
        return (functional.softplus(self.base) + steps.flip(0).cumsum(0).flip(0)).sqrt()

    def forward(self, codes: Tensor) -> Tensor:
        """[n, bits] → [n, bits], each bit times its factor."""
        return codes * self.weight


class HashHead(nn.Module):
    """Features → real outputs v [n, bits], of which sign(v) is the code.

    Args:
        features: length of the feature vector.
        bits: length of the code.
        batch_norm: normalise each output over the batch, so that each bit is one half of the
            time; also on the features before the linear layer (BNNeck, Luo et al. 2019).
        dropout: probability of dropping a feature in training.
    """

    def __init__(self, features: int, bits: int, batch_norm: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.neck: nn.Module = nn.BatchNorm1d(features) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(features, bits, bias=not batch_norm)
        self.norm: nn.Module = nn.BatchNorm1d(bits) if batch_norm else nn.Identity()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[n, features] → (the features after the neck, v [n, bits])."""
        neck: Tensor = self.neck(features)
        return neck, self.norm(self.project(self.dropout(neck)))


def beta_at(progress: float, start: float, growth: float, intervals: int) -> float:
    """Slope of the tanh-like layer: `start`, times `growth` at the end of equal intervals.

    The training has `intervals` + 1 equal parts: in the last one the slope has grown `intervals`
    times.

    Args:
        progress: share of the training that is done, 0 … 1.
        start: slope at the start.
        growth: factor for each step.
        intervals: how many times it grows.

    Example:
        >>> beta_at(0.5, start=5.0, growth=2.0, intervals=4)
        20.0
    """
    return float(start * growth ** min(int(progress * (intervals + 1)), intervals))
