"""Hash head: tanh-like layer and element-wise weight layer (Zhang et al. 2015, section III)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TanhLike(nn.Module):
    """o(v) = 2 / (1 + exp(-beta v)) - 1, which becomes sign(v) as beta grows.

    Attributes:
        beta: slope, a buffer so that checkpoints store it; change it with `set_beta`.
    """

    beta: Tensor

    def __init__(self, beta: float = 5.0) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(float(beta)))

    def set_beta(self, beta: float) -> None:
        """Change the slope, in place."""
        self.beta.fill_(beta)

    def forward(self, outputs: Tensor) -> Tensor:
        """Apply o(v), [n, bits] real → [n, bits] in (-1, 1)."""
        return torch.tanh(outputs * (self.beta / 2))  # the same function, without overflow


class ElementwiseWeight(nn.Module):
    """One learned factor w_k per bit, initially 1, of either sign.

    A differing bit adds (2 w_k)² to the squared distance of two weighted codes, so the
    significance of bit k is w_k².
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(bits))

    def forward(self, codes: Tensor) -> Tensor:
        """Multiply each bit by its factor, [n, bits] → [n, bits]."""
        return codes * self.weight


class MonotoneWeight(nn.Module):
    """Learned factors whose squares fall from bit to bit by construction.

    The significance of bit k is softplus(base) + the sum of softplus(steps_j) / bits over j ≥ k. A
    later bit never counts more, so a prefix always holds the most significant bits. Initially the
    significance falls evenly from 1.34 to 0.65.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(bits))
        self.base = nn.Parameter(torch.tensor([-0.09]))

    @property
    def weight(self) -> Tensor:
        """Factors w_k > 0, [bits]."""
        steps = functional.softplus(self.steps) / len(self.steps)
        return (functional.softplus(self.base) + steps.flip(0).cumsum(0).flip(0)).sqrt()

    def forward(self, codes: Tensor) -> Tensor:
        """Multiply each bit by its factor, [n, bits] → [n, bits]."""
        return codes * self.weight


class HashHead(nn.Module):
    """Hash layer from features to real outputs v [n, bits]; the code is sign(v).

    Args:
        features: length of the feature vector.
        bits: code length.
        batch_norm: normalise each output over the batch, so that each bit is one half of the
            time. Also normalises the features before the linear layer (BNNeck, Luo et al. 2019).
        dropout: probability of dropping a feature in training.
    """

    def __init__(self, features: int, bits: int, batch_norm: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.neck: nn.Module = nn.BatchNorm1d(features) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(features, bits, bias=not batch_norm)
        self.norm: nn.Module = nn.BatchNorm1d(bits) if batch_norm else nn.Identity()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return (features after the neck, outputs v [n, bits]) for features [n, features]."""
        neck: Tensor = self.neck(features)
        return neck, self.norm(self.project(self.dropout(neck)))


def beta_at(progress: float, start: float, growth: float, intervals: int) -> float:
    """Compute the slope of the tanh-like layer: `start`, times `growth` after each interval.

    Training has `intervals` + 1 equal parts; in the last one the slope has grown `intervals`
    times.

    Args:
        progress: completed share of the training, 0 … 1.
        start: slope at the start.
        growth: factor per interval.
        intervals: number of times that the slope grows.

    Example:
        >>> beta_at(0.5, start=5.0, growth=2.0, intervals=4)
        20.0
    """
    return float(start * growth ** min(int(progress * (intervals + 1)), intervals))
