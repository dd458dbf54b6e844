"""How long a training will take here: some of its steps, timed."""

import time
from collections.abc import Callable

import torch

from reid_hash.config.schema import Config
from reid_hash.data.dataset import ImageSet
from reid_hash.models.torch_encoder import pick_device
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.augmentation import Augment
from reid_hash.training.objective import TrainingModel, objective
from reid_hash.training.optimiser import build_optimiser
from reid_hash.training.sampler import BalancedSampler
from reid_hash.training.setup import set_normalisation, training_targets, use_bf16

LIMIT = 1.5
"""Seconds after which no further step is timed."""

STEPS = 12
"""Steps that are timed at most, after one to warm up."""


def training_steps(config: Config, train: ImageSet) -> int:
    """How many steps a training has."""
    return config.train.epochs * len(_sampler(config, train))


def seconds_a_step(config: Config, train: ImageSet, device: str = "auto") -> float:
    """Time some steps of a training on random images; nothing is kept.

    Args:
        config: the run.
        train: its training images, of which the labels alone are used.
        device: where to compute.

    Returns:
        Seconds, the mean over the training's steps on whole and on small images.
    """
    place = pick_device(device)
    sampler = _sampler(config, train)
    rows = next(sampler.epoch(0))
    classes, targets = training_targets(train.labels)
    labels = targets[rows].to(place)
    height, width = config.data.height, config.data.width
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        256, (len(rows), height, width, 3), dtype=torch.uint8, generator=generator
    )
    # no weights are fetched for a network that is thrown away
    plain = config.model.model_copy(update={"pretrained": None})
    model = TrainingModel(HashNet(config.model_copy(update={"model": plain})), classes)
    set_normalisation(model.net, images.numpy())
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.to(place)
    optimiser = build_optimiser(model, config.train)
    augment = Augment(config.augment, config.seed)
    half = use_bf16(config.train.precision, device)

    def step(number: int, scale: float) -> None:
        whole = slice(0, len(rows))
        batch = augment(
            model.net.normalise(images.to(place)), number, whole, len(rows), scale=scale
        )
        with torch.autocast(place.type, torch.bfloat16, enabled=half):
            outputs = model(batch)
        terms = objective(outputs, labels, batch, config.loss, config.loss.margin[0])
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        # the rate and the clipping of the real loop would change nothing about the time
        optimiser.step()
        loss.item()  # waits for the device

    small = config.train.small_images
    seconds = _timed(step, 1.0) if small < 1 else 0.0
    if small:
        seconds = (1 - small) * seconds + small * _timed(step, 0.7)
    return seconds


def _timed(step: Callable[[int, float], None], scale: float) -> float:
    began = time.monotonic()
    step(0, scale)
    first = time.monotonic() - began
    if first > LIMIT:  # warming up matters little to steps this long
        return first
    began = time.monotonic()
    for done in range(1, STEPS + 1):
        step(done, scale)
        if time.monotonic() - began > LIMIT:
            break
    return (time.monotonic() - began) / done


def _sampler(config: Config, train: ImageSet) -> BalancedSampler:
    options = config.train
    return BalancedSampler(
        train.labels,
        train.cameras,
        options.identities_per_batch,
        options.images_per_identity,
        config.seed,
    )


def duration(seconds: float) -> str:
    """A time that is known roughly, for people.

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
