"""BRE: binary reconstructive embeddings (Kulis & Darrell, NIPS 2009), the supervised variant."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.function import SAMPLES, FeatureHash, Floats, some_samples
from reid_hash.baselines.similarity import Similarity
from reid_hash.data.dataset import Labels
from reid_hash.errors import ConfigError

_CELLS = 1_500_000  # of a table [samples, label groups]; more cells take minutes per sweep


class BRE(FeatureHash):
    """Kernel hash functions whose Hamming distances reconstruct given distances.

    h_p(x) = sign(Σ_q W_pq κ(x_pq, x)), with `anchors` random training samples x_pq per bit. The
    objective over all pairs of training samples is

        min_W Σ_ij (d_ij − d̃_ij)²,   d̃_ij the share of bits in which i and j differ.

    In the supervised variant, d_ij = 0 for samples that share a label, else 1. Features are centred
    and normalised, and κ is the inner product, as in the paper's experiments.

    Coordinate descent: for each bit in random order, for each of its weights in random order, set
    the weight to its exact optimum with all others fixed. h_p(x_i) changes only where W_pq crosses
    −(Σ_{q'≠q} W_pq' κ_iq') / κ_iq. Sorting these thresholds and following the objective from one to
    the next finds the best interval (section 3.2 of the paper).

    With labels, let s_i = ±1 be the bits of function p, S = ±1 for similar and other samples, and
    B = ±1 the other bits. The part of the objective that depends on s, times b², is
    −½ sᵀ (b S − B Bᵀ) s. The matrix is never built, see `minimise_along`.

    Args:
        bits: code length; may exceed the dimensions of the features.
        anchors: number of anchors per bit, 50 in the paper.
        samples: largest number of training samples, drawn at random; fewer if images have many
            combinations of labels.
        sweeps: largest number of sweeps over all weights.
        tolerance: stop after a sweep that lowers the objective by less than this share.

    Attributes:
        history: the objective, mean over pairs, before the first sweep and after each. It never
            rises.
    """

    def __init__(
        self,
        bits: int,
        anchors: int = 50,
        samples: int = SAMPLES,
        sweeps: int = 4,
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__(bits)
        if anchors < 1:
            raise ConfigError(f"BRE needs at least 1 anchor for each bit, not {anchors}")
        self.anchors, self.samples = anchors, samples
        self.sweeps, self.tolerance = sweeps, tolerance

    def _fit(
        self, features: NDArray[np.float32], labels: Labels, random: np.random.Generator
    ) -> None:
        self._mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        rows = some_samples(len(features), self.samples, random)
        similarity = Similarity.of(labels[rows])
        if len(rows) * similarity.groups > _CELLS:
            few = max(2, _CELLS // similarity.groups)
            rows = rows[some_samples(len(rows), few, random)]
            similarity = Similarity.of(labels[rows])
        unit = self._unit(features[rows]).astype(np.float64)
        n = len(unit)
        count = min(self.anchors, n)
        chosen = np.array([random.choice(n, count, replace=False) for _ in range(self.bits)])
        kernel = [unit @ unit[of].T for of in chosen]
        weights = random.normal(size=(self.bits, count))
        values = np.column_stack([of @ w for of, w in zip(kernel, weights, strict=True)])
        self.history = self._descend(kernel, weights, values, similarity, random)
        # a sum of inner products with anchors is an inner product with the anchors' sum
        self._directions = np.column_stack(
            [unit[of].T @ w for of, w in zip(chosen, weights, strict=True)]
        ).astype(np.float32)

    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = self._unit(features) @ self._directions
        return out

    def _unit(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        centred = features - self._mean
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        unit: NDArray[np.float32] = centred / norms.clip(min=1e-12)
        return unit

    def _descend(
        self,
        kernel: list[Floats],
        weights: Floats,
        values: Floats,
        similarity: Similarity,
        random: np.random.Generator,
    ) -> Floats:
        """Update `weights` [bits, anchors] and `values` [n, bits] in place; return the history."""
        signs = np.where(values > 0, 1.0, -1.0)
        of_labels, scale = similarity.factors()
        ones = np.ones((len(values), 1))
        history = [reconstruction_error(signs, similarity)]
        for _ in range(self.sweeps):
            for p in random.permutation(self.bits):
                others = np.delete(signs, p, axis=1)
                # factors of b S − B Bᵀ, with S = 2 · similarity − 1
                factors = np.hstack([ones, of_labels, others])
                factor_scale = np.concatenate(
                    [[-self.bits], 2 * self.bits * scale, -np.ones(self.bits - 1)]
                )
                for q in random.permutation(weights.shape[1]):
                    column = kernel[p][:, q]
                    rest = values[:, p] - weights[p, q] * column
                    best = minimise_along(rest, column, weights[p, q], factors, factor_scale)
                    if best != weights[p, q]:
                        weights[p, q] = best
                        values[:, p] = rest + best * column
                signs[:, p] = np.where(values[:, p] > 0, 1.0, -1.0)
            history.append(reconstruction_error(signs, similarity))
            if history[-2] - history[-1] < self.tolerance * history[-2]:
                break
        return np.array(history)


def reconstruction_error(signs: Floats, similarity: Similarity) -> float:
    """Compute the objective: mean over all ordered pairs of (d_ij − share of differing bits)².

    Args:
        signs: [n, bits], −1 or 1.
        similarity: similarity of the n samples; d_ij is 0 for similar samples, else 1.

    Returns:
        Error in 0 … 1, computed as ‖B Bᵀ − b S‖²_F / (4 b² n²) from matrices of bits × bits.
    """
    n, bits = signs.shape
    codes = signs.T @ signs
    sums = signs.sum(axis=0)
    agreement = 2 * np.trace(similarity.quadratic(signs)) - float(sums @ sums)
    total = float((codes * codes).sum()) - 2 * bits * agreement + bits**2 * n**2
    return float(total / (4 * bits**2 * n**2))


def minimise_along(
    rest: Floats, column: Floats, weight: float, factors: Floats, scale: Floats
) -> float:
    """Find w that minimises −sᵀ Q s exactly, for the signs s = sign(rest + w · column).

    Each sample changes its sign at one threshold, −rest / column. The products Vᵀ s at all
    thresholds are sums over the sorted samples, so all intervals of w cost O(n log n + n · rank).

    Args:
        rest: [n], contribution of the other weights.
        column: [n], kernel between the samples and the weight's anchor.
        weight: current value of the weight.
        factors: V [n, rank], with Q = V diag(scale) Vᵀ.
        scale: [rank].

    Returns:
        The middle of the best interval, or `weight` if no interval is better than its own.
    """
    moving = np.flatnonzero(column)
    if not len(moving):
        return weight
    thresholds = -rest[moving] / column[moving]
    order = np.argsort(thresholds, kind="stable")
    thresholds, moving = thresholds[order], moving[order]
    # the signs for w → −∞, and the change of Vᵀ s at each threshold
    signs = np.where(rest > 0, 1.0, -1.0)
    signs[moving] = -np.sign(column[moving])
    products = np.empty((len(moving) + 1, len(scale)))
    products[0] = factors.T @ signs
    np.multiply(factors[moving], (-2 * signs[moving])[:, None], out=products[1:])
    np.cumsum(products, axis=0, out=products)
    objective = -np.einsum("ij,ij,j->i", products, products, scale)
    middles = np.concatenate(
        [[thresholds[0] - 1], (thresholds[:-1] + thresholds[1:]) / 2, [thresholds[-1] + 1]]
    )
    # equal thresholds, or ones with no number between them, enclose no interval
    inner = middles[1:-1]
    real = np.ones(len(middles), bool)
    real[1:-1] = (thresholds[:-1] < inner) & (inner < thresholds[1:])
    here = float(objective[np.searchsorted(thresholds, weight)])
    objective[~real] = np.inf
    best = int(objective.argmin())
    # a gain below the rounding error of such long sums is none
    return float(middles[best]) if objective[best] < here - 1e-9 * abs(here) else weight
