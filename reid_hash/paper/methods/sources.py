"""Where the codes of a method come from: a trained network, or a hash function on features."""

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
"""What a hash function can start from, in words."""

_LATER = {
    "data": ("camera_rule",),
    "model": ("freeze", "output_stride", "standardise"),
    "loss": (
        *("classifier", "scale", "cosine_margin"),
        *("ranking", "balance", "quantisation", "relative_distance", "distillation", "temperature"),
        *("teacher", "teacher_preset"),
    ),
    "augment": ("low_resolution",),
    "train": ("backbone_rate", "start"),
    "refit": tuple(RefitConfig.model_fields),
}
"""Keys that count in the names of folders only where they have not their default value."""

CLASSIFIER = "classifier"
"""Family of the networks that are trained for classification, for their features."""


@dataclass(frozen=True)
class Network:
    """A network that a figure needs.

    Attributes:
        family: see `catalogue.Method`.
        config: of its training.
        full_epochs: of the training that is not scaled down.
    """

    family: str
    config: Config
    full_epochs: int

    @property
    def bits(self) -> int:
        """Length of its codes."""
        return self.config.model.bits

    @property
    def data(self) -> DataConfig:
        """Which images."""
        return self.config.data

    @property
    def seed(self) -> int:
        """Of its training."""
        return self.config.seed

    @property
    def name(self) -> str:
        """Family and length, such as "drsch-64"; a classifier's codes are not used."""
        return self.family if self.family == CLASSIFIER else f"{self.family}-{self.bits}"

    @property
    def facts(self) -> dict[str, Any]:
        """What it is told apart by: its configuration."""
        facts = self.config.model_dump(mode="json")
        defaults = Config().model_dump(mode="json")
        for section, keys in _LATER.items():
            for key in keys:
                # so that networks trained before the key was there keep their folders
                if facts[section][key] == defaults[section][key]:
                    del facts[section][key]
        if not facts["refit"]:
            del facts["refit"]
        return facts

    @property
    def folder(self) -> Path:
        """Its run: runs/reproduce/DATASET/FAMILY-BITS-HASH, the hash that of its configuration."""
        return folder_of(self.data.dataset, self.name, self.facts)


class OnFeatures(Protocol):
    """What starts from features of images; see `Hashing`."""

    @property
    def features(self) -> str:
        """Of `FEATURES`."""

    @property
    def data(self) -> DataConfig:
        """Which images, and of which size."""

    @property
    def network(self) -> Network | None:
        """Whose features; None where they are no network's."""


@dataclass(frozen=True)
class Hashing:
    """A hash function on features that a figure needs.

    Attributes:
        method: which, of `baselines.HASH_FUNCTIONS`.
        bits: length of its codes.
        features: of `FEATURES`.
        data: which images, and of which size.
        seed: of all it draws.
        network: whose features are hashed; None where they are no network's.
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
        """Of its figures: runs/reproduce/DATASET/METHOD-BITS-HASH."""
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
"""Method → code length → where its codes come from."""


def sources_of(plans: Iterable[Plan]) -> list[Source]:
    """The sources of some plans, each once."""
    return list(
        dict.fromkeys(
            source for plan in plans for by_length in plan.values() for source in by_length.values()
        )
    )


def network_of(source: Network | OnFeatures) -> Network | None:
    """The network behind a source; None where there is none."""
    return source if isinstance(source, Network) else source.network


def networks_of(plans: Iterable[Plan]) -> list[Network]:
    """The networks behind some plans, each once; also those whose features are hashed."""
    networks = (network_of(source) for source in sources_of(plans))
    return list(dict.fromkeys(network for network in networks if network is not None))


def hashings_of(plans: Iterable[Plan]) -> list[Hashing]:
    """The hash functions of some plans, each once."""
    return [source for source in sources_of(plans) if isinstance(source, Hashing)]


def epochs_of(source: Network | OnFeatures) -> dict[str, int]:
    """`epochs` and `full_epochs` of the network behind a source, for its records."""
    network = network_of(source)
    if network is None:
        return {}
    return {"epochs": network.config.train.epochs, "full_epochs": network.full_epochs}


def hashing_notes(plan: Plan) -> list[str]:
    """What a reader must know of the hash functions of a plan; none where it has none."""
    hashings = hashings_of([plan])
    classifier = next((hashing.network for hashing in hashings if hashing.network), None)
    notes = []
    if classifier is not None:
        backbone = classifier.config.model.backbone
        notes.append(
            f"network features: the penultimate layer of the network {backbone}, trained to "
            f"classify the training images ({classifier.folder})"
        )
    # those that see labels look at pairs
    few = [name for name in plan if name in HASH_FUNCTIONS and HASH_FUNCTIONS[name].needs_labels]
    if few:
        notes.append(f"{', '.join(few)}: fitted to at most {SAMPLES:,} training images, drawn")
    return notes


def folder_of(dataset: str, name: str, facts: Mapping[str, Any]) -> Path:
    """runs/reproduce/DATASET/NAME-HASH, the hash that of JSON facts."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return RUNS / "reproduce" / dataset / f"{name}-{digest}"
