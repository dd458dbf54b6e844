"""What a network of others expects of its input: the order of channels, the range, mean, deviation.

A file seldom says so, and a wrong mean gives floats that look fine and find fewer people.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import ConfigError

Color = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class Inputs:
    """How the bytes of a picture become what a network takes: (byte / 255 · white − mean) / std.

    Attributes:
        color: order of the channels, "rgb" or "bgr".
        white: value of the brightest pixel before mean and deviation: 1 or 255.
        mean: of each channel, in the network's order.
        std: likewise, above 0.
        growing: how smaller pictures are scaled to the network's size, "linear" or "cubic"; larger
            ones are by area.
    """

    color: Color = "rgb"
    white: float = 1.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    growing: Literal["linear", "cubic"] = "linear"

    def __post_init__(self) -> None:
        if self.color not in ("rgb", "bgr"):
            raise ConfigError(f"--color is rgb or bgr, not {self.color}")
        if self.growing not in ("linear", "cubic"):
            raise ConfigError(f"--growing is linear or cubic, not {self.growing}")
        if not (math.isfinite(self.white) and self.white > 0):
            raise ConfigError(f"--white is a number above 0, such as 1 or 255, not {self.white:g}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise ConfigError(f"--{name} is three numbers, one for each channel")
        if min(self.std) <= 0:
            raise ConfigError("--std: each of the three deviations is above 0; they are divided by")

    def __str__(self) -> str:
        mean, std = (" ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        return f"{self.color.upper()}, white {self.white:g}, mean {mean}, std {std}, {self.growing}"

    def apply(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pictures [n, height, width, 3] uint8 RGB → [n, 3, height, width] float32."""
        ordered = images if self.color == "rgb" else images[..., ::-1]
        scale, offset = self.factors()
        planes = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2), np.float32)
        planes *= scale.reshape(3, 1, 1)
        planes += offset.reshape(3, 1, 1)
        return planes

    def factors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(scale [3], offset [3]) with which the input is byte · scale + offset."""
        std = np.array(self.std, np.float64)
        scale, offset = self.white / 255 / std, -np.array(self.mean, np.float64) / std
        return scale.astype(np.float32), offset.astype(np.float32)

    def as_object(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


_RAW = {"white": 255.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
PRESETS: dict[str, Inputs] = {
    "torchreid": Inputs(),
    "imagenet": Inputs(),
    # its exported graphs normalise by themselves
    "fastreid": Inputs(growing="cubic", **_RAW),  # type: ignore[arg-type]
    "openvino": Inputs("bgr", **_RAW),  # type: ignore[arg-type]
}
"""By what they are called on the command line."""

SINGLE = tuple(field.name for field in fields(Inputs))
"""The single options of which a preset is made."""


def read_inputs(preset: str | None, given: dict[str, Any], guess: Inputs) -> tuple[Inputs, bool]:
    """The inputs that a person named.

    Args:
        preset: one of `PRESETS`; None for none.
        given: those of `SINGLE` that were named.
        guess: where neither is.

    Returns:
        (inputs, whether any of them is a guess).

    Raises:
        ConfigError: there is no such preset, or a value is out of range.
    """
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"--preset {preset}: there are {', '.join(PRESETS)}")
    base = guess if preset is None else PRESETS[preset]
    guessed = preset is None and set(given) != set(SINGLE)
    return Inputs(**(asdict(base) | given)), guessed
