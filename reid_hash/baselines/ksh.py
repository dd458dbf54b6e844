"""KSH: supervised hashing with kernels (Liu, Wang, Ji, Jiang & Chang, CVPR 2012)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from reid_hash.baselines.function import SAMPLES, FeatureHash, Floats, some_samples
from reid_hash.baselines.similarity import Similarity
from reid_hash.data.dataset import Labels
from reid_hash.errors import ConfigError

Residue = Callable[[Floats], Floats]
"""Function that multiplies a vector [n] by R_k, the similarity that previous bits leave."""


class KSH(FeatureHash):
    """Kernel hash functions learned one by one, so that codes' inner products are the similarity.

    h_k(x) = sign(a_kᵀ k̄(x)), with k̄(x) the RBF kernel to `anchors` samples minus its mean over
    the training samples. With S_ij = 1 for similar and −1 for other samples, the objective is

        min ‖Σ_k sgn(K̄ a_k) sgn(K̄ a_k)ᵀ − r S‖²_F,   r bits.

    Greedily for k = 1 … r, with R_k = r S − Σ_{t<k} b_t b_tᵀ, b_t = sgn(K̄ a_t), maximise
    sgn(K̄ a)ᵀ R_k sgn(K̄ a):

    1. Spectral relaxation: drop sgn under aᵀ K̄ᵀ K̄ a = n. The solution is the largest eigenvector
       of K̄ᵀ R_k K̄ a = λ K̄ᵀ K̄ a.
    2. Sigmoid smoothing: from there, replace sgn by φ(x) = 2 / (1 + e^{−x}) − 1, and minimise
       g̃(a) = −φ(K̄ a)ᵀ R_k φ(K̄ a) by Nesterov's accelerated gradient method. The gradient is
       −K̄ᵀ ((R_k b) ⊙ (1 − b ⊙ b)), b = φ(K̄ a).

    Of the two solutions, the one whose signs reach the larger value is kept. The computation uses
    coordinates in which K̄ᵀ K̄ / n is the identity: the objectives are the same, and the gradient
    method needs fewer steps.

    Args:
        bits: code length; may exceed the dimensions of the features.
        anchors: number of kernel anchors, 300 in the paper.
        samples: largest number of training samples, drawn at random.
        iterations: largest number of accelerated gradient steps per bit.

    Attributes:
        history: [bits + 1] the objective / n² before the first bit and after each. It falls as
            long as bᵀ R_k b > n² / 2, which the paper does not guarantee.
        gains: [bits, 2] bᵀ R_k b / n² of the spectral and the smoothed solution.
    """

    def __init__(
        self, bits: int, anchors: int = 300, samples: int = SAMPLES, iterations: int = 200
    ) -> None:
        super().__init__(bits)
        if anchors < 1:
            raise ConfigError(f"KSH needs at least 1 anchor, not {anchors}")
        self.anchors, self.samples, self.iterations = anchors, samples, iterations

    def _fit(
        self, features: NDArray[np.float32], labels: Labels, random: np.random.Generator
    ) -> None:
        rows = some_samples(len(features), self.samples, random)
        features, similarity = features[rows], Similarity.of(labels[rows])
        n = len(features)
        self._anchors = features[some_samples(n, self.anchors, random)].copy()
        distances = squared_distances(features, self._anchors)
        # kernel width from the mean distance, as in the authors' experiments
        self._scale = np.array(1 / (2 * max(float(distances.mean()), 1e-12)))
        kernel = np.exp(-self._scale * distances)
        self._mean = kernel.mean(axis=0)
        kernel -= self._mean
        basis = _whitening(kernel)
        self._directions = basis @ self._greedy(kernel @ basis, similarity)

    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        kernel = np.exp(-self._scale * squared_distances(features, self._anchors))
        out: NDArray[np.float32] = ((kernel - self._mean) @ self._directions).astype(np.float32)
        return out

    def _greedy(self, kernel: Floats, similarity: Similarity) -> Floats:
        """Learn directions [rank, bits] bit by bit, from [n, rank] with kernelᵀ kernel = n I."""
        n, rank = kernel.shape
        directions, signs = np.zeros((rank, self.bits)), np.zeros((n, self.bits))
        sums = kernel.sum(axis=0)
        # kernelᵀ R kernel, to which each bit makes a rank-one update
        relaxed = self.bits * (2 * similarity.quadratic(kernel) - np.outer(sums, sums))
        self.gains = np.zeros((self.bits, 2))
        history = [float(self.bits**2)]
        for k in range(self.bits):
            earlier = signs[:, :k]

            def residue(vector: Floats, earlier: Floats = earlier) -> Floats:
                of_labels = 2 * similarity.times(vector) - vector.sum()
                product: Floats = self.bits * of_labels - earlier @ (earlier.T @ vector)
                return product

            spectral = _largest_eigenvector(relaxed)
            smoothed = smooth_maximum(kernel, residue, spectral, self.iterations)
            best = -np.inf
            for place, direction in enumerate((spectral, smoothed)):
                bits = np.where(kernel @ direction > 0, 1.0, -1.0)
                gain = float(bits @ residue(bits)) / n**2
                self.gains[k, place] = gain
                if gain > best:
                    best, directions[:, k], signs[:, k] = gain, direction, bits
            along = kernel.T @ signs[:, k]
            relaxed -= np.outer(along, along)
            history.append(history[-1] - 2 * best + 1)
        self.history = np.array(history)
        return directions


def smooth_maximum(kernel: Floats, residue: Residue, start: Floats, iterations: int) -> Floats:
    """Maximise φ(K a)ᵀ R φ(K a) from a start by Nesterov's method with step-size search.

    Args:
        kernel: K, [n, m] float64.
        residue: function that multiplies a vector by R.
        start: [m].
        iterations: largest number of steps.

    Returns:
        [m], with a value not below that of the start.
    """

    def value(a: Floats) -> tuple[float, Floats, Floats]:
        b = np.tanh(kernel @ a / 2)  # φ, without overflow
        product = residue(b)
        return -float(b @ product), b, product

    def slope(b: Floats, product: Floats) -> Floats:
        gradient: Floats = -(kernel.T @ (product * (1 - b * b)))
        return gradient

    at, momentum = start, 1.0
    here, b, product = value(at)
    gradient = slope(b, product)
    ahead, there = at, here
    steepness = float(np.linalg.norm(gradient)) / max(float(np.linalg.norm(start)), 1e-12)
    for _ in range(iterations):
        squared = float(gradient @ gradient)
        if squared < 1e-20 * max(1.0, here * here):
            break
        while True:  # until the parabola of this curvature is above the function
            found = ahead - gradient / steepness
            below, b, product = value(found)
            if below <= there - squared / (2 * steepness) + 1e-9 * abs(there):
                break
            steepness *= 2
        if below > here:
            if momentum == 1.0:
                break
            # The momentum led uphill: restart without it (O'Donoghue & Candès 2015).
            momentum, ahead = 1.0, at
        else:
            done = here - below < 1e-5 * abs(here)
            faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = found + (momentum - 1) / faster * (found - at)
            at, here, momentum = found, below, faster
            steepness *= 0.9
            if done:
                break
        there, b, product = value(ahead)
        gradient = slope(b, product)
    return at


def squared_distances(features: NDArray[np.float32], anchors: NDArray[np.float32]) -> Floats:
    """Compute ‖x − y‖² between rows, [n, m] float64 ≥ 0."""
    x, y = features.astype(np.float64), anchors.astype(np.float64)
    distances = x @ y.T
    distances *= -2
    distances += (x * x).sum(axis=1)[:, None]
    distances += (y * y).sum(axis=1)
    return np.maximum(distances, 0, out=distances)


def _whitening(kernel: Floats) -> Floats:
    """Compute P [m, rank] with (K P)ᵀ (K P) = n I, dropping directions without variance."""
    values, vectors = np.linalg.eigh(kernel.T @ kernel)
    kept = values > 1e-9 * max(values[-1], 1e-12)
    basis: Floats = vectors[:, kept] * np.sqrt(len(kernel) / values[kept])
    return basis


def _largest_eigenvector(matrix: Floats) -> Floats:
    last = len(matrix) - 1
    vector: Floats = eigh(matrix, subset_by_index=(last, last))[1][:, 0]
    # Both signs are solutions; fix one, so that the code does not depend on the solver.
    return vector * (1.0 if vector[np.abs(vector).argmax()] > 0 else -1.0)
