"""MLH: minimal loss hashing (Norouzi & Fleet, ICML 2011)."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.function import SAMPLES, FeatureHash, Floats, some_samples
from reid_hash.baselines.similarity import Similarity
from reid_hash.data.dataset import Labels
from reid_hash.errors import ConfigError

Bits = NDArray[np.bool_]
Singles = NDArray[np.float32]

_TRIES = 8  # attempts to draw a dissimilar partner
_MOMENTUM = 0.9
_RATE = 0.2  # initial learning rate, for normalised features
_MARGIN = 0.3  # scale of the loss, as a share of the outputs' initial deviation


class MLH(FeatureHash):
    """Linear hash functions that minimise a bound on a hinge-like loss of Hamming distances.

    b(x) = (W x > 0). For pairs (i, j) that differ in m of q bits, the loss is

        ℓ_ρ(m, similar) = max(m − ρ + 1, 0),   ℓ_ρ(m, dissimilar) = λ max(ρ − m + 1, 0)

    With g and h codes in {0, 1}^q, its upper bound is

        max_{g_i, g_j} [ε ℓ(‖g_i − g_j‖_H) + g_iᵀ W x_i + g_jᵀ W x_j]
          − max_{h_i} h_iᵀ W x_i − max_{h_j} h_jᵀ W x_j.

    The h are the codes; the g are found exactly by `loss_adjusted_codes`. Stochastic gradient
    descent: W ← W − η [(g_i − h_i) x_iᵀ + (g_j − h_j) x_jᵀ], averaged over batches of pairs, with
    momentum and a rate η that decays to 0. Half of the pairs are similar, half are dissimilar.

    Features are centred, so no bias is needed, and scaled to a mean norm of 1. W starts from random
    rows of unit norm. ε balances loss and outputs: 0.3 of the outputs' initial deviation,
    1 / √dims. ρ, λ, ε and η were chosen on MNIST's training images.

    Args:
        bits: code length; may exceed the dimensions of the features.
        radius: ρ as a share of the bits.
        dissimilar: λ.
        samples: largest number of training samples, drawn at random.
        steps: number of batches.
        batch: pairs per batch.

    Attributes:
        history: [100] mean bound, in units of the loss, over each hundredth of the steps.
    """

    def __init__(
        self,
        bits: int,
        radius: float = 0.3,
        dissimilar: float = 1.0,
        samples: int = SAMPLES,
        steps: int = 10_000,
        batch: int = 100,
    ) -> None:
        super().__init__(bits)
        if not 0 < radius < 1:
            raise ConfigError(f"MLH's radius is a share of the bits between 0 and 1, not {radius}")
        self.radius, self.dissimilar = radius, dissimilar
        self.samples, self.steps, self.batch = samples, steps, batch

    def _fit(
        self, features: NDArray[np.float32], labels: Labels, random: np.random.Generator
    ) -> None:
        rows = some_samples(len(features), self.samples, random)
        similarity = Similarity.of(labels[rows])
        self._mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = features[rows] - self._mean
        self._scale = np.array(1 / max(float(np.linalg.norm(centred, axis=1).mean()), 1e-12))
        inputs = (centred * self._scale).astype(np.float32)
        dims = inputs.shape[1]
        weights = random.normal(size=(dims, self.bits)).astype(np.float32)
        weights /= np.linalg.norm(weights, axis=0)
        margin = _MARGIN / np.sqrt(dims)
        losses = (
            margin * hinge_losses(self.bits, self.radius * self.bits, self.dissimilar)
        ).astype(np.float32)
        velocity = np.zeros_like(weights)
        bounds = np.zeros(self.steps)
        pairs = _Pairs(similarity)
        for step in range(self.steps):
            i, j = pairs.draw(self.batch, random)
            x, y = inputs[i], inputs[j]
            u, v = x @ weights, y @ weights
            g, h, worst = loss_adjusted_codes(u, v, losses[similarity.pairs(i, j).astype(int)])
            best = np.maximum(u, 0).sum(axis=1) + np.maximum(v, 0).sum(axis=1)
            bounds[step] = float((worst - best).mean()) / margin
            gradient = x.T @ _difference(g, u) + y.T @ _difference(h, v)
            rate = _RATE * (1 - step / self.steps) / self.batch
            velocity = _MOMENTUM * velocity - np.float32(rate) * gradient
            weights += velocity
        self.history = np.array([part.mean() for part in np.array_split(bounds, 100) if len(part)])
        self._weights = weights

    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = (features - self._mean) @ self._weights
        return out


def hinge_losses(bits: int, radius: float, dissimilar: float) -> Floats:
    """Compute ℓ_ρ for every Hamming distance.

    Args:
        bits: q, the code length.
        radius: ρ, in bits.
        dissimilar: λ, weight of dissimilar pairs that are too near.

    Returns:
        [2, bits + 1]: losses of dissimilar and of similar pairs at distance 0 … bits.

    Example:
        >>> hinge_losses(4, radius=2, dissimilar=0.5).tolist()
        [[1.5, 1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 2.0, 3.0]]
    """
    distance = np.arange(bits + 1)
    far = dissimilar * np.maximum(radius - distance + 1, 0)
    return np.stack([far, np.maximum(distance - radius + 1, 0)])


def loss_adjusted_codes(u: Singles, v: Singles, losses: Singles) -> tuple[Bits, Bits, Singles]:
    """Find codes g, h of each pair that maximise loss(‖g − h‖_H) + gᵀ u + hᵀ v, exactly.

    A bit in which the codes differ contributes max(u_k, v_k), one in which they agree
    max(u_k + v_k, 0). At distance m, the m bits that gain most from differing differ, so sorting
    by that gain suffices (Norouzi & Fleet 2011, loss-adjusted inference): O(q log q) per pair.

    Args:
        u: [pairs, bits], W x_i.
        v: [pairs, bits], W x_j.
        losses: [pairs, bits + 1], the loss at each distance.

    Returns:
        (g [pairs, bits], h [pairs, bits], the maximum [pairs]).
    """
    agree = u + v
    gain = np.maximum(u, v) - np.maximum(agree, 0)
    order = np.argsort(-gain, axis=1, kind="stable")
    totals = losses.copy()
    totals[:, 1:] += np.cumsum(np.take_along_axis(gain, order, axis=1), axis=1)
    distance = totals.argmax(axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(u.shape[1])[None, :], axis=1)
    differ = rank < distance[:, None]
    first = u > v
    g = np.where(differ, first, agree > 0)
    h = np.where(differ, ~first, agree > 0)
    return g, h, totals.max(axis=1) + np.maximum(agree, 0).sum(axis=1)


def _difference(adjusted: Bits, outputs: Singles) -> Singles:
    """Subtract actual from loss-adjusted bits: −1, 0 or 1."""
    return adjusted.astype(np.float32) - (outputs > 0)


class _Pairs:
    """Sampler of pairs, half of them similar and half dissimilar if possible."""

    def __init__(self, similarity: Similarity) -> None:
        self.similarity = similarity
        order = np.argsort(similarity.group, kind="stable")
        counts = np.bincount(similarity.group, minlength=similarity.groups)
        of_group = np.split(order, np.cumsum(counts)[:-1])
        similar = [
            np.concatenate([of_group[other] for other in np.flatnonzero(row)] or [order[:0]])
            for row in similarity.similar
        ]
        self.similar = np.concatenate(similar)
        self.count = np.array([len(of) for of in similar])
        self.start = np.cumsum(self.count) - self.count

    def draw(
        self, pairs: int, random: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw two vectors [pairs] of sample indices."""
        i, j = random.integers(len(self.similarity), size=(2, pairs))
        half = i[: pairs // 2]
        group = self.similarity.group[half]
        place = (random.random(len(half)) * self.count[group]).astype(np.int64)
        # A sample without labels is similar to none and keeps its random partner.
        some = self.count[group] > 0
        j[: pairs // 2][some] = self.similar[self.start[group[some]] + place[some]]
        for _ in range(_TRIES):
            again = np.flatnonzero(self.similarity.pairs(i, j)[pairs // 2 :]) + pairs // 2
            if not len(again):
                break
            j[again] = random.integers(len(self.similarity), size=len(again))
        return i, j
