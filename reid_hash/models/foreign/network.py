"""Anybody's network: what a person names, and what every runtime of one gives."""

import hashlib
import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.encoder import fitting_batch
from reid_hash.models.foreign.inputs import SINGLE, Color, Inputs, read_inputs
from reid_hash.utils.files import json_text
from reid_hash.utils.onnx_file import first_line

USUAL_SIZE = 256, 128
"""(height, width) in pixels that most networks for people take."""

_LARGEST = 4096  # pixels a side
_MOST = 1024  # pictures that a file may want at a time: fewer are filled up to it
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """A network that was not trained here, as `--network` and its options name it.

    Attributes:
        file: an ONNX file, an OpenVINO file (.xml), a file of torchreid or FastReID (.pth), or
            timm:NAME.
        head: a head of `reid-hash fit`, which makes codes of the network's floats; None for the
            floats alone.
        preset: what the input is, by name: see `inputs.PRESETS`; None for the single values below,
            and what is left of them is guessed aloud.
        color: order of the input's channels, "rgb" or "bgr".
        white: value of the brightest pixel, before mean and deviation: 1 or 255.
        mean: of the input's three channels.
        std: likewise.
        growing: how smaller pictures are scaled, "linear" or "cubic".
        size: (height, width) of the input in pixels, where the file leaves it open.
        output: name of the output to take, where a file has several.
        weights: of timm's networks: "timm" to download them, or a local file; None for random
            ones.
    """

    file: str
    head: str | None = None
    preset: str | None = None
    color: Color | None = None
    white: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    growing: Literal["linear", "cubic"] | None = None
    size: tuple[int, int] | None = None
    output: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= _LARGEST for side in self.size):
            raise ConfigError(f"--input-size: each side is 1 to {_LARGEST} pixels")
        if self.weights is not None and not self.file.startswith("timm:"):
            raise ConfigError("--weights is for timm's networks; other files have theirs")
        self.inputs(Inputs())  # values out of range are told before any file is read

    def __str__(self) -> str:
        return self.file if self.head is None else f"{self.file} with {self.head}"

    def inputs(self, guess: Inputs) -> tuple[Inputs, bool]:
        """(what the input is, whether any of it is guessed)."""
        given = {name: getattr(self, name) for name in SINGLE}
        named = {name: value for name, value in given.items() if value is not None}
        return read_inputs(self.preset, named, guess)

    def absolute(self) -> "Network":
        """The same, with whole paths: for a gallery that is opened from elsewhere."""
        facts = asdict(self)
        for name in ("file", "head", "weights"):
            value = facts[name]
            if value is not None and not value.startswith("timm"):
                facts[name] = os.path.abspath(value)
        return Network(**facts)

    def files(self) -> list[str]:
        """The files that are opened."""
        named = (self.file, self.head, self.weights)
        return [one for one in named if one is not None and not one.startswith("timm")]

    def noted(self) -> str:
        """As a gallery notes it: JSON of what is not left out."""
        facts = {name: value for name, value in asdict(self).items() if value is not None}
        return json_text(facts, ensure_ascii=False)

    @classmethod
    def read_noted(cls, text: str) -> "Network | None":
        """What `noted` wrote, or None where the text is something else, such as a path."""
        if not text.startswith("{"):
            return None
        try:
            facts = json.loads(text)
            numbers = {"mean": float, "std": float, "size": int}
            for name, value in facts.items():
                if name in numbers:
                    facts[name] = tuple(map(numbers[name], value))
                elif name == "white":
                    facts[name] = float(value)
                elif not isinstance(value, str):
                    return None
            return cls(**facts)
        except (TypeError, ValueError, AttributeError, RecursionError, OverflowError):
            return None


class FloatNetwork(ABC):
    """A network that makes floats of pictures, whatever runs it.

    Attributes:
        name: for messages and for `repr`.
        inputs: what it takes.
        size: (height, width) of its input in pixels.
        features: numbers that it gives for a picture.
        fingerprint: 16 hexadecimal digits, of the network and its inputs.
        batch: pictures that it is run on at a time.
    """

    name: str
    inputs: Inputs
    size: tuple[int, int]
    features: int
    fingerprint: str
    batch: int = 32
    _fixed: int | None = None  # the batch, where the file says it

    def floats(
        self, images: NDArray[np.uint8], progress: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """Run the network.

        Args:
            images: [n, height, width, 3] uint8 RGB of `size`.
            progress: called with the number of images of each batch.

        Returns:
            [n, features] float32, as the network gives them.

        Raises:
            CheckpointError: it cannot be run.
        """
        found = np.empty((len(images), self.features), np.float32)
        batch = self.batch if self._fixed else fitting_batch(self.batch, self.size)
        for start in range(0, len(images), batch):
            rows = slice(start, min(start + batch, len(images)))
            try:
                made = self._run(images[rows])
            except CheckpointError:
                raise
            except Exception as error:  # runtimes' failures have no common class
                raise CheckpointError(f"{self.name} cannot be run: {first_line(error)}") from error
            if made.shape != found[rows].shape:
                raise CheckpointError(
                    f"{self.name} gives {list(made.shape)} for {rows.stop - rows.start} pictures, "
                    f"not {list(found[rows].shape)}"
                )
            found[rows] = made
            if progress is not None:
                progress(rows.stop - rows.start)
        return found

    @abstractmethod
    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Floats [n, features] of up to `batch` images."""


def fingerprint(parts: Iterator[bytes], inputs: Inputs, size: tuple[int, int], output: str) -> str:
    """16 hexadecimal digits that differ for networks, inputs or outputs that differ."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    digest.update(json_text({**inputs.as_object(), "size": size, "output": output}).encode())
    return digest.hexdigest()[:16]


def say_guess(name: str, what: str, options: str) -> None:
    """Say aloud what was guessed of a network's input, and which options name it."""
    _log.warning("%s: %s is a guess; name it with %s", name, what, options)


def settle_inputs(network: Network, name: str, guess: Inputs) -> Inputs:
    """The inputs that were named, with what is missing guessed aloud."""
    inputs, guessed = network.inputs(guess)
    if guessed:
        say_guess(
            name,
            f"the input ({inputs})",
            "--preset, or --color, --white, --mean, --std and --growing",
        )
    return inputs


def settle_size(
    network: Network, name: str, height: object, width: object, guess: tuple[int, int] = USUAL_SIZE
) -> tuple[int, int]:
    """The input's (height, width): of the file, else as named, else guessed aloud.

    Args:
        network: what was named.
        name: for messages.
        height: of the file, in pixels; anything but a whole number above 0 where it is left open.
        width: likewise.
        guess: where neither says.

    Raises:
        ConfigError: another size was named than the file's.
    """
    fixed = [side if isinstance(side, int) and side > 0 else None for side in (height, width)]
    if any(side is not None and side > _LARGEST for side in fixed):
        raise CheckpointError(f"{name} takes pictures of {height}×{width}: that is too much")
    if None not in fixed:
        size = int(fixed[0] or 0), int(fixed[1] or 0)
        if network.size not in (None, size):
            raise ConfigError(f"--input-size: {name} takes {size[0]}×{size[1]} alone; leave it out")
        return size
    if network.size is not None:
        return network.size
    size = fixed[0] or guess[0], fixed[1] or guess[1]
    say_guess(name, f"an input of {size[0]}×{size[1]}", "--input-size")
    return size


def file_bytes(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """A file, a megabyte at a time."""
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                yield block
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error


def as_rows(made: Any, pictures: int, name: str) -> NDArray[np.float32]:
    """An output [n, d] or [n, d, 1, 1] as [n, d] float32.

    Raises:
        CheckpointError: it has another form.
    """
    array = np.asarray(made)
    if array.dtype.kind != "f" or array.ndim < 2 or array.shape[0] != pictures:
        raise CheckpointError(
            f"{name} gives {array.dtype} {list(array.shape)} for {pictures} pictures, not a row of "
            "floats for each"
        )
    if array.size != pictures * array.shape[1]:
        raise CheckpointError(
            f"{name} gives {list(array.shape)} for {pictures} pictures: a map rather than a vector "
            "for each; name another output with --network-output, or export it with its pooling"
        )
    return array.reshape(pictures, -1).astype(np.float32, copy=False)


def picture_layout(name: str, shape: list[Any]) -> tuple[bool, Any, Any, Any]:
    """(whether the channels are last, batch, height, width) of an input's shape."""
    if len(shape) != 4 or (shape[1] != 3 and shape[3] != 3):
        raise CheckpointError(
            f"{name} takes {shape}, which is neither [n, 3, height, width] nor "
            "[n, height, width, 3]: it is no network of coloured pictures"
        )
    if isinstance(shape[0], int) and shape[0] > _MOST:
        raise CheckpointError(f"{name} takes {shape[0]:,} pictures at a time: that is too much")
    if shape[1] == 3:
        return False, shape[0], shape[2], shape[3]
    return True, shape[0], shape[1], shape[2]


def as_input(
    inputs: Inputs,
    images: NDArray[np.uint8],
    dtype: "np.dtype[Any]",
    channels_last: bool,
    fixed: int | None,
) -> NDArray[Any]:
    """Pictures as the input of a graph.

    Args:
        inputs: what the graph takes.
        images: [n, height, width, 3] uint8 RGB.
        dtype: of the input; whole numbers are rounded.
        channels_last: whether the input is [n, height, width, 3], not [n, 3, height, width].
        fixed: how many pictures the graph takes, n at least; the last one is repeated. None for
            any number.
    """
    planes: NDArray[Any] = inputs.apply(images)
    if fixed is not None and len(images) < fixed:
        planes = np.concatenate([planes, np.repeat(planes[-1:], fixed - len(images), axis=0)])
    if channels_last:
        planes = planes.transpose(0, 2, 3, 1)
    if dtype.kind == "u":
        planes = planes.round().clip(0, 255)
    return np.ascontiguousarray(planes, dtype)
