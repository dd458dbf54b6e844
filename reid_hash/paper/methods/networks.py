"""The networks of the methods: which exist, how long the others take, their training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from reid_hash.app.runs import record_run
from reid_hash.config.reading import parse_config
from reid_hash.config.schema import DataConfig
from reid_hash.data import data_root, load_dataset
from reid_hash.data.dataset import Dataset
from reid_hash.data.images import Pixels, decode
from reid_hash.errors import ConfigError, DataError
from reid_hash.models.run_files import MODEL_FILE, STATE_FILE
from reid_hash.nn.checkpoint import FORMAT, Checkpoint, load_checkpoint, read_facts, read_tensors
from reid_hash.paper.methods.sources import Hashing, Network
from reid_hash.training.estimate import duration, seconds_a_step, training_steps
from reid_hash.training.loop import Stopped, train
from reid_hash.utils.terminal_text import remark

EVALUATION_FILE = "evaluation.json"
"""Name of the file with evaluated figures in the folder of a network; can be deleted."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of all images of a workplace, from which hash functions start.

    Attributes:
        train: [n, dims] float32, features of the training images.
        query: [Q, dims] float32, features of the query images.
        gallery: [G, dims] float32, features of the database; `train` itself if the images are the
            same.
        train_pixels: the decoded training images, with their labels.
        query_pixels: the decoded query images.
        gallery_pixels: the decoded database images.
        query_seconds: time for the features of all query images, without decoding.
    """

    train: NDArray[np.float32]
    query: NDArray[np.float32]
    gallery: NDArray[np.float32]
    train_pixels: Pixels
    query_pixels: Pixels
    gallery_pixels: Pixels
    query_seconds: float


class Placed(Protocol):
    """The data side of a source of codes or distances."""

    @property
    def data(self) -> DataConfig:
        """Settings of the data set."""

    @property
    def seed(self) -> int:
        """Seed of all its random choices."""


class Workplace:
    """A data set under one protocol, with its training images decoded once for all sources.

    Args:
        sources: sources of the codes to evaluate, all with the same data.
        data: the data root.
        device: device to compute on.
        skip_unreadable: leave out images that cannot be read.
        console: console for progress.
        persons: whether the data set is for re-identification and not for classes.

    Raises:
        ConfigError: the sources have different data sets or protocols, or the data set is for
            re-identification while `persons` is False.
        DataError: the data set is missing, or has no training images, queries or database.
    """

    def __init__(
        self,
        sources: Sequence[Placed],
        data: Path | None,
        device: str = "auto",
        skip_unreadable: bool = False,
        console: Console | None = None,
        persons: bool = False,
    ) -> None:
        parts = [source.data for source in sources]
        kinds = {(part.dataset, part.protocol, part.split, part.hold_out) for part in parts}
        if len(kinds) > 1:
            protocols = " and ".join(sorted({str(part.protocol) for part in parts}))
            raise ConfigError(
                f"the methods' configurations divide {parts[0].dataset} in different ways "
                f"(protocol {protocols}); choose one with --protocol, or leave out a method"
            )
        self.dataset: Dataset = load_dataset(parts[0], data, sources[0].seed)
        self.split = parts[0].split
        self.root = data_root(data)
        self.device = device
        self.skip_unreadable = skip_unreadable
        self.console = console
        self._train: dict[tuple[int, int], Pixels] = {}
        self.features: dict[tuple[str, str], Features] = {}
        if not self.dataset.by_class and not persons:
            raise ConfigError(
                f"{self.dataset.name} is a data set of persons and cameras; the methods' figures "
                "are of image retrieval"
            )
        for name in ("train", "query", "gallery"):
            if not len(getattr(self.dataset, name)):
                raise DataError(f"{self.dataset.name}: there are no {name} images here")

    def train_pixels(self, height: int, width: int) -> Pixels:
        """Decode the training images at one size."""
        size = (height, width)
        if size not in self._train:
            self.say(f"reading {len(self.dataset.train):,} training images …")
            self._train[size] = decode(self.dataset.train, height, width, self.skip_unreadable)
        return self._train[size]

    def say(self, text: str) -> None:
        """Print a line of progress."""
        if self.console is not None:
            remark(self.console, text)


def is_trained(network: Network) -> bool:
    """Check whether a network exists that was trained with exactly this configuration.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = network.folder / MODEL_FILE
    if not path.exists():
        return False
    _, metadata = read_tensors(path, FORMAT)
    return parse_config(json.loads(metadata["config"]), str(path)) == network.config


def steps_done(network: Network) -> int:
    """Return the steps done of a network's stopped training; 0 if there is none to resume."""
    path = network.folder / STATE_FILE
    if not path.exists():
        return 0
    facts = read_facts(path)
    same = parse_config(facts["config"], str(path)) == network.config
    return int(facts["step"]) if same else 0


def announce(
    networks: Sequence[Network], hashings: Sequence[Hashing], places: Mapping[str, Workplace]
) -> None:
    """List which networks exist, which must be trained, and how long that takes here.

    Args:
        networks: distinct networks.
        hashings: hash functions on features, which are only counted.
        places: workplaces by data set name.
    """
    consoles = {id(p.console): p.console for p in places.values() if p.console is not None}
    if not consoles:
        return
    say = next(iter(places.values())).say
    if hashings:
        fitted = sum((hashing.folder / EVALUATION_FILE).exists() for hashing in hashings)
        say(f"hash functions needed: {len(hashings)}, of which {fitted} are evaluated")
    if not networks:
        return
    missing = [network for network in networks if not is_trained(network)]
    there = len(networks) - len(missing)
    say(f"networks needed: {len(networks)}, of which {there} are there")
    total = 0.0
    for network in networks:
        if network not in missing:
            say(f"  {network.folder}: there")
            continue
        place = places[network.config.data.dataset]
        steps, done = training_steps(network.config, place.dataset.train), steps_done(network)
        a_step = seconds_a_step(network.config, place.dataset.train, place.device)
        seconds = (steps - done) * a_step
        state = f"goes on after step {done:,} of {steps:,}" if done else f"{steps:,} steps"
        say(f"  {network.folder}: to train, {state}, about {duration(seconds)}")
        total += seconds
    if missing:
        say(f"training takes about {duration(total)} on this machine")


def trained(network: Network, place: Workplace) -> Checkpoint:
    """Return the checkpoint of a network, training it first if it does not exist.

    Raises:
        Stopped: Ctrl-C was pressed; the same call resumes.
        DataError: the network exists, but was trained on other images than those found now.
    """
    path = network.folder / MODEL_FILE
    if is_trained(network):
        checkpoint = load_checkpoint(path)
        _check_same_images(checkpoint, path, place)
        return checkpoint
    data, dataset = network.config.data, place.dataset
    pixels = place.train_pixels(data.height, data.width)
    resume = steps_done(network) > 0
    place.say(f"training {network.name} on {dataset.name}{', going on' if resume else ''}")
    try:
        checkpoint = train(
            network.config,
            pixels,
            network.folder,
            resume=resume,
            device=place.device,
            console=place.console,
            trained_on={
                "dataset": dataset.name,
                "protocol": dataset.protocol,
                "split": data.split,
                "notes": list(dataset.notes),
                "unreadable": len(pixels.unreadable),
            },
        )
    except Stopped as stop:
        where = str(stop).partition(";")[0]
        raise Stopped(
            f"{network.name} on {dataset.name}: {where}; the same command goes on from there"
        ) from stop
    record_run(network.folder, place.root)
    return checkpoint


def _check_same_images(checkpoint: Checkpoint, path: Path, place: Workplace) -> None:
    facts = checkpoint.trained_on
    seen = int(facts.get("images", 0)) + int(facts.get("unreadable", 0))
    if seen != len(place.dataset.train):
        raise DataError(
            f"{path} was trained on {seen:,} images of {place.dataset.name}, but there are "
            f"{len(place.dataset.train):,} here; give its data with --data, or remove its folder"
        )
