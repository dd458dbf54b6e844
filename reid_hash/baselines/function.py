"""Hash functions on features: the interface, and what all of them check and share."""

import hashlib
from abc import ABC, abstractmethod
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.data.dataset import Labels
from reid_hash.data.labels import is_multi_label
from reid_hash.errors import ConfigError, DataError

Floats = NDArray[np.float64]

SAMPLES = 5000
"""Training samples that the supervised methods take at most: their cost follows pairs."""

_BLOCK = 8192  # rows that are hashed at a time: a kernel's matrix of all would fill the memory


class HashFunction(Protocol):
    """Features → codes, learned from features with labels.

    Attributes:
        bits: length of the codes.
    """

    bits: int

    def fit(self, features: NDArray[np.float32], labels: Labels, seed: int = 0) -> Self:
        """Learn from features [n, dims] and labels [n] int64 or [n, classes] bool; gives itself."""
        ...

    def outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, dims] → [n, bits] real values; the code is their sign."""
        ...

    def encode(self, features: NDArray[np.float32]) -> Codes:
        """[n, dims] → n codes, every bit of weight 1."""
        ...


class FeatureHash(ABC):
    """What the methods have in common: a `HashFunction` whose subclass learns and projects.

    Args:
        bits: length of the codes, ≥ 1.

    Attributes:
        fingerprint: 16 hexadecimal digits of what was learned: codes of two functions are not
            comparable. Empty before `fit`.

    Raises:
        ConfigError: `bits` is less than 1.
    """

    needs_labels = True
    """Whether labels are used; where they are not, `fit` looks at their number alone."""

    def __init__(self, bits: int) -> None:
        if bits < 1:
            raise ConfigError(f"a code has at least 1 bit, not {bits}")
        self.bits = bits
        self.fingerprint = ""
        self._dims = 0

    def fit(self, features: NDArray[np.float32], labels: Labels, seed: int = 0) -> Self:
        """Learn the function.

        Args:
            features: [n, dims] real, finite, n ≥ 2.
            labels: [n] int64, or [n, classes] bool: images are similar that share a label.
            seed: of all that is drawn at random; the same input and seed give the same function.

        Returns:
            Itself.

        Raises:
            DataError: features are not finite, too few, or all the same; labels of another number.
            ConfigError: more bits than the method can make of so many dimensions.
            MetricError: labels are neither of the two kinds.
        """
        features = checked(features)
        if len(features) < 2:
            raise DataError(
                f"a hash function is learned from at least 2 samples, not {len(features)}"
            )
        if len(labels) != len(features):
            raise DataError(f"{len(features)} rows of features, but {len(labels)} of labels")
        if self.needs_labels:
            is_multi_label(labels)
        if (features == features[0]).all():
            raise DataError("all training samples have the same features: nothing can be learned")
        self._dims = features.shape[1]
        self._fit(features, labels, np.random.default_rng(seed))
        self.fingerprint = self._digest()
        return self

    def outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Real values of which the signs are the code.

        Args:
            features: [n, dims] real, finite, of the dimensions that it was fitted to.

        Returns:
            [n, bits] float32.

        Raises:
            DataError: it is not fitted, or features are not finite or of other dimensions.
        """
        if not self._dims:
            raise DataError(f"{type(self).__name__} is not fitted yet: call fit first")
        features = checked(features)
        if features.shape[1] != self._dims:
            raise DataError(
                f"features of {features.shape[1]} dimensions for a hash function of {self._dims}"
            )
        out = np.empty((len(features), self.bits), np.float32)
        for start in range(0, len(features), _BLOCK):
            out[start : start + _BLOCK] = self._outputs(features[start : start + _BLOCK])
        return out

    def encode(self, features: NDArray[np.float32]) -> Codes:
        """Codes of features; see `outputs`. Every bit has weight 1."""
        return Codes.from_outputs(self.outputs(features), model=self.fingerprint)

    @abstractmethod
    def _fit(
        self, features: NDArray[np.float32], labels: Labels, random: np.random.Generator
    ) -> None:
        """Learn from checked features and labels; what is learned is kept in array attributes."""

    @abstractmethod
    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """[rows, dims] → [rows, bits]."""

    def _digest(self) -> str:
        digest = hashlib.sha256(type(self).__name__.encode())
        for name, value in sorted(vars(self).items()):
            if isinstance(value, np.ndarray):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()[:16]


def check_bits(method: str, bits: int, dims: int) -> None:
    """Raise ConfigError where a method that gives each bit a direction has too few of them."""
    if bits > dims:
        raise ConfigError(
            f"{method} makes at most one bit of each dimension: {bits} bits asked of features "
            f"that have {dims}; choose fewer bits"
        )


def some_samples(count: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Up to `most` of `count` sample numbers, drawn without repetition, in rising order."""
    if count <= most:
        return np.arange(count)
    return np.sort(random.choice(count, most, replace=False))


def checked(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features as float32 in one piece; DataError where they are no finite matrix [n, dims]."""
    values = np.ascontiguousarray(features, np.float32)
    if values.ndim != 2 or not values.shape[1]:
        raise DataError(f"features are a matrix [n, dims], not of shape {list(values.shape)}")
    # a sum is finite only where all of its terms are, and needs no mask of the matrix's size
    if not np.isfinite(values.sum(dtype=np.float64)):
        bad = int((~np.isfinite(values)).any(axis=1).sum())
        raise DataError(f"features of {bad} of {len(values)} samples are NaN or infinite")
    return values
