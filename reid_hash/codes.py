"""Packed binary codes with bit weights: the data type that the whole toolkit works on.

A code of `bits` bits is stored in ceil(bits / 8) bytes. Bit k is bit k % 8 of byte k // 8
("little" bit order). Bit 0 is the most significant one *in meaning*, so the first b bits of a code
are themselves a code: the first b / 8 bytes. For most networks this is the order of falling
weight. A network whose prefixes were trained (`model.order: given`) keeps the order of its
training, in which a later bit may weigh more.

A bit's weight is the cost of a difference in that bit to the weighted Hamming distance
(`distances`). Weights are multiples of a power of two, so small that every sum is exact in float64.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.errors import CodeError, one_line
from reid_hash.utils.files import replacing
from reid_hash.utils.npz import NpzFile
from reid_hash.utils.terminal_text import visible

_LONGEST = 2**16  # bytes of a name: 4 per character, and no path has 16,384
MOST_BITS = 2**20
"""Length of the longest code, far above any that is trained; its weights take 8 MB."""
_WEIGHT_DIGITS = 24  # binary digits kept of the largest weight: float32's precision


def pack(bits: ArrayLike) -> NDArray[np.uint8]:
    """Pack booleans, or the signs of network outputs, into bytes.

    Args:
        bits: [n, bits] bool, or float outputs; those > 0 become ones (Zhang et al. 2015,
            r = sign(v)).

    Returns:
        [n, ceil(bits / 8)] uint8, little bit order; the padding bits of the last byte are zero.

    Raises:
        CodeError: `bits` is not a matrix, or contains NaN or infinity.

    Example:
        >>> pack([[1.5, -0.2, 0.3]])
        array([[5]], dtype=uint8)
    """
    values = np.asarray(bits)
    if values.ndim != 2:
        raise CodeError(f"codes are packed from a matrix [n, bits], not from shape {values.shape}")
    if values.dtype != np.bool_:
        if values.dtype.kind not in "biuf":
            raise CodeError(f"codes are packed from real numbers or booleans, not {values.dtype}")
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            raise CodeError(
                f"{int(bad.sum()):,} of {len(bad):,} rows hold NaN or infinity, which have no "
                "code; the network that gave them is damaged, or its training diverged"
            )
        values = values > 0
    return np.packbits(values, axis=1, bitorder="little")


def unpack(packed: NDArray[np.uint8], bits: int) -> NDArray[np.bool_]:
    """Unpack codes into bits.

    Args:
        packed: [n, ceil(bits / 8)] uint8 from `pack`.
        bits: code length.

    Returns:
        [n, bits] bool.

    Example:
        >>> unpack(pack([[True, False, True]]), 3)
        array([[ True, False,  True]])
    """
    return np.unpackbits(packed, axis=1, count=bits, bitorder="little").view(np.bool_)


def exact_weights(weights: ArrayLike) -> NDArray[np.float32]:
    """Round weights to multiples of 2^-24 times the next power of two above the largest.

    Sums of such numbers are exact in float64 (up to 2^29 numbers of 24 binary digits), so weighted
    distances do not depend on the order of summation. The error is at most 2^-24 of the largest
    weight, which is float32's own precision.

    Args:
        weights: [bits] real, finite, ≥ 0, not all zero.

    Returns:
        [bits] float32.

    Raises:
        CodeError: a weight is negative or not finite, or none is positive.
    """
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise CodeError("bit weights must be a vector of finite numbers that are not negative")
    largest = values.max(initial=0.0)
    if largest < 1e-30:
        raise CodeError("bit weights must not all be zero")
    quantum = weight_quantum(values)
    rounded: NDArray[np.float32] = (np.round(values / quantum) * quantum).astype(np.float32)
    return rounded


def weight_quantum(weights: NDArray[np.floating]) -> float:
    """Return the power of two that the weights from `exact_weights` are multiples of.

    Args:
        weights: [bits] ≥ 0, not all zero.
    """
    return float(2.0 ** (np.ceil(np.log2(weights.max())) - _WEIGHT_DIGITS))


@dataclass(frozen=True, eq=False)
class Codes:
    """Binary codes of n images, most significant bit first.

    Attributes:
        packed: [n, ceil(bits / 8)] uint8, little bit order, zero padding bits.
        bits: code length, ≥ 1.
        weights: [bits] float32 ≥ 0, the cost of each differing bit in the weighted distance (the
            paper's w_k²). Any sequence is accepted. Default: all ones.
        model: fingerprint of the network that made the codes; codes of different networks are not
            comparable. Empty if unknown.

    Example:
        >>> codes = Codes.from_outputs([[1.0, -1.0], [1.0, 1.0]], weights=[2.0, 0.5])
        >>> codes
        Codes(2 codes of 2 bits, weighted)
        >>> len(codes[0]), codes[1:] == codes[[False, True]], codes[0] == codes[1]
        (1, True, False)
    """

    packed: NDArray[np.uint8]
    bits: int
    weights: NDArray[np.float32] = None  # type: ignore[assignment]
    model: str = ""

    __array_ufunc__ = None  # `array == codes` then calls `Codes.__eq__`, not each element's

    def __array__(self, *_: object, **__: object) -> NDArray[np.generic]:
        """Refuse: NumPy would read codes as nested sequences, since each item is codes again."""
        raise CodeError("codes are no array; their bytes are `packed`, their bits `unpack()`")

    def __post_init__(self) -> None:
        packed = np.ascontiguousarray(self.packed)
        width = -(-self.bits // 8)
        if self.bits < 1:
            raise CodeError(f"a code has at least 1 bit, not {self.bits}")
        if self.bits > MOST_BITS:
            raise CodeError(f"a code has at most {MOST_BITS:,} bits, not {self.bits:,}")
        if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != width:
            raise CodeError(
                f"codes of {self.bits} bits are uint8 of shape [n, {width}], "
                f"not {packed.dtype} of shape {list(packed.shape)}"
            )
        if self.bits % 8 and (packed[:, -1] >> (self.bits % 8)).any():
            raise CodeError(f"the padding behind bit {self.bits} is not zero")
        weights = np.ones(self.bits) if self.weights is None else self.weights
        weights = exact_weights(weights)
        if len(weights) != self.bits:
            raise CodeError(f"{len(weights)} weights for codes of {self.bits} bits")
        packed.flags.writeable = False
        weights.flags.writeable = False
        object.__setattr__(self, "packed", packed)
        object.__setattr__(self, "weights", weights)

    @classmethod
    def from_outputs(
        cls, outputs: ArrayLike, weights: ArrayLike | None = None, model: str = ""
    ) -> "Codes":
        """Binarise network outputs [n, bits] float: those > 0 become ones."""
        packed = pack(outputs)
        return cls(packed, np.shape(outputs)[1], weights, model)  # type: ignore[arg-type]

    @classmethod
    def empty(cls, bits: int, weights: ArrayLike | None = None, model: str = "") -> "Codes":
        """Make codes of no images, for comparison with others."""
        packed = np.empty((0, max(0, -(-min(bits, MOST_BITS + 1) // 8))), np.uint8)
        return cls(packed, bits, weights, model)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(
        self, rows: int | np.integer | slice | Sequence[int] | NDArray[np.generic]
    ) -> "Codes":
        """Select codes.

        Args:
            rows: one index, which selects codes of length 1; or a slice, a list of indices, or a
                mask.

        Raises:
            IndexError: an index is out of range, or a mask has another length.
        """
        if not isinstance(rows, slice):
            rows = np.asarray(rows) if np.size(rows) else np.zeros(0, np.int64)
            rows = rows[None] if np.issubdtype(rows.dtype, np.integer) and not rows.ndim else rows
            if rows.ndim != 1:
                raise IndexError("codes are selected by one index, a slice, a list or a mask")
        return self._like(self.packed[rows], self.bits)

    def _like(self, packed: NDArray[np.uint8], bits: int) -> "Codes":
        """Make codes with the leading weights of this object; a prefix's may all be 0."""
        weights = self.weights[:bits]
        if weights.any():
            return Codes(packed, bits, weights, self.model)
        codes = Codes(packed, bits, model=self.model)
        object.__setattr__(codes, "weights", weights)
        return codes

    def check_weighted(self) -> None:
        """Raise CodeError if all weights are 0, since weighted distances would then be all 0."""
        if not self.weights.any():
            raise CodeError(
                f"the weights of these {self.bits} bits are all 0: compare them by the plain "
                "Hamming distance, or by more bits"
            )

    def __eq__(self, other: object) -> bool:
        """Compare bits, their order, weights and model."""
        return (
            isinstance(other, Codes)
            and (self.bits, self.model) == (other.bits, other.model)
            and np.array_equal(self.packed, other.packed)
            and np.array_equal(self.weights, other.weights)
        )

    def __hash__(self) -> int:
        return hash((self.bits, self.model, len(self), self.packed[:1].tobytes()))

    def __repr__(self) -> str:
        number = f"{len(self):,} code{'' if len(self) == 1 else 's'}"
        kind = "unweighted" if (self.weights == 1).all() else "weighted"
        model = f", model {visible(self.model)}" if self.model else ""
        return f"Codes({number} of {self.bits} bits, {kind}{model})"

    def prefix(self, bits: int) -> "Codes":
        """Return the first `bits` bits with their weights: a code of that length.

        If these weights are all 0, the code has a plain Hamming distance but no weighted one.

        Args:
            bits: 1 … self.bits. Multiples of 8 are cut as bytes, without touching any bit.

        Raises:
            CodeError: `bits` is out of range.
        """
        if not 1 <= bits <= self.bits:
            raise CodeError(
                f"{bits} bits asked of codes that have {self.bits}; choose 1 to {self.bits}"
            )
        packed = self.packed[:, : -(-bits // 8)]
        if bits % 8:
            packed = packed.copy()
            packed[:, -1] &= (1 << (bits % 8)) - 1
        return self._like(packed, bits)

    def shortened(self, bits: int) -> "Codes":
        """Cut codes longer than `bits` to that length; return shorter ones unchanged.

        Raises:
            CodeError: `bits` is below 1.
        """
        return self if self.bits <= bits else self.prefix(bits)

    def unpack(self) -> NDArray[np.bool_]:
        """Unpack the codes into bits, [n, bits] bool."""
        return unpack(self.packed, self.bits)

    def reweighted(self, weights: ArrayLike) -> "Codes":
        """Return the same bits with other weights [bits] ≥ 0, as `exact_weights` takes them."""
        return Codes(self.packed, self.bits, np.asarray(weights), self.model)

    def unweighted(self) -> "Codes":
        """Return the same bits, each of weight 1."""
        return Codes(self.packed, self.bits, model=self.model)

    def check_comparable(self, other: "Codes") -> None:
        """Raise CodeError unless both have the same length and come from the same network."""
        if self.bits != other.bits:
            raise CodeError(
                f"codes of {self.bits} bits cannot be compared with codes of {other.bits} bits; "
                "cut the longer ones with --bits"
            )
        if self.model and other.model and self.model != other.model:
            raise CodeError(
                f"codes of model {self.model} cannot be compared with codes of model "
                f"{other.model}; encode both with the same model"
            )


def save_codes(
    path: str | os.PathLike[str], codes: Codes, names: Sequence[str] | None = None
) -> None:
    """Write codes to an .npz file with arrays `packed`, `bits`, `weights`, `model` and `names`.

    Args:
        path: destination file, written atomically.
        codes: the codes.
        names: one name per code, such as an image's file name.
    """
    if names is not None and len(names) != len(codes):
        raise CodeError(f"{len(names)} names for {len(codes)} codes")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            packed=codes.packed,
            bits=np.int64(codes.bits),
            weights=codes.weights,
            model=np.str_(codes.model),
            names=np.array([] if names is None else list(names), dtype=np.str_),
        )


def load_codes(path: str | os.PathLike[str]) -> tuple[Codes, list[str]]:
    """Read codes that `save_codes` wrote. Never unpickles.

    Returns:
        (codes, names); names is empty if none were saved.

    Raises:
        CodeError: the file is missing, damaged or not a file of codes.
    """
    try:
        with NpzFile(path) as file:
            bits = int(file.read("bits", "iu"))
            packed = file.read("packed", "u", None, -(-bits // 8), width=1)
            weights = file.read("weights", "fiu", bits)
            model = str(file.read("model", "U", width=_LONGEST)[()])
            codes = Codes(packed, bits, weights, model)
            named = file.read("names", "U", None, width=_LONGEST)
            if len(named) not in (0, len(codes)):
                raise CodeError(f"{path} is damaged: {len(named)} names for {len(codes)} codes")
            names = [str(name) for name in named]
    except FileNotFoundError as error:
        raise CodeError(f"no such file: {path}") from error
    except CodeError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise their own for damaged files
        raise CodeError(f"{path} holds no codes, or is damaged: {one_line(error)}") from error
    return codes, names
