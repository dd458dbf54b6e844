"""Sources of a method's codes: a trained network, or a hash function on features."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from reid_hash.app.runs import RUNS
from reid_hash.baselines import HASH_FUNCTIONS, SAMPLES
from reid_hash.config.schema import Config, DataConfig, RefitConfig

FEATURES = {
    "network": "network features",
    "pixels": "raw pixels",
    "hog": "HOG",
    "blocks": "colour and texture of blocks",
}
"""Features that a hash function can start from, with descriptions."""

_LATER = {
    "data": ("camera_rule",),
    "model": ("freeze", "output_stride", "standardise", "preset"),
    "loss": (
        *("classifier", "scale", "cosine_margin"),
        *("ranking", "balance", "quantisation", "relative_distance", "distillation", "temperature"),
        *("teacher", "teacher_preset"),
    ),
    "augment": ("low_resolution",),
    "train": ("backbone_rate", "start"),
    "refit": tuple(RefitConfig.model_fields),
}
"""Keys that enter a folder's name only if they differ from their default."""

CLASSIFIER = "classifier"
"""Family of the networks that are trained as classifiers, for their features."""


@dataclass(frozen=True)
class Network:
    """A network that a figure needs.

    Attributes:
        family: see `catalogue.Method`.
        config: configuration of the training.
        full_epochs: epochs of the training if not scaled down.
    """

    family: str
    config: Config
    full_epochs: int

    @property
    def bits(self) -> int:
        """Code length."""
        return self.config.model.bits

    @property
    def data(self) -> DataConfig:
        """Settings of the data set."""
        return self.config.data

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return self.config.seed

    @property
    def name(self) -> str:
        """Family and length, such as "drsch-64"; a classifier's name has no length."""
        return self.family if self.family == CLASSIFIER else f"{self.family}-{self.bits}"

    @property
    def facts(self) -> dict[str, Any]:
        """Facts that identify the network: its configuration."""
        facts = self.config.model_dump(mode="json")
        defaults = Config().model_dump(mode="json")
        for section, keys in _LATER.items():
            for key in keys:
                # networks trained before the key existed keep their folders
                if facts[section][key] == defaults[section][key]:
                    del facts[section][key]
        if not facts["refit"]:
            del facts["refit"]
        return facts

    @property
    def folder(self) -> Path:
        """Folder of its run, runs/reproduce/DATASET/FAMILY-BITS-HASH, by configuration hash."""
        return folder_of(self.data.dataset, self.name, self.facts)


class OnFeatures(Protocol):
    """A source that starts from image features; see `Hashing`."""

    @property
    def features(self) -> str:
        """Kind of features, a key of `FEATURES`."""

    @property
    def data(self) -> DataConfig:
        """Settings of the data set, with the image size."""

    @property
    def network(self) -> Network | None:
        """The network that makes the features; None for other features."""


@dataclass(frozen=True)
class Hashing:
    """A hash function on features that a figure needs.

    Attributes:
        method: name of the hash function in `baselines.HASH_FUNCTIONS`.
        bits: code length.
        features: kind of features, a key of `FEATURES`.
        data: settings of the data set, with the image size.
        seed: seed of all random choices.
        network: the network that makes the features; None for other features.
    """

    method: str
    bits: int
    features: str
    data: DataConfig
    seed: int
    network: Network | None

    @property
    def name(self) -> str:
        """Method and length, such as "ksh-32"."""
        return f"{self.method}-{self.bits}"

    @property
    def folder(self) -> Path:
        """Folder of its figures: runs/reproduce/DATASET/METHOD-BITS-HASH."""
        facts = {
            "method": self.method,
            "bits": self.bits,
            "features": self.features,
            "data": self.data.model_dump(mode="json", exclude={"camera_rule"}),
            "seed": self.seed,
            "network": self.network and self.network.facts,
        }
        return folder_of(self.data.dataset, self.name, facts)


Source = Network | Hashing

Plan = Mapping[str, Mapping[int, Source]]
"""Method → code length → source of the codes."""


def sources_of(plans: Iterable[Plan]) -> list[Source]:
    """List the distinct sources of some plans."""
    return list(
        dict.fromkeys(
            source for plan in plans for by_length in plan.values() for source in by_length.values()
        )
    )


def network_of(source: Network | OnFeatures) -> Network | None:
    """Return the network behind a source, or None."""
    return source if isinstance(source, Network) else source.network


def networks_of(plans: Iterable[Plan]) -> list[Network]:
    """List the distinct networks behind some plans, also those that only make features."""
    networks = (network_of(source) for source in sources_of(plans))
    return list(dict.fromkeys(network for network in networks if network is not None))


def hashings_of(plans: Iterable[Plan]) -> list[Hashing]:
    """List the distinct hash functions of some plans."""
    return [source for source in sources_of(plans) if isinstance(source, Hashing)]


def epochs_of(source: Network | OnFeatures) -> dict[str, int]:
    """Return `epochs` and `full_epochs` of the network behind a source, for its records."""
    network = network_of(source)
    if network is None:
        return {}
    return {"epochs": network.config.train.epochs, "full_epochs": network.full_epochs}


def hashing_notes(plan: Plan) -> list[str]:
    """List what a reader must know about the hash functions of a plan; empty without any."""
    hashings = hashings_of([plan])
    classifier = next((hashing.network for hashing in hashings if hashing.network), None)
    notes = []
    if classifier is not None:
        backbone = classifier.config.model.backbone
        notes.append(
            f"network features: the penultimate layer of the network {backbone}, trained to "
            f"classify the training images ({classifier.folder})"
        )
    # methods that use labels work on pairs
    few = [name for name in plan if name in HASH_FUNCTIONS and HASH_FUNCTIONS[name].needs_labels]
    if few:
        notes.append(f"{', '.join(few)}: fitted to at most {SAMPLES:,} training images, drawn")
    return notes


def folder_of(dataset: str, name: str, facts: Mapping[str, Any]) -> Path:
    """Return the folder runs/reproduce/DATASET/NAME-HASH, with a hash of the facts as JSON."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return RUNS / "reproduce" / dataset / f"{name}-{digest}"
