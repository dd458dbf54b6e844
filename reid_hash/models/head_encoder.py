"""Heads: vectors that somebody else's network made → codes. Nothing here needs torch.

A head is a safetensors file with a matrix and a shift, told from a checkpoint by its metadata.
"""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from reid_hash.codes import Codes
from reid_hash.config.schema import Config
from reid_hash.data.embeddings import checked_vectors
from reid_hash.errors import CheckpointError
from reid_hash.models.encoder import Encoder, Progress
from reid_hash.utils.files import is_ordinary, json_text, replacing

HEAD_FORMAT = "reid_hash head 1"

_ROWS = 65_536  # vectors projected at a time: 128 MB of 512 dimensions
_WRONG = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, eq=False)
class Head:
    """A linear map from vectors of length 1 to outputs, whose signs are the code.

    Attributes:
        matrix: [bits, dims] float32.
        shift: [bits] float32; outputs are matrix @ unit vector + shift.
        bit_weights: [bits] float32 ≥ 0, significance of each bit.
        trained_on: what is known of the fit: vectors, identities, seed.
        certificate: figures on held-out identities (`evaluation.certificate`); empty for none.
    """

    matrix: NDArray[np.float32]
    shift: NDArray[np.float32]
    bit_weights: NDArray[np.float32]
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    certificate: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ for heads whose codes cannot be compared."""
        digest = hashlib.sha256(b"head")
        for part in (self.matrix, self.shift):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]

    def outputs(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """[n, dims] finite vectors, none of them zero → [n, bits] float32."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        found: NDArray[np.float32] = (vectors / lengths).astype(np.float32) @ self.matrix.T
        return found + self.shift


def save_head(path: str | os.PathLike[str], head: Head) -> None:
    """Write a head as safetensors, whole or not at all."""
    metadata = {
        "format": HEAD_FORMAT,
        "bit_weights": json_text([float(w) for w in head.bit_weights]),
        "trained_on": json_text(dict(head.trained_on)),
        "certificate": json_text(dict(head.certificate)),
    }
    tensors = {
        "matrix": np.ascontiguousarray(head.matrix),
        "shift": np.ascontiguousarray(head.shift),
    }
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            full = f"os error {errno.ENOSPC}" in str(error)
            raise OSError(errno.ENOSPC if full else None, str(error)) from error


def is_head(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a head, by its metadata."""
    if not is_ordinary(path):
        return False
    with contextlib.suppress(SafetensorError, OSError), safe_open(path, framework="numpy") as file:
        return str((file.metadata() or {}).get("format", "")).startswith("reid_hash head")
    return False


def load_head(path: str | os.PathLike[str]) -> Head:
    """Read what `save_head` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, or something else.
    """
    if not is_ordinary(path):
        raise CheckpointError(f"no such file: {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != HEAD_FORMAT:
                raise CheckpointError(f"{path} is no head, or one of another version")
            matrix, shift = file.get_tensor("matrix"), file.get_tensor("shift")
        weights = np.array(json.loads(metadata["bit_weights"]), np.float32)
        trained_on = dict(json.loads(metadata["trained_on"]))
        certificate = dict(json.loads(metadata["certificate"]))
    except (SafetensorError, OSError, *_WRONG) as error:
        raise CheckpointError(f"{path} is damaged, or no head: {error}") from error
    fits = matrix.ndim == 2 and matrix.size and shift.shape == weights.shape == matrix.shape[:1]
    if not fits or {matrix.dtype, shift.dtype} != {np.dtype(np.float32)}:
        raise CheckpointError(f"{path} is damaged: its arrays do not fit together")
    if not all(np.isfinite(part).all() for part in (matrix, shift, weights)) or weights.min() < 0:
        raise CheckpointError(f"{path} holds numbers that are NaN or infinite; fit the head again")
    return Head(matrix, shift, weights, trained_on, certificate)


class HeadEncoder(Encoder):
    """Makes codes of vectors with a fitted head; `reid_hash.fit` and `load_model` give one.

    Args:
        head: the map and its bit weights.

    Attributes:
        head: likewise.
        fingerprint: of the head: codes of two encoders compare where it is the same.
        bit_weights: [bits] float32 ≥ 0, significance of each bit.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        self.fingerprint = head.fingerprint
        self.bit_weights = head.bit_weights

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "HeadEncoder":
        """Read a head; CheckpointError where it cannot be read."""
        return cls(load_head(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the head as a safetensors file, with its certificate."""
        save_head(path, self.head)

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return len(self.head.matrix)

    @property
    def dims(self) -> int:
        """Length of the vectors that it takes."""
        return int(self.head.matrix.shape[1])

    def layers(self) -> list[tuple[Any, ...]]:
        """What the head does, in order, as `models.foreign.join` writes it into a graph."""
        return [("unit",), ("affine", self.head.matrix.T, self.head.shift)]

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Figures on held-out identities; empty where none were measured."""
        return self.head.certificate

    @property
    def size(self) -> tuple[int, int]:
        """Refuse: a head takes no images."""
        raise CheckpointError(self._no_images)

    @property
    def config(self) -> Config:  # type: ignore[override]
        """Refuse: a head has no network."""
        raise CheckpointError(self._no_images)

    @property
    def _no_images(self) -> str:
        return (
            f"head {self.fingerprint} takes vectors of {self.dims} numbers, not images: give it "
            "--embeddings"
        )

    def __repr__(self) -> str:
        return (
            f"<HeadEncoder: {self.bits} bits, vectors of {self.dims}, "
            f"fingerprint {self.fingerprint}>"
        )

    def encode(  # type: ignore[override]
        self, vectors: ArrayLike, *, progress: Progress = None
    ) -> Codes:
        """Encode vectors.

        Args:
            vectors: [n, dims] real, finite, none of them zero; or one vector [dims].
            progress: a function that is called with the number of vectors of each block.

        Returns:
            A code of `bits` bits for each vector, with the bit weights and the fingerprint.

        Raises:
            DataError: the vectors are of other dimensions, or NaN, infinite or zero.
        """
        parts = [self.binarise(block).packed for block in self._in_parts(vectors, progress)]
        return Codes(np.concatenate(parts), self.bits, self.bit_weights, self.fingerprint)

    def outputs(  # type: ignore[override]
        self, vectors: ArrayLike, *, progress: Progress = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Real outputs [n, bits] of vectors, and the vectors [n, dims] as float32; see `encode`."""
        given = np.atleast_2d(np.asarray(vectors))
        return np.concatenate(list(self._in_parts(given, progress))), given.astype(np.float32)

    def _in_parts(self, vectors: ArrayLike, progress: Progress) -> Iterable[NDArray[np.float32]]:
        given = np.atleast_2d(np.asanyarray(vectors))  # a memory map stays one
        for start in range(0, max(1, len(given)), _ROWS):
            block = checked_vectors(given[start : start + _ROWS], self.dims, first=start)
            yield self.head.outputs(block)
            if callable(progress):
                progress(len(block))

    def _outputs(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        raise CheckpointError(self._no_images)
