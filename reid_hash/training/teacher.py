"""A teacher: any trained network whose similarities the codes in training imitate."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from reid_hash.config.schema import Config
from reid_hash.data.images import Pixels
from reid_hash.errors import ConfigError
from reid_hash.models.load import load_model
from reid_hash.models.run_files import TEACHER_FILE
from reid_hash.utils.files import replacing
from reid_hash.utils.progress import counting


def teacher_embeddings(
    config: Config, pixels: Pixels, folder: Path, device: str, console: Console | None = None
) -> Tensor | None:
    """Embed every training image with the teacher, once, and keep the result for a resumed run.

    The mean embedding is subtracted, so that cosines of strangers are 0 on average, as for codes.
    Many networks end in a ReLU, which puts all embeddings into one orthant.

    Args:
        config: configuration of the run, which names the teacher.
        pixels: training images; they are scaled to the teacher's input size.
        folder: folder of the run.
        device: device to compute on.
        console: console for the progress bar; None for silence.

    Returns:
        [n, d] float32, or None if the run has no teacher.

    Raises:
        CheckpointError: the teacher is missing or damaged, or outputs numbers that are not finite.
        ConfigError: the teacher has no effect, since `loss.distillation` is 0.
    """
    teacher = config.loss.teacher
    if teacher is None:
        return None
    if not config.loss.distillation:
        raise ConfigError(f"loss.teacher is {teacher}: set loss.distillation to its weight, say 1")
    kept = folder / TEACHER_FILE
    found = _kept(kept)
    if found is None or len(found) != len(pixels):
        preset = config.loss.teacher_preset
        encoder = load_model(teacher, device, **({} if preset is None else {"preset": preset}))
        with counting(console, "teacher", len(pixels)) as advance:
            _, embedding = encoder.outputs(pixels.images, progress=advance or False)
        found = embedding.astype(np.float16)
        with replacing(kept) as temporary, temporary.open("wb") as file:
            np.save(file, found)
    centred = found.astype(np.float32)
    return torch.from_numpy(centred - centred.mean(0))


def _kept(file: Path) -> NDArray[np.float16] | None:
    """Load the embeddings [n, d] from an earlier part of the run, or return None."""
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # the run was killed while writing, or there is no file
        return None
    return found if found.ndim == 2 else None
