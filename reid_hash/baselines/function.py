"""Hash functions on features: the interface, shared checks and shared code."""

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
"""Most training samples of supervised methods, whose cost grows with the number of pairs."""

_BLOCK = 8192  # rows hashed at a time; a kernel matrix of all rows would fill the memory


class HashFunction(Protocol):
    """A function from features to codes, learned from labelled features.

    Attributes:
        bits: code length.
    """

    bits: int

    def fit(self, features: NDArray[np.float32], labels: Labels, seed: int = 0) -> Self:
        """Learn from features [n, dims] and labels [n] int64 or [n, classes] bool; return self."""
        ...

    def outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute outputs, [n, dims] → [n, bits] float; their signs are the code."""
        ...

    def encode(self, features: NDArray[np.float32]) -> Codes:
        """Encode [n, dims] into n codes, every bit with weight 1."""
        ...


class FeatureHash(ABC):
    """Base class of the methods: a `HashFunction` whose subclasses learn and project.

    Args:
        bits: code length, ≥ 1.

    Attributes:
        fingerprint: 16 hexadecimal digits of the learned parameters, since codes of two functions
            are not comparable. Empty before `fit`.

    Raises:
        ConfigError: `bits` is less than 1.
    """

    needs_labels = True
    """Whether labels are used; if not, `fit` only checks their number."""

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
            labels: [n] int64, or [n, classes] bool. Images that share a label are similar.
            seed: seed of all random choices; the same input and seed give the same function.

        Returns:
            self.

        Raises:
            DataError: features are not finite, too few, or all equal; or their number differs from
                that of the labels.
            ConfigError: the method cannot make so many bits from so few dimensions.
            MetricError: labels are of neither kind.
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
        """Compute real-valued outputs, whose signs are the code.

        Args:
            features: [n, dims] real, finite, with the dimensions of the training features.

        Returns:
            [n, bits] float32.

        Raises:
            DataError: `fit` was not called, or features are not finite or have other dimensions.
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
        """Encode features, with every bit of weight 1; see `outputs`."""
        return Codes.from_outputs(self.outputs(features), model=self.fingerprint)

    @abstractmethod
    def _fit(
        self, features: NDArray[np.float32], labels: Labels, random: np.random.Generator
    ) -> None:
        """Learn from checked features and labels; store the result in array attributes."""

    @abstractmethod
    def _outputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute outputs, [rows, dims] → [rows, bits]."""

    def _digest(self) -> str:
        digest = hashlib.sha256(type(self).__name__.encode())
        for name, value in sorted(vars(self).items()):
            if isinstance(value, np.ndarray):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()[:16]


def check_bits(method: str, bits: int, dims: int) -> None:
    """Raise ConfigError if a method that needs a direction per bit has too few dimensions."""
    if bits > dims:
        raise ConfigError(
            f"{method} makes at most one bit of each dimension: {bits} bits asked of features "
            f"that have {dims}; choose fewer bits"
        )


def some_samples(count: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw up to `most` of `count` sample indices without replacement, in ascending order."""
    if count <= most:
        return np.arange(count)
    return np.sort(random.choice(count, most, replace=False))


def checked(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features as contiguous float32; DataError unless a finite matrix [n, dims]."""
    values = np.ascontiguousarray(features, np.float32)
    if values.ndim != 2 or not values.shape[1]:
        raise DataError(f"features are a matrix [n, dims], not of shape {list(values.shape)}")
    # a sum is finite only if all of its terms are, and needs no mask of the matrix's size
    if not np.isfinite(values.sum(dtype=np.float64)):
        bad = int((~np.isfinite(values)).any(axis=1).sum())
        raise DataError(f"features of {bad} of {len(values)} samples are NaN or infinite")
    return values
