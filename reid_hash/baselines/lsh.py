"""LSH: random projections (Charikar, STOC 2002; Gionis et al., VLDB 1999)."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.function import FeatureHash
from reid_hash.data.dataset import Labels


class LSH(FeatureHash):
    """Signs of random projections of centred features.

    h_k(x) = sign(w_kᵀ (x − mean)), w_k ~ N(0, I). Two points differ in a bit with probability
    θ / π, θ being the angle between them (Charikar 2002, section 3). Labels are not used. With the
    same seed, a shorter code is a prefix of a longer one.

    Args:
        bits: code length; may exceed the dimensions of the features.
    """

    needs_labels = False

    def _fit(
        self, features: NDArray[np.float32], labels: Labels, random: np.random.Generator
    ) -> None:
        self._mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        directions = random.normal(size=(self.bits, features.shape[1]))
        self._directions = directions.T.astype(np.float32)

    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = (features - self._mean) @ self._directions
        return out
