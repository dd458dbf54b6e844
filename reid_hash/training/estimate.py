"""Estimate how long a training will take here by timing some of its steps."""

import time

import numpy as np

from reid_hash.config.schema import Config
from reid_hash.data.dataset import ImageSet
from reid_hash.models.torch_encoder import pick_device
from reid_hash.training.loop import Training, build_sampler
from reid_hash.training.setup import training_targets

LIMIT = 1.5
"""Time limit in seconds: no further step is timed after it."""

STEPS = 12
"""Most steps to time, after one warm-up step."""


def training_steps(config: Config, train: ImageSet) -> int:
    """Return the number of steps of a training."""
    return config.train.epochs * len(build_sampler(config, train.labels, train.cameras))


def seconds_a_step(config: Config, train: ImageSet, device: str = "auto") -> float:
    """Time some steps of a training on random images; nothing is kept.

    Args:
        config: configuration of the run.
        train: training images, of which only the labels are used.
        device: device to compute on.

    Returns:
        Seconds per step, the mean over the training's steps on full-size and on small images.
    """
    rows = next(build_sampler(config, train.labels, train.cameras).epoch(0))
    classes, targets = training_targets(train.labels)
    size = (len(rows), config.data.height, config.data.width, 3)
    images = np.random.default_rng(0).integers(256, size=size, dtype=np.uint8)
    # Do not download weights for a network that is thrown away. The learning rate of mid-training
    # might diverge on random images.
    config = config.model_copy(
        update={
            "model": config.model.model_copy(update={"pretrained": None}),
            "train": config.train.model_copy(update={"start": None, "learning_rate": 1e-9}),
        }
    )
    whole = slice(0, len(rows))
    training = Training(config, images, classes, pick_device(device), whole, len(rows))
    training.choose_precision(images)

    def timed(progress: float) -> float:
        began = time.monotonic()
        training.step(0, progress, images, targets[rows])
        first = time.monotonic() - began
        if first > LIMIT:  # warm-up matters little for such long steps
            return first
        began = time.monotonic()
        for done in range(1, STEPS + 1):
            training.step(done, progress, images, targets[rows])
            if time.monotonic() - began > LIMIT:
                break
        return (time.monotonic() - began) / done

    small = config.train.small_images
    seconds = timed(small) if small < 1 else 0.0  # the images have full size from here on
    return seconds if not small else (1 - small) * seconds + small * timed(0.0)


def duration(seconds: float) -> str:
    """Format an approximate time for people.

    Example:
        >>> duration(7790), duration(100), duration(12), duration(3)
        ('2 h 10 min', '2 min', '10 s', '5 s')
    """
    if seconds < 60:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
