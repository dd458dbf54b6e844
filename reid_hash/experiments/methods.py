"""The methods of the paper's figures: how the configuration of each is made, and their networks."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reid_hash.config import Config, configs_folder, load_config
from reid_hash.errors import ConfigError
from reid_hash.experiments.runs import RUNS

LENGTHS = (16, 24, 32, 48, 64)
"""Code lengths of the paper's figures, in bits."""

FAST = 20
"""A scaled-down training has this many times fewer epochs."""

_PROTOCOLS = {"mnist": "full", "cifar10": "full", "cifar20": "full"}  # the paper's


@dataclass(frozen=True)
class Method:
    """How the networks of a method are made.

    Attributes:
        title: what a reader calls it; {} is the length of its network, where it has one alone.
        config: a shipped configuration; {} is the data set.
        settings: what is changed in it.
        family: its networks' folders are named after it: methods of one family share networks.
        networks: "each": one for each code length. "longest": one of the longest length, shorter
            codes are its first bits. "given": one of the length that the configuration names.
        weighted: whether its line in a plot is of the weighted Hamming distance; tables have both.
    """

    title: str
    config: str
    settings: tuple[str, ...]
    family: str
    networks: str
    weighted: bool

    @property
    def short(self) -> str:
        """Its title without what stands in brackets."""
        return self.title.partition(" (")[0]


METHODS = {
    "dsch": Method(
        "DSCH (network per length)",
        "paper/{}",
        ("loss.regulariser=0", "model.order=given"),
        "dsch",
        "each",
        weighted=False,  # the paper's codes of fixed length are ranked by plain Hamming distance
    ),
    "drsch": Method("DRSCH (network per length)", "paper/{}", (), "drsch", "each", weighted=False),
    "bs-drsch": Method(
        "BS-DRSCH (one {}-bit network)", "paper/{}", (), "drsch", "longest", weighted=True
    ),
    "recipe": Method(
        "current recipe (one {}-bit network)", "{}", (), "recipe", "given", weighted=True
    ),
}


@dataclass(frozen=True)
class Network:
    """A network that a figure needs.

    Attributes:
        family: see `Method`.
        config: of its training.
        full_epochs: of the training that is not scaled down.
    """

    family: str
    config: Config
    full_epochs: int

    @property
    def name(self) -> str:
        """Family and length, such as "drsch-64"."""
        return f"{self.family}-{self.config.model.bits}"

    @property
    def folder(self) -> Path:
        """Its run: runs/reproduce/DATASET/FAMILY-BITS-HASH, the hash that of its configuration."""
        canonical = json.dumps(self.config.model_dump(mode="json"), sort_keys=True)
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
        return RUNS / "reproduce" / self.config.data.dataset / f"{self.name}-{digest}"


Plan = Mapping[str, Mapping[int, Network]]
"""Method → code length → the network that it comes from."""


@dataclass(frozen=True)
class Variant:
    """What may be changed of all the methods' configurations.

    Attributes:
        protocol: how the data set is divided; None: the paper's, else the configuration's.
        split: which split or draw; None: the configuration's.
        seed: of the trainings; None: the configuration's.
        fast: scale the trainings down, see `FAST`.
    """

    protocol: str | None = None
    split: int | None = None
    seed: int | None = None
    fast: bool = False


def choose_methods(names: Iterable[str]) -> list[str]:
    """Check names of methods, each once and in the order of `METHODS`; "all" is all of them.

    Raises:
        ConfigError: an unknown name, or none.
    """
    wanted = [name.strip().lower() for name in names]
    unknown = [name for name in wanted if name not in {*METHODS, "all"}]
    if unknown or not wanted:
        reason = f"unknown method {unknown[0]!r}" if unknown else "no method is named"
        raise ConfigError(f"--methods: {reason}; known are {', '.join(METHODS)}, all")
    return [name for name in METHODS if name in wanted or "all" in wanted]


def plan(
    dataset: str, methods: Iterable[str], lengths: Sequence[int], variant: Variant | None = None
) -> Plan:
    """The networks that methods need for codes of some lengths.

    Args:
        dataset: name of the data set.
        methods: of `METHODS`.
        lengths: code lengths in bits.
        variant: what is changed of the configurations.

    Raises:
        ConfigError: a configuration is missing or wrong, or a length that it does not give.
    """
    variant = variant or Variant()
    return {name: _networks(dataset, name, lengths, variant) for name in methods}


def _networks(
    dataset: str, name: str, lengths: Sequence[int], variant: Variant
) -> dict[int, Network]:
    method = METHODS[name]
    if method.networks == "each":
        return {bits: _network(dataset, name, bits, variant) for bits in lengths}
    longest = max(LENGTHS[-1], *lengths) if method.networks == "longest" else None
    network = _network(dataset, name, longest, variant)
    bits = network.config.model.bits
    if max(lengths) > bits:
        raise ConfigError(
            f"--bits {max(lengths)}: the codes of {name} have {bits} bits on {dataset}; leave it "
            "out with --methods, or choose shorter codes"
        )
    return dict.fromkeys(lengths, network)


def _network(dataset: str, name: str, bits: int | None, variant: Variant) -> Network:
    method = METHODS[name]
    source = method.config.format(dataset)
    if not (configs_folder() / f"{source}.yaml").is_file():
        others = ", ".join(other for other in METHODS if METHODS[other].config != method.config)
        raise ConfigError(
            f"method {name} has no configuration for {dataset} (configs/{source}.yaml); "
            f"choose others with --methods, such as {others}"
        )
    values = {
        "data.protocol": variant.protocol or _PROTOCOLS.get(dataset),
        "data.split": variant.split,
        "seed": variant.seed,
        "model.bits": bits,
    }
    changes = [f"{key}={value}" for key, value in values.items() if value is not None]
    config = load_config(source, [*method.settings, *changes])
    epochs = config.train.epochs
    if variant.fast:
        config = load_config(
            source, [*method.settings, *changes, f"train.epochs={max(1, round(epochs / FAST))}"]
        )
    return Network(method.family, config, epochs)


def networks_of(plans: Iterable[Plan]) -> list[Network]:
    """The networks of some plans, each once."""
    return list(
        dict.fromkeys(
            network for plan in plans for lengths in plan.values() for network in lengths.values()
        )
    )


def title(name: str, plan: Plan) -> str:
    """What a reader calls a method of a plan."""
    longest = max(network.config.model.bits for network in plan[name].values())
    return METHODS[name].title.format(longest)


def scaled_down(plan: Plan) -> str:
    """Says by how much the trainings of a plan are shorter than they should be; else empty."""
    cut: dict[tuple[int, int], list[str]] = {}
    for name, lengths in plan.items():
        for network in lengths.values():
            epochs = (network.config.train.epochs, network.full_epochs)
            if epochs[0] < epochs[1] and name not in cut.setdefault(epochs, []):
                cut[epochs].append(name)
    if not cut:
        return ""
    parts = [
        f"{few} {'epoch' if few == 1 else 'epochs'} instead of {many}"
        + (f" ({', '.join(names)})" if len(cut) > 1 else "")
        for (few, many), names in cut.items()
    ]
    return f"scaled down: {', '.join(parts)}"
