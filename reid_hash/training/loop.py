"""The training loop, from configuration and images to a checkpoint."""

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from reid_hash.config.schema import Config, TrainConfig
from reid_hash.data.images import Pixels
from reid_hash.data.joined import source_of
from reid_hash.errors import ConfigError, ReidHashError
from reid_hash.models.run_files import CONFIG_FILE, MODEL_FILE, STATE_FILE, TEACHER_FILE
from reid_hash.models.torch_encoder import network_outputs, pick_device
from reid_hash.nn.checkpoint import (
    Checkpoint,
    load_state,
    not_finite,
    read_facts,
    save_checkpoint,
    save_state,
    without_download,
)
from reid_hash.nn.hashnet import HashNet
from reid_hash.nn.head import beta_at
from reid_hash.training.augmentation import Augment, random_crop
from reid_hash.training.distributed import convert_batch_norm, gather_batch, world_size
from reid_hash.training.frozen import frozen_backbone, is_frozen, named_alone, vectors_of
from reid_hash.training.log import TrainingLog
from reid_hash.training.losses import margin_at
from reid_hash.training.objective import TrainingModel, code_spread, objective
from reid_hash.training.optimiser import build_optimiser, learning_rate_at, set_learning_rate
from reid_hash.training.refit import check_pairs, freeze
from reid_hash.training.resume import check_same_config, fingerprint, other_images
from reid_hash.training.sampler import BalancedSampler
from reid_hash.training.setup import (
    faster_in_bf16,
    prepare_network,
    training_targets,
    use_bf16,
)
from reid_hash.training.teacher import teacher_embeddings
from reid_hash.utils.files import write_text
from reid_hash.utils.memory import keep_freed_memory
from reid_hash.utils.seeds import mixed_seed
from reid_hash.utils.signals import stop_signals
from reid_hash.utils.terminal_text import remark

_log = logging.getLogger(__name__)

_LOOKED_AT = 16  # training images on which the network is checked after each epoch

COLLAPSED = 0.02
"""Spread of a batch's codes (`code_spread`) below which training is reported as collapsed."""


FASTER = 1.15
"""Speed-up that bfloat16 needs to be chosen; less is within the scatter of timings."""


class Stopped(ReidHashError):
    """Training was stopped by Ctrl-C or a signal, and its state is saved."""

    exit_code = 1


class Training:
    """A network in training: everything that a step reads and changes.

    Args:
        config: configuration of the run.
        images: [n, height, width, 3] uint8 RGB, which set the normalisation of a new network; or
            [n, features] outputs of a frozen backbone.
        classes: number of identities or classes.
        device: device to compute on.
        rows: rows of the whole batch that this process computes.
        batch: images in the whole batch, over all processes.
        resume: whether all weights will be loaded from a saved state.

    Attributes:
        net: the network.
        result: the network to evaluate and keep: the average of `net` over the steps if there is
            one, else `net`.
        optimiser: optimiser of all parameters.
        modules: modules by name that a saved state contains, in addition to the optimiser.

    Raises:
        CheckpointError, ConfigError: the network to start from is missing, damaged or does not
            match.
    """

    def __init__(
        self,
        config: Config,
        images: NDArray[np.uint8],
        classes: int,
        device: torch.device,
        rows: slice,
        batch: int,
        *,
        resume: bool = False,
    ) -> None:
        keep_freed_memory()
        self.config, self.device, self.rows, self.batch = config, device, rows, batch
        self.half = not is_frozen(config) and use_bf16(config.train.precision, device.type)
        frozen = frozen_backbone(config, images.shape[1]) if is_frozen(config) else None
        net = HashNet(without_download(config) if resume else config, frozen)
        model = TrainingModel(net, classes)
        self.net = model.net
        self.net.config = config
        if not resume:
            prepare_network(self.net, images)
        convert_batch_norm(model)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        model.to(device)
        self.optimiser = build_optimiser(model, config.train)
        self.model: nn.Module = model
        if world_size() > 1:
            self.model = DistributedDataParallel(
                model,
                device_ids=[device] if device.type == "cuda" else None,
                broadcast_buffers=False,
                find_unused_parameters=True,
            )
        self.modules: dict[str, nn.Module] = {"model": model}
        self.result = self.net
        self.averaged = None
        if config.train.average:
            mean = get_ema_multi_avg_fn(config.train.average)  # type: ignore[no-untyped-call]
            self.averaged = AveragedModel(self.net, multi_avg_fn=mean, use_buffers=True)
            self.modules["averaged"] = self.averaged
            self.result = self.averaged.module  # type: ignore[assignment]
        self.augment = Augment(config.augment, config.seed)

    def choose_precision(self, pixels: NDArray[np.uint8]) -> str | None:
        """Use bfloat16 on a CPU only if a step is clearly faster with it.

        Args:
            pixels: [b, height, width, 3] uint8 RGB, a batch to measure with.

        Returns:
            Description of the measurement and choice; None if there was nothing to choose.
        """
        asked = self.config.train.precision != "auto" or os.environ.get("REID_HASH_PRECISION")
        if asked or self.device.type != "cpu" or not self.half:
            return None
        fp32, bf16 = faster_in_bf16(self.net, pixels)
        faster = torch.tensor([float(bf16 > FASTER * fp32)])
        self.half = bool(gather_batch(faster).mean().item() > 0.5)  # the same in all processes
        return (
            f"precision: {'bf16' if self.half else 'fp32'} (measured: {fp32:.0f} images/s in fp32, "
            f"{bf16:.0f} in bf16; train.precision decides)"
        )

    def step(
        self,
        step: int,
        progress: float,
        pixels: NDArray[np.uint8],
        labels: Tensor,
        teacher: Tensor | None = None,
    ) -> tuple[dict[str, float], Tensor]:
        """Augment the images, compute the objective, and take an optimiser step.

        Args:
            step: number of the step, which determines its random changes.
            progress: completed share of the training, 0 … 1.
            pixels: [b, height, width, 3] uint8 RGB, this process's rows of the batch.
            labels: [b] int64, or [b, classes] of 0 and 1, see `training_targets`.
            teacher: [b, d], the teacher's embeddings of these images, or None without a teacher.

        Returns:
            (terms, codes): the loss terms by name, over the whole batch, and this process's relaxed
            weighted codes [b, bits].

        Raises:
            ReidHashError: the loss is not finite.
        """
        config, options, net = self.config, self.config.train, self.net
        torch.manual_seed(mixed_seed(config.seed, step))  # for dropout
        set_learning_rate(self.optimiser, learning_rate_at(progress, options))
        loss_of = config.loss
        net.tanh.set_beta(
            beta_at(progress, loss_of.beta, loss_of.beta_growth, loss_of.beta_intervals)
        )

        scale = 0.7 if progress < options.small_images else 1.0
        images = torch.from_numpy(pixels).to(self.device)
        labels = labels.to(self.device)
        if pixels.ndim > 2:  # a frozen backbone's floats come from unaugmented images
            images = self.augment.light(images, step, self.rows, self.batch)
            images = self.augment(net.normalise(images), step, self.rows, self.batch, scale)
        side = getattr(net.backbone, "crop", None)  # the paper's network has one
        if side is not None:
            images = random_crop(images, side, config.seed, step, self.rows, self.batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            outputs = self.model(images)
        if teacher is not None:
            outputs["teacher"] = teacher.to(self.device)
        margin = margin_at(progress, loss_of.margin, config.model.bits)
        terms = objective(outputs, labels, images, loss_of, margin)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise diverged(f"the loss is {loss.item()}", step, options)

        self.optimiser.zero_grad(set_to_none=True)
        (loss * world_size()).backward()  # type: ignore[no-untyped-call]  # see gather_batch
        if options.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), options.clip)
        self.optimiser.step()
        if self.averaged is not None:
            self.averaged.update_parameters(net)
        return {name: term.item() for name, term in terms.items()}, outputs["codes"].detach()


def train(
    config: Config,
    pixels: Pixels,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    evaluate: Callable[[HashNet], Mapping[str, float]] | None = None,
    trained_on: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Train a network and write it to `folder`/model.safetensors.

    All randomness depends on the seed and the step number, so a resumed run and a run on several
    processes (`accelerate launch`) see the same batches as an uninterrupted one.

    Args:
        config: configuration of the run.
        pixels: decoded training images of config.data's size.
        folder: folder of the run, for the state, the configuration and the figures.
        resume: resume from `folder`/state.safetensors. If the images differ from those of the
            saved state, this is reported and noted in the checkpoint.
        device: "auto", "cpu", "cuda" or "mps".
        console: console for the progress bar; None for silence.
        evaluate: called with the (averaged) network every config.train.evaluate_every epochs; its
            figures are written to metrics.jsonl.
        trained_on: facts to store in the checkpoint.

    Returns:
        The checkpoint, with frozen bit order and weights.

    Raises:
        Stopped: Ctrl-C was pressed; the state is saved.
        ConfigError, CheckpointError: the state is damaged, or has another configuration or number
            of identities.
        ReidHashError: training diverged; no model is saved.
    """
    options = config.train
    # no Accelerator: the first one in a process fixes the precision of all later ones
    on_cpu = pick_device(device).type == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    processes = PartialState(cpu=on_cpu)
    place = torch.device("cpu") if on_cpu else pick_device(device)
    if processes.num_processes > 1:
        place = processes.device
    first = processes.is_main_process
    torch.manual_seed(config.seed)
    classes, labels = training_targets(pixels.labels)
    if classes < 2:
        raise ConfigError(f"training needs at least 2 identities or classes; there is {classes}")
    if config.refit.steps:
        check_pairs(pixels.labels)
    sampler = build_sampler(config, pixels.labels, pixels.cameras)
    batch = sampler.identities * sampler.images
    if batch % processes.num_processes:
        raise ConfigError(
            f"a batch of {batch} images cannot be shared by {processes.num_processes} "
            "processes evenly; change train.identities_per_batch"
        )
    share = batch // processes.num_processes
    rows = slice(processes.process_index * share, (processes.process_index + 1) * share)
    images = fingerprint(pixels, classes)
    changed = noted = None
    if resume:
        check_same_config(folder / STATE_FILE, config)
        changed = other_images(read_facts(folder / STATE_FILE).get("images"), images)
    if is_frozen(config):
        shown = console if first else None
        pixels = vectors_of(config, pixels, images["checksum"], folder, shown)
    training = Training(config, pixels.images, classes, place, rows, batch, resume=resume)

    teacher = teacher_embeddings(config, pixels, folder, device, console if first else None)
    steps = len(sampler) * options.epochs
    start, seconds = 0, 0.0
    if resume:
        facts = load_state(folder / STATE_FILE, training.modules, training.optimiser)
        start, seconds = int(facts["step"]), float(facts["seconds"])
        noted = changed or facts.get("resumed")
        training.half = bool(facts.get("bf16", training.half))
        measured = None
    else:
        measured = training.choose_precision(pixels.images[:batch][rows])
        if first:
            write_text(folder / CONFIG_FILE, config.to_yaml())
    began = time.monotonic() - seconds

    def save(step: int) -> None:
        facts = {
            "step": step,
            "seconds": time.monotonic() - began,
            "bf16": training.half,
            "config": config.model_dump(mode="json"),
            "images": images,
            "resumed": noted,
        }
        if first:
            save_state(folder / STATE_FILE, training.modules, training.optimiser, facts)

    log = TrainingLog(folder if first else None, steps, start, console if first else None)
    with log, stop_signals() as stopping:
        if measured:
            log.say(measured)
        if changed:
            log.say(f"warning: {changed}")
            if first and console is None:
                _log.warning("%s", changed)
        batches: list[NDArray[np.int64]] = []
        for step in range(start, steps):
            epoch, position = divmod(step, len(sampler))
            if position == 0 or not batches:
                batches = list(sampler.epoch(epoch))
            chosen = batches[position][rows]
            progress = step / steps
            terms, codes = training.step(
                step,
                progress,
                pixels.images[chosen],
                labels[chosen],
                None if teacher is None else teacher[chosen],
            )
            log.step({"loss": sum(terms.values()), **terms}, batch)

            done = step + 1
            if done % len(sampler) == 0:
                check_finite(training.result, pixels, place, done)
                spread = code_spread(gather_batch(codes.float())).item()
                rate = learning_rate_at(progress, options)
                log.epoch(done, epoch + 1, spread=spread, learning_rate=rate)
                if spread < COLLAPSED:
                    log.say(
                        f"warning: training has collapsed, all images get nearly one code (spread "
                        f"{spread:.3f}); lower train.learning_rate ({options.learning_rate:g})"
                    )
                if first and evaluate and due(epoch + 1, options):
                    figures = evaluate(training.result)
                    log.write(done, epoch=epoch + 1, **figures)
                    log.say(_figures_line(epoch + 1, figures))
            if agree(stopping.stopped, place):
                save(done)
                raise Stopped(f"stopped after step {done} of {steps}; go on with --resume")
            if done % len(sampler) == 0 and done < steps:
                save(done)

    if first and console and config.refit.steps:
        remark(console, f"refitting the hash layer, {config.refit.steps} steps …")
    checkpoint = freeze(training.result, pixels, place)
    checkpoint.net.config = named_alone(checkpoint.net.config)
    check_finite(checkpoint.net, pixels, torch.device("cpu"), steps)
    if not np.isfinite(checkpoint.bit_weights).all():
        raise diverged("the bit weights are not finite", steps, options)
    facts = {
        **(trained_on or {}),
        **({"resumed": noted} if noted else {}),
        "images": len(pixels),
        "identities": classes,
        "steps": steps,
        "seconds": round(time.monotonic() - began, 1),
        "processes": processes.num_processes,
        "precision": "bf16" if training.half else "fp32",
    }
    checkpoint = dataclasses.replace(checkpoint, trained_on=facts)
    if first:
        save_checkpoint(folder / MODEL_FILE, checkpoint)
        for file in (STATE_FILE, TEACHER_FILE):  # the run is finished
            (folder / file).unlink(missing_ok=True)
    processes.wait_for_everyone()
    return checkpoint


def diverged(what: str, step: int, options: TrainConfig) -> ReidHashError:
    """Return the error for a training that diverged, which saves no model."""
    return ReidHashError(
        f"training diverged: {what} at step {step}; lower train.learning_rate "
        f"({options.learning_rate:g}) or set train.clip=1"
    )


def check_finite(net: HashNet, pixels: Pixels, device: torch.device, step: int) -> None:
    """Raise unless a network and its outputs for some training images are finite.

    Args:
        net: network on `device`; in evaluation mode its batch norm may overflow even if training
            did not.
        pixels: training images, of which a few are used.
        device: device of the network.
        step: step of the training, for the message.

    Raises:
        ReidHashError: a number is NaN or infinite.
    """
    bad = not_finite(net)
    if not bad:
        some = pixels.images[:: max(1, len(pixels) // _LOOKED_AT)][:_LOOKED_AT]
        found = network_outputs(net, some, device, flip=False)
        bad = [] if all(np.isfinite(part).all() for part in found) else ["outputs"]
    if bad:
        raise diverged(f"the network's {bad[0]} is not finite", step, net.config.train)


def build_sampler(
    config: Config, labels: NDArray[np.int64] | NDArray[np.bool_], cameras: NDArray[np.int64]
) -> BalancedSampler:
    """Make the sampler of training batches.

    Args:
        config: configuration of the run.
        labels: [n] int64, or [n, classes] bool, of the training images.
        cameras: [n] int64, of the training images.

    Raises:
        ConfigError: `data.shares` does not match the data sets.
    """
    return BalancedSampler(
        labels,
        cameras,
        config.train.identities_per_batch,
        config.train.images_per_identity,
        config.seed,
        source_of(cameras) if config.data.shares else None,
        config.data.shares,
    )


def due(epoch: int, options: TrainConfig) -> bool:
    """Check whether the network is evaluated after this epoch, counted from 1."""
    return options.evaluate_every > 0 and epoch % options.evaluate_every == 0


def agree(stopped: bool, device: torch.device) -> bool:
    """Check whether any process was told to stop, as all must leave the loop together."""
    return bool(gather_batch(torch.tensor([float(stopped)], device=device)).sum().item() > 0)


def _figures_line(epoch: int, figures: Mapping[str, float]) -> str:
    return f"epoch {epoch}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
