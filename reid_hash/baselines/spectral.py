"""SH: spectral hashing (Weiss, Torralba & Fergus, NIPS 2008)."""

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.function import FeatureHash, Floats, check_bits
from reid_hash.baselines.pca import principal_components
from reid_hash.data.dataset import Labels


class SpectralHash(FeatureHash):
    """Signs of the smoothest sinusoids along the principal components.

    For data uniform in a box, the eigenfunctions of the graph Laplacian along a principal direction
    with the interval [a, b] are (eq. 9 and 10)

        Φ_m(x) = sin(π/2 + m π (x − a) / (b − a)),   λ_m = 1 − exp(−ε²/2 · (m π / (b − a))²)

    The bits are the signs of the functions with the `bits` smallest λ_m over all directions and
    m = 1, 2, … (the algorithm of section 3.3). λ_m rises with m / (b − a) for any ε, so ε drops
    out; long directions get several bits. Labels are not used.

    Args:
        bits: code length, at most the dimensions of the features, since the paper uses as many
            components as bits.

    Attributes:
        modes: [bits, 2] int64, direction and m of each bit, after `fit`.
    """

    needs_labels = False

    def _fit(
        self, features: NDArray[np.float32], labels: Labels, random: np.random.Generator
    ) -> None:
        check_bits("SH", self.bits, features.shape[1])
        self._mean, self._directions, _ = principal_components(features, self.bits)
        projected = self._project(features)
        self._low = projected.min(axis=0)
        extent = projected.max(axis=0) - self._low
        self.modes = smallest_modes(extent, self.bits)
        direction, mode = self.modes.T
        # directions without extent come last, chosen only if there are not enough others
        self._frequency = mode * np.pi / extent[direction].clip(min=1e-12)

    def _project(self, features: NDArray[np.float32]) -> Floats:
        projected: Floats = (features - self._mean) @ self._directions
        return projected

    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        along = (self._project(features) - self._low)[:, self.modes[:, 0]]
        out: NDArray[np.float32] = np.sin(np.pi / 2 + along * self._frequency).astype(np.float32)
        return out


def smallest_modes(extent: Floats, count: int) -> NDArray[np.int64]:
    """Select the sinusoids with the smallest eigenvalues, that is, the smallest m / extent.

    Args:
        extent: [directions] float64 ≥ 0, b − a of each direction.
        count: number of sinusoids.

    Returns:
        [count, 2] int64: direction and m ≥ 1, in ascending order of eigenvalue.

    Example:
        >>> smallest_modes(np.array([4.0, 1.9]), 3).tolist()
        [[0, 1], [0, 2], [1, 1]]
    """
    mode = np.arange(1, count + 1)
    frequency = mode[None, :] / extent.clip(min=1e-12)[:, None]
    order = np.argsort(frequency, axis=None, kind="stable")[:count]
    direction, place = np.unravel_index(order, frequency.shape)
    return np.column_stack([direction, mode[place]]).astype(np.int64)
