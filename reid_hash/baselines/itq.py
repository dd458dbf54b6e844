"""ITQ: iterative quantisation (Gong & Lazebnik, CVPR 2011)."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.function import FeatureHash, check_bits
from reid_hash.baselines.pca import principal_components
from reid_hash.data.dataset import Labels
from reid_hash.utils.rotation import rotate


class ITQ(FeatureHash):
    """Signs of principal components, rotated to lie near the corners of the hypercube.

    Minimises the quantisation error ‖B − V R‖²_F (eq. 2) by alternating over B in {−1, 1} and
    rotations R: B = sign(V R), then R = Ŝ Sᵀ from the singular value decomposition
    Bᵀ V = S Ω Ŝᵀ (orthogonal Procrustes). V are the first `bits` principal components of the
    centred, normalised features. Labels are not used.

    FAISS's ITQMatrix is not used: its error fluctuates and ends higher.

    Args:
        bits: code length, at most the dimensions of the features.
        iterations: number of iterations, 50 in the paper.

    Attributes:
        history: [iterations] quantisation error after each iteration, mean over samples and bits.
            It never rises.
    """

    needs_labels = False

    def __init__(self, bits: int, iterations: int = 50) -> None:
        super().__init__(bits)
        self.iterations = iterations

    def _fit(
        self, features: NDArray[np.float32], labels: Labels, random: np.random.Generator
    ) -> None:
        check_bits("ITQ", self.bits, features.shape[1])
        self._mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        unit = self._unit(features)
        self._unit_mean, components, _ = principal_components(unit, self.bits)
        projected = ((unit - self._unit_mean) @ components).astype(np.float32)
        rotation, self.history = rotate(projected, self.iterations, random)
        self._directions = components @ rotation

    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        centred = self._unit(features) - self._unit_mean
        out: NDArray[np.float32] = (centred @ self._directions).astype(np.float32)
        return out

    def _unit(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        centred = features - self._mean
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        unit: NDArray[np.float32] = centred / norms.clip(min=1e-12)
        return unit
