"""The training loop: configuration and images in, checkpoint out."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from numpy.typing import NDArray
from rich.console import Console
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from reid_hash.config.reading import parse_config
from reid_hash.config.schema import Config, TrainConfig
from reid_hash.data.images import Pixels
from reid_hash.data.several import source_of
from reid_hash.errors import CheckpointError, ConfigError, ReidHashError
from reid_hash.models.load import MODEL_FILE as MODEL_FILE
from reid_hash.models.torch_encoder import pick_device
from reid_hash.nn.checkpoint import (
    Checkpoint,
    load_state,
    read_facts,
    save_checkpoint,
    save_state,
    without_download,
)
from reid_hash.nn.hashnet import HashNet
from reid_hash.nn.head import beta_at
from reid_hash.training.augmentation import Augment
from reid_hash.training.bit_weights import freeze
from reid_hash.training.distributed import convert_batch_norm, gather_batch
from reid_hash.training.log import TrainingLog
from reid_hash.training.losses import margin_at
from reid_hash.training.objective import TrainingModel, code_spread, objective
from reid_hash.training.optimiser import build_optimiser, learning_rate_at, set_learning_rate
from reid_hash.training.refit import check_pairs
from reid_hash.training.sampler import BalancedSampler
from reid_hash.training.setup import prepare_network, training_targets, use_bf16
from reid_hash.utils.allocator import keep_freed_memory
from reid_hash.utils.files import write_text
from reid_hash.utils.seeds import mixed_seed
from reid_hash.utils.signals import stop_signals

STATE_FILE = "state.safetensors"
CONFIG_FILE = "config.yaml"

COLLAPSED = 0.02
"""Spread of a batch's codes (see `code_spread`) below which training is said to have collapsed."""


class Stopped(ReidHashError):
    """Training was stopped by Ctrl-C or a signal; its state is saved."""

    exit_code = 1


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

    Everything random follows from the seed and the number of the step, so a resumed run and a run
    on several processes (`accelerate launch`) see the same batches as one that goes through.

    Args:
        config: the run.
        pixels: decoded training images of config.data's size.
        folder: of the run; the state, the configuration and the figures are written there.
        resume: go on from `folder`/state.safetensors.
        device: "auto", "cpu", "cuda" or "mps".
        console: where the progress bar is drawn; silent where it is None.
        evaluate: called with the (averaged) network every config.train.evaluate_every epochs; its
            figures are written to metrics.jsonl.
        trained_on: facts to keep in the checkpoint.

    Returns:
        The checkpoint, with bit order and weights frozen.

    Raises:
        Stopped: Ctrl-C; the state is saved.
        ConfigError, CheckpointError: the state is of another configuration, or damaged.
    """
    options = config.train
    keep_freed_memory()
    accelerator = Accelerator(
        cpu=pick_device(device).type == "cpu",
        mixed_precision="bf16" if use_bf16(options.precision, device) else "no",
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=True)
        ],
    )
    first = accelerator.is_main_process
    torch.manual_seed(config.seed)
    classes, labels = training_targets(pixels.labels)
    if classes < 2:
        raise ConfigError(f"training needs at least 2 identities or classes; there is {classes}")
    if config.refit.steps:
        check_pairs(pixels.labels)
    sampler = BalancedSampler(
        pixels.labels,
        pixels.cameras,
        options.identities_per_batch,
        options.images_per_identity,
        config.seed,
        source_of(pixels.cameras) if config.data.shares else None,
        config.data.shares,
    )
    total_rows = sampler.identities * sampler.images
    if total_rows % accelerator.num_processes:
        raise ConfigError(
            f"a batch of {total_rows} images cannot be shared by {accelerator.num_processes} "
            "processes evenly; change train.identities_per_batch"
        )
    share = total_rows // accelerator.num_processes
    rows = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)

    # all weights of a resumed run are in its state: nothing is downloaded for it
    model = TrainingModel(HashNet(without_download(config) if resume else config), classes)
    net = model.net
    net.config = config
    if not resume:
        prepare_network(net, pixels.images)
    convert_batch_norm(model)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = build_optimiser(model, options)
    model, optimiser = accelerator.prepare(model, optimiser)
    averaged = None
    if options.average:
        mean = get_ema_multi_avg_fn(options.average)  # type: ignore[no-untyped-call]
        averaged = AveragedModel(net, multi_avg_fn=mean, use_buffers=True)
    result: HashNet = net if averaged is None else averaged.module  # type: ignore[assignment]
    modules: dict[str, torch.nn.Module] = {"model": accelerator.unwrap_model(model)}
    if averaged is not None:
        modules["averaged"] = averaged
    augment = Augment(config.augment, config.seed)

    steps = len(sampler) * options.epochs
    start, seconds = 0, 0.0
    if resume:
        check_same_config(folder / STATE_FILE, config)
        facts = load_state(folder / STATE_FILE, modules, optimiser.optimizer)
        start, seconds = int(facts["step"]), float(facts["seconds"])
    elif first:
        write_text(folder / CONFIG_FILE, config.to_yaml())
    began = time.monotonic() - seconds

    def save(step: int) -> None:
        facts = {
            "step": step,
            "seconds": time.monotonic() - began,
            "config": config.model_dump(mode="json"),
        }
        if first:
            save_state(folder / STATE_FILE, modules, optimiser.optimizer, facts)

    log = TrainingLog(folder if first else None, steps, start, console if first else None)
    with log, stop_signals() as stopping:
        batches: list[NDArray[np.int64]] = []
        for step in range(start, steps):
            epoch, position = divmod(step, len(sampler))
            if position == 0 or not batches:
                batches = list(sampler.epoch(epoch))
            progress = step / steps
            torch.manual_seed(mixed_seed(config.seed, step))  # dropout
            set_learning_rate(optimiser, learning_rate_at(progress, options))
            net.tanh.set_beta(
                beta_at(
                    progress, config.loss.beta, config.loss.beta_growth, config.loss.beta_intervals
                )
            )

            chosen = batches[position][rows]
            images = torch.from_numpy(pixels.images[chosen]).to(accelerator.device)
            scale = 0.7 if progress < options.small_images else 1.0
            images = augment.light(images, step, rows, total_rows)
            images = augment(net.normalise(images), step, rows, total_rows, scale)
            batch_labels = labels[chosen].to(accelerator.device)
            with accelerator.autocast():
                outputs = model(images)
            terms = objective(
                outputs,
                batch_labels,
                images,
                config.loss,
                margin_at(progress, config.loss.margin, config.model.bits),
            )
            loss = torch.stack(list(terms.values())).sum()
            if not torch.isfinite(loss):
                raise ReidHashError(
                    f"the loss is {loss.item()} at step {step}; lower train.learning_rate "
                    f"({options.learning_rate:g}) or set train.clip=1"
                )
            optimiser.zero_grad(set_to_none=True)
            accelerator.backward(loss * accelerator.num_processes)  # see gather_batch
            if options.clip:
                accelerator.clip_grad_norm_(model.parameters(), options.clip)
            optimiser.step()
            if averaged is not None:
                averaged.update_parameters(net)

            values = {name: term.item() for name, term in terms.items()}
            log.step({"loss": sum(values.values()), **values}, total_rows)
            done = step + 1
            if done % len(sampler) == 0:
                spread = code_spread(gather_batch(outputs["codes"].float())).item()
                rate = learning_rate_at(progress, options)
                log.epoch(done, epoch + 1, spread=spread, learning_rate=rate)
                if spread < COLLAPSED:
                    log.say(
                        f"warning: training has collapsed, all images get nearly one code (spread "
                        f"{spread:.3f}); lower train.learning_rate ({options.learning_rate:g})"
                    )
                if first and evaluate and due(epoch + 1, options):
                    figures = evaluate(result)
                    log.write(done, epoch=epoch + 1, **figures)
                    log.say(_figures_line(epoch + 1, figures))
            if agree(stopping.stopped, accelerator.device):
                save(done)
                raise Stopped(f"stopped after step {done} of {steps}; go on with --resume")
            if done % len(sampler) == 0 and done < steps:
                save(done)

    if first and console and config.refit.steps:
        console.print(f"refitting the hash layer, {config.refit.steps} steps …", highlight=False)
    checkpoint = freeze(result, pixels, accelerator.device)
    facts = {
        **(trained_on or {}),
        "images": len(pixels),
        "identities": classes,
        "steps": steps,
        "seconds": round(time.monotonic() - began, 1),
        "processes": accelerator.num_processes,
    }
    checkpoint = dataclasses.replace(checkpoint, trained_on=facts)
    if first:
        save_checkpoint(folder / MODEL_FILE, checkpoint)
        (folder / STATE_FILE).unlink(missing_ok=True)  # the run is over
    accelerator.wait_for_everyone()
    return checkpoint


def check_same_config(state: Path, config: Config) -> None:
    """Raise unless a saved state is of this configuration, naming what differs."""
    if not state.exists():
        done = state.with_name(MODEL_FILE).exists()
        reason = "the run is finished" if done else "no state was saved there"
        raise CheckpointError(f"nothing to resume in {state.parent}: {reason}")
    # parsed, since a state may be older than a key of the configuration
    saved = parse_config(read_facts(state)["config"], str(state)).model_dump(mode="json")
    wanted = config.model_dump(mode="json")
    if saved != wanted:
        changed = [
            f"{section}.{key} was {saved[section].get(key)}, now {value}"
            for section, values in wanted.items()
            if isinstance(values, dict) and isinstance(saved.get(section), dict)
            for key, value in values.items()
            if saved[section].get(key) != value
        ]
        raise ConfigError(
            "cannot resume with another configuration: "
            + ("; ".join(changed) or f"seed was {saved.get('seed')}, now {config.seed}")
        )


def due(epoch: int, options: TrainConfig) -> bool:
    """Whether the network is evaluated after this epoch (counted from 1)."""
    return options.evaluate_every > 0 and epoch % options.evaluate_every == 0


def agree(stopped: bool, device: torch.device) -> bool:
    """Whether any of the processes was told to stop: they must leave the loop together."""
    return bool(gather_batch(torch.tensor([float(stopped)], device=device)).sum().item() > 0)


def _figures_line(epoch: int, figures: Mapping[str, float]) -> str:
    return f"epoch {epoch}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
