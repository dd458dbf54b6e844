"""KISSME: "keep it simple and straightforward" metric (Köstinger et al., CVPR 2012)."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.function import Floats, checked
from reid_hash.baselines.pca import principal_components
from reid_hash.errors import ConfigError, DataError

Integers = NDArray[np.int64]


class KISSME:
    """A Mahalanobis distance in closed form, from a likelihood ratio test.

    Differences x_i − x_j of similar and of dissimilar pairs are assumed normal with mean 0 and
    covariances Σ_S and Σ_D. The logarithm of their likelihood ratio is, up to a constant, the
    distance

        d(x, y) = (x − y)ᵀ M (x − y),   M = Σ_S⁻¹ − Σ_D⁻¹ cut to its positive semidefinite part,

    after a projection to the first principal components. Similar pairs are all pairs of one
    identity in different cameras; as many pairs of different identities are drawn at random.

    Args:
        dims: number of principal components, at most the dimensions of the features.

    Attributes:
        metric: [dims, dims] float64, M, after `fit`.

    Raises:
        ConfigError: `dims` is less than 1.
    """

    def __init__(self, dims: int = 128) -> None:
        if dims < 1:
            raise ConfigError(f"a metric has at least 1 dimension, not {dims}")
        self.dims = dims
        self.metric: Floats = np.zeros((0, 0))

    def fit(
        self,
        features: NDArray[np.float32],
        identities: Integers,
        cameras: Integers | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn the metric.

        Args:
            features: [n, d] real, finite.
            identities: [n] int.
            cameras: [n] int, or None to also use pairs within one camera.
            seed: seed for drawing dissimilar pairs.

        Returns:
            self.

        Raises:
            DataError: features are not finite, the number of identities or cameras differs, or
                there are too few pairs for so many dimensions.
        """
        features = checked(features)
        for name, values in (("identities", identities), ("cameras", cameras)):
            if values is not None and np.shape(values) != (len(features),):
                raise DataError(
                    f"{len(features)} rows of features, but {name} of shape "
                    f"{list(np.shape(values))}"
                )
        if len(features) < 2:
            raise DataError(f"a metric is learned from at least 2 samples, not {len(features)}")
        dims = min(self.dims, features.shape[1])
        self._mean, self._directions, _ = principal_components(features, dims)
        projected = (features - self._mean) @ self._directions
        of_identity = np.unique(identities, return_inverse=True)[1].astype(np.int64)
        of_camera = np.arange(len(features)) if cameras is None else np.asarray(cameras)
        similar, pairs = similar_pairs(projected, of_identity, of_camera)
        if pairs <= dims:
            where = "" if cameras is None else " before different cameras"
            raise DataError(
                f"{pairs} pairs of one identity{where} for {dims} dimensions: there must be more; "
                "choose fewer dimensions"
            )
        i, j = different_pairs(of_identity, of_camera, pairs, np.random.default_rng(seed))
        difference = projected[i] - projected[j]
        dissimilar = difference.T @ difference / len(i)
        self.metric, self._factor = likelihood_metric(similar, dissimilar)
        return self

    def transform(self, features: NDArray[np.float32]) -> Floats:
        """Transform features so that their squared Euclidean distance is the metric.

        Args:
            features: [n, d] with the dimensions given to `fit`.

        Returns:
            [n, rank of M] float64.

        Raises:
            DataError: `fit` was not called, or features are not finite or have other dimensions.
        """
        if not len(self.metric):
            raise DataError("KISSME is not fitted yet: call fit first")
        features = checked(features)
        if features.shape[1] != len(self._mean):
            raise DataError(
                f"features of {features.shape[1]} dimensions for a metric of {len(self._mean)}"
            )
        vectors: Floats = (features - self._mean) @ self._directions @ self._factor
        return vectors

    def distances(self, query: NDArray[np.float32], gallery: NDArray[np.float32]) -> Floats:
        """Compute d(x, y) for query and gallery samples, [Q, G] float64 ≥ 0; see `transform`."""
        x, y = self.transform(query), self.transform(gallery)
        squared = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * (x @ y.T)
        distances: Floats = np.maximum(squared, 0, out=squared)
        return distances


def similar_pairs(features: Floats, identities: Integers, cameras: Integers) -> tuple[Floats, int]:
    """Compute Σ_S over all pairs of one identity in different cameras, without enumerating them.

    The sum over the pairs of a group of m samples is m Σ x xᵀ − (Σ x)(Σ x)ᵀ. Pairs within a camera
    are subtracted from those of the identity.

    Args:
        features: [n, d].
        identities: [n].
        cameras: [n].

    Returns:
        (Σ_S [d, d], number of pairs); zeros if there is no pair.
    """
    both = np.unique(np.column_stack([identities, cameras]), axis=0, return_inverse=True)[1]
    whole, pairs = _pair_scatter(features, identities)
    within, not_counted = _pair_scatter(features, both.reshape(-1))
    pairs -= not_counted
    return (whole - within) / max(pairs, 1), pairs


def _pair_scatter(features: Floats, group: Integers) -> tuple[Floats, int]:
    """Return (Σ (x_i − x_j)(x_i − x_j)ᵀ over pairs within groups, number of these pairs)."""
    groups, of = np.unique(group, return_inverse=True)
    counts = np.bincount(of)
    sums = np.zeros((len(groups), features.shape[1]))
    np.add.at(sums, of, features)
    scatter: Floats = (features * counts[of][:, None]).T @ features - sums.T @ sums
    return scatter, int((counts * (counts - 1) // 2).sum())


def different_pairs(
    identities: Integers, cameras: Integers, count: int, random: np.random.Generator
) -> tuple[Integers, Integers]:
    """Draw pairs of different identities in different cameras, with replacement.

    Args:
        identities: [n].
        cameras: [n].
        count: number of pairs.
        random: random generator.

    Returns:
        Sample indices i [count] and j [count].

    Raises:
        DataError: there are hardly any such pairs.
    """
    found: list[NDArray[np.int64]] = []
    have = 0
    for _ in range(100):
        i, j = random.integers(len(identities), size=(2, 2 * count))
        good = (identities[i] != identities[j]) & (cameras[i] != cameras[j])
        found.append(np.stack([i[good], j[good]]))
        have += int(good.sum())
        if have >= count:
            drawn = np.concatenate(found, axis=1)[:, :count]
            return drawn[0], drawn[1]
    raise DataError("there are no pairs of different identities before different cameras")


def likelihood_metric(similar: Floats, dissimilar: Floats) -> tuple[Floats, Floats]:
    """Compute M = Σ_S⁻¹ − Σ_D⁻¹ with negative eigenvalues set to 0.

    Args:
        similar: Σ_S [d, d].
        dissimilar: Σ_D [d, d].

    Returns:
        (M [d, d], F [d, rank] with M = F Fᵀ).

    Raises:
        DataError: a covariance is singular.
    """
    for covariance in (similar, dissimilar):
        values = np.linalg.eigvalsh(covariance)
        if values[0] <= 1e-12 * max(values[-1], 1e-300):
            raise DataError("the pairs do not differ in all dimensions: choose fewer dimensions")
    raw = np.linalg.inv(similar) - np.linalg.inv(dissimilar)
    values, vectors = np.linalg.eigh((raw + raw.T) / 2)
    kept = values > 0
    factor = vectors[:, kept] * np.sqrt(values[kept])
    return factor @ factor.T, factor
