"""A teacher: a trained network, anybody's, whose similarities the codes of a training follow."""

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
from reid_hash.utils.files import replacing
from reid_hash.utils.progress import counting

TEACHER_FILE = "teacher.npy"
"""The teacher's embeddings in the folder of a run, for as long as it may be resumed."""


def teacher_embeddings(
    config: Config, pixels: Pixels, folder: Path, device: str, console: Console | None = None
) -> Tensor | None:
    """What the teacher gives for each training image: computed once, and kept for a resumed run.

    Their mean is taken out, so that the cosines of strangers are 0 on average, as those of codes
    are: many networks end in a ReLU, and all their embeddings lie in one corner.

    Args:
        config: of the run, which names the teacher.
        pixels: the training images; the teacher sees them scaled to its own size.
        folder: of the run.
        device: where to compute.
        console: where the progress bar is drawn; silent where it is None.

    Returns:
        [n, d] float32; None where the run has no teacher.

    Raises:
        CheckpointError: the teacher is missing, damaged, or gives numbers that are not finite.
        ConfigError: the teacher has no say, since `loss.distillation` is 0.
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
    """The embeddings [n, d] of an earlier part of the run, or None."""
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # of a run that was killed while it wrote, or none
        return None
    return found if found.ndim == 2 else None
