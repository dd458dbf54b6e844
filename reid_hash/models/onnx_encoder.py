"""ONNX file and images → codes, with onnxruntime alone: torch is not imported.

`reid_hash.models.onnx_export` writes such files.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.config.reading import parse_config
from reid_hash.config.schema import Config
from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.encoder import Encoder, fitting_batch
from reid_hash.utils.files import is_ordinary
from reid_hash.utils.onnx_file import first_line, open_session

FORMAT = "reid_hash onnx 1"
INPUT = "images"
"""The graph's input: [n, height, width, 3] uint8 RGB."""
OUTPUTS = ("outputs", "embedding")
"""The graph's outputs: [n, bits] and [n, features], float32."""

WRONG = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What metadata raise that are not as they were written; RecursionError: JSON without an end."""

_SUFFIX = ".onnx"
_BATCH = 128  # images at a time, as with a checkpoint
_PROBE_LIMIT = 0.05
"""How far outputs may be from those at the export, relative to their norm: some 1.6 % of the bits.
Rounding is below 1e-5, onnxruntime's 8-bit weights are at 0.02; damage that matters is above."""


def is_onnx(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an ONNX file: by how it begins, or by its suffix where that says nothing.

    A missing or an empty file is judged by its suffix, and so is what is no ordinary file.
    """
    if not is_ordinary(path):
        return Path(path).suffix.lower() == _SUFFIX
    try:
        with Path(path).open("rb") as file:
            head = file.read(9)
    except OSError:
        head = b""
    if head[8:] == b"{":  # safetensors: eight bytes of length, then JSON
        return False
    # ONNX begins with field 1, the version of its format, a small number
    if len(head) == 9 and head[0] == 8 and 3 <= head[1] < 32:
        return True
    return Path(path).suffix.lower() == _SUFFIX


def read_size(given: Any) -> tuple[int, int]:
    """(height, width) in pixels as metadata have them; ValueError where it is something else."""
    height, width = map(int, given)
    if not 1 <= min(height, width) <= max(height, width) <= 4096:
        raise ValueError(f"pictures of {height}×{width}")
    return height, width


def probe_picture(height: int, width: int) -> NDArray[np.uint8]:
    """The picture [1, height, width, 3] on which a file is tried when it is opened."""
    y, x, channel = np.ogrid[:height, :width, :3]
    pattern: NDArray[np.uint8] = ((5 * y + 7 * x + 85 * channel) % 256).astype(np.uint8)
    return pattern[None]


def relative_difference(values: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """‖values − true‖ / ‖true‖; infinite where it is not a number."""
    with np.errstate(all="ignore"):
        distance = np.linalg.norm((values - true).astype(np.float64))
        ratio = float(distance / max(float(np.linalg.norm(true)), 1e-12))
    return ratio if np.isfinite(ratio) else float("inf")


class OnnxEncoder(Encoder):
    """Makes codes of images with an ONNX file; the same interface as `TorchEncoder`.

    Args:
        path: a file that `reid-hash export onnx` wrote.
        device: "auto" (cuda where onnxruntime has it, else cpu), "cpu", "cuda" or "mps".
        threads: of the processor; None: $OMP_NUM_THREADS, which torch obeys too, else all cores.

    Attributes:
        config: the configuration of the run that trained the network; None where a network that
            was not trained here was joined with a head.
        fingerprint: that of the checkpoint, or of the pair: codes of both can be compared.
        bit_weights: [bits] float32 ≥ 0, significance of each bit.
        bit_order: [bits] int64, which bit of the training each bit was.
        trained_on: what is known of the training.

    Raises:
        CheckpointError: onnxruntime is not installed; the file is missing, damaged, or something
            else; its network gives other outputs than it gave when it was exported.
        ConfigError: onnxruntime does not have the device.

    Example:
        encoder = OnnxEncoder("model.onnx")
        codes = encoder.encode(["ada.jpg", "bob.jpg"])
    """

    config: Config | None

    def __init__(
        self, path: str | os.PathLike[str], device: str = "auto", threads: int | None = None
    ) -> None:
        self._session = open_session(path, device, threads)
        try:
            metadata = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path} is damaged: its metadata is no text") from error
        if metadata.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} is an ONNX file, but none that `reid-hash export onnx` wrote, or of "
                "another version"
            )
        try:
            self.config = None
            if "config" in metadata:
                self.config = parse_config(json.loads(metadata["config"]), str(path))
            else:  # a network that was not trained here, joined with its head
                self._size = read_size(json.loads(metadata["size"]))
                self.growing = "linear" if metadata["growing"] == "linear" else "cubic"
            self.fingerprint = metadata["fingerprint"]
            self.bit_weights = np.array(json.loads(metadata["bit_weights"]), np.float32)
            self.bit_order = np.array(json.loads(metadata["bit_order"]), np.int64)
            self.trained_on: dict[str, Any] = json.loads(metadata["trained_on"])
            probe = np.array(json.loads(metadata["probe"]), np.float32)
        except (*WRONG, ConfigError) as error:
            raise CheckpointError(
                f"{path} was written by another version: {first_line(error)}"
            ) from error
        if not self.bit_weights.ndim == self.bit_order.ndim == probe.ndim == 1:
            raise CheckpointError(f"{path} was written by another version: its lists are none")
        if self.config is not None:
            self._size = self.config.data.height, self.config.data.width
        bits = len(probe) if self.config is None else self.config.model.bits
        if not len(self.bit_weights) == len(probe) == bits >= 1:
            raise CheckpointError(f"{path} has {len(self.bit_weights)} weights for {bits} bits")
        if not np.isfinite(self.bit_weights).all() or (self.bit_weights < 0).any():
            raise CheckpointError(f"{path} has bit weights that are NaN, infinite or below 0")
        self._features = self._check(path, probe)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images that the network takes, in pixels."""
        return self._size

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return len(self.bit_weights)

    def _outputs(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        outputs = np.empty((len(images), self.bits), np.float32)
        embedding = np.empty((len(images), self._features), np.float32)
        batch = fitting_batch(_BATCH, self.size)
        for start in range(0, len(images), batch):
            rows = slice(start, min(start + batch, len(images)))
            outputs[rows], embedding[rows] = self._run(images[rows])
            if progress is not None:
                progress(rows.stop - rows.start)
        return outputs, embedding

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        feed = {INPUT: np.ascontiguousarray(images)}
        outputs, embedding = self._session.run(list(OUTPUTS), feed)
        return outputs, embedding

    def _check(self, path: str | os.PathLike[str], probe: NDArray[np.float32]) -> int:
        """Run the network once, for ONNX files have no checksum; gives the embedding's length."""
        try:
            outputs, embedding = self._run(probe_picture(*self.size))
        except Exception as error:  # as in open_session
            raise CheckpointError(f"{path} cannot be run: {first_line(error)}") from error
        if outputs.shape != (1, len(probe)) or embedding.ndim != 2:
            raise CheckpointError(
                f"{path} gives outputs {list(outputs.shape)} and an embedding "
                f"{list(embedding.shape)} for one picture, not [1, {len(probe)}] and [1, features]"
            )
        difference = relative_difference(outputs[0], probe)
        if difference > _PROBE_LIMIT:
            raise CheckpointError(
                f"{path} gives other outputs than the network it was exported from (relative "
                f"difference {difference:.2g}): it is damaged, or was changed; export it again"
            )
        if not np.isfinite(embedding).all():
            raise CheckpointError(
                f"{path} gives an embedding with NaN or infinity: it is damaged; export it again"
            )
        return int(embedding.shape[1])
