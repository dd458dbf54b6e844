"""The methods of the paper's figures: how each gets its networks, and what it is compared with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reid_hash.config import Config, configs_folder, load_config
from reid_hash.errors import ConfigError
from reid_hash.experiments.methods_sources import (
    CLASSIFIER,
    FEATURES,
    Hashing,
    Network,
    Plan,
    Source,
    epochs_of,
)

LENGTHS = (16, 24, 32, 48, 64)
"""Code lengths of the paper's figures, in bits."""

FAST = 20
"""A scaled-down training has this many times fewer epochs."""

_PROTOCOLS = {"mnist": "full", "cifar10": "full", "cifar20": "full"}  # the paper's


@dataclass(frozen=True)
class Method:
    """How the codes of a method are made.

    Attributes:
        title: what a reader calls it; {} is the length of its network, where it has one alone, or
            what its hash function starts from.
        config: a shipped configuration; {} is the data set.
        settings: what is changed in it.
        family: its networks' folders are named after it: methods of one family share networks.
        networks: "each": one for each code length. "longest": one of the longest length, shorter
            codes are its first bits. "given": one of the length that the configuration names.
            "none": a hash function for each length; a network gives features at most.
        weighted: whether its line in a plot is of the weighted Hamming distance; tables have both,
            where bits have weights.
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


_CLASSIFICATION = (
    *("loss.triplet=0", "loss.regulariser=0", "loss.feature_triplet=0"),
    *("loss.code_cross_entropy=0", "loss.cross_entropy=1"),
)


_RELATIVE = (
    *("loss.triplet=0", "loss.regulariser=0", "loss.relative_distance=1"),
    *("model.weights=none", "model.order=given"),
)


def _baseline(title: str) -> Method:
    """A hash function on features, such as those of the paper's network, trained to classify."""
    return Method(f"{title} ({{}})", "paper/{}", _CLASSIFICATION, CLASSIFIER, "none", False)


NETWORK_METHODS = {
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
    "dsrh": Method(
        "DSRH (network per length)",
        "paper/{}",
        (
            *("loss.triplet=0", "loss.regulariser=0", "loss.ranking=1"),
            # as in the authors' code: five bits of 64, and a balance of an image's part of a batch,
            # some hundredth
            *("loss.margin=[20,20]", "loss.balance=0.01", "loss.quantisation=0.01"),
            *("model.weights=none", "model.order=given"),
        ),
        "dsrh",
        "each",
        weighted=False,
    ),
    "recipe": Method(
        "current recipe (one {}-bit network)", "{}", (), "recipe", "given", weighted=True
    ),
}


BASELINES = {
    "lsh": _baseline("LSH"),
    "sh": _baseline("SH"),
    "itq": _baseline("ITQ"),
    "bre": _baseline("BRE"),
    "mlh": _baseline("MLH"),
    "ksh": _baseline("KSH"),
}
FIGURE_METHODS = ("dsch", "drsch", "bs-drsch", "recipe")
"""Those that a figure shows unless others are chosen or have been evaluated."""
METHODS = {**NETWORK_METHODS, **BASELINES}
"""All methods by their names on the command line."""


@dataclass(frozen=True)
class Variant:
    """What may be changed of all the methods' configurations.

    Attributes:
        protocol: how the data set is divided; None: the paper's, else the configuration's.
        split: which split or draw; None: the configuration's.
        seed: of the trainings; None: the configuration's.
        fast: scale the trainings of networks down, see `FAST`.
        features: what the hash functions start from, of `FEATURES`.

    Raises:
        ConfigError: unknown features.
    """

    protocol: str | None = None
    split: int | None = None
    seed: int | None = None
    fast: bool = False
    features: str = "network"

    def __post_init__(self) -> None:
        if self.features not in FEATURES:
            raise ConfigError(
                f"unknown features {self.features!r}; known are {', '.join(FEATURES)}"
            )


def choose_methods(names: Iterable[str], known: Sequence[str] = tuple(METHODS)) -> list[str]:
    """Check names of methods, each once and in the order of those known; "all" is all of them.

    Raises:
        ConfigError: an unknown name, or none.
    """
    wanted = [name.strip().lower() for name in names]
    unknown = [name for name in wanted if name not in {*known, "all"}]
    if unknown or not wanted:
        reason = f"unknown method {unknown[0]!r}" if unknown else "no method is named"
        raise ConfigError(f"--methods: {reason}; known are {', '.join(known)}, all")
    return [name for name in known if name in wanted or "all" in wanted]


def plan(
    dataset: str, methods: Iterable[str], lengths: Sequence[int], variant: Variant | None = None
) -> Plan:
    """The networks and hash functions that methods need for codes of some lengths.

    Args:
        dataset: name of the data set.
        methods: of `METHODS`.
        lengths: code lengths in bits.
        variant: what is changed of the configurations.

    Raises:
        ConfigError: a configuration is missing or wrong, or a length that it does not give.
    """
    variant = variant or Variant()
    return {name: _sources(dataset, name, lengths, variant) for name in methods}


def _sources(
    dataset: str, name: str, lengths: Sequence[int], variant: Variant
) -> Mapping[int, Source]:
    method = METHODS[name]
    if method.networks == "none":
        return {bits: _hashing(dataset, name, bits, variant) for bits in lengths}
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


def _hashing(dataset: str, name: str, bits: int, variant: Variant) -> Hashing:
    if variant.features == "network":
        network = _network(dataset, name, None, variant)
        data, seed = network.data, network.seed
    else:  # images of the size of today's recipe: MNIST's own, where the paper's network has more
        network = None
        config = _config(dataset, "{}", (), None, variant)
        data, seed = config.data, config.seed
    return Hashing(name, bits, variant.features, data, seed, network)


def _network(dataset: str, name: str, bits: int | None, variant: Variant) -> Network:
    method = METHODS[name]
    source = method.config
    if method.networks == "none" and not _is_there(source.format(dataset)):
        source = "{}"  # not the paper's data set: the network of today's recipe gives features
    elif not _is_there(source.format(dataset)):
        others = ", ".join(
            other for other in NETWORK_METHODS if METHODS[other].config != method.config
        )
        raise ConfigError(
            f"method {name} has no configuration for {dataset} (configs/{source.format(dataset)}"
            f".yaml); choose others with --methods, such as {others}"
        )
    return _trained_as(dataset, replace(method, config=source), bits, variant)


def _trained_as(dataset: str, method: Method, bits: int | None, variant: Variant) -> Network:
    config = _config(dataset, method.config, method.settings, bits, variant)
    epochs = config.train.epochs
    if variant.fast:
        few = f"train.epochs={fewer(epochs)}"
        config = _config(dataset, method.config, (*method.settings, few), bits, variant)
    return Network(method.family, config, epochs)


def fewer(epochs: int) -> int:
    """The epochs of a training that is scaled down."""
    return max(1, round(epochs / FAST))


def _is_there(source: str) -> bool:
    return (configs_folder() / f"{source}.yaml").is_file()


def _config(
    dataset: str, source: str, settings: Sequence[str], bits: int | None, variant: Variant
) -> Config:
    values = {
        "data.protocol": variant.protocol or _PROTOCOLS.get(dataset),
        "data.split": variant.split,
        "seed": variant.seed,
        "model.bits": bits,
    }
    changes = [f"{key}={value}" for key, value in values.items() if value is not None]
    return load_config(source.format(dataset), [*settings, *changes])


def embedding_network(dataset: str, variant: Variant) -> Network:
    """The network of Ding et al. (2015): 400 floats at unit length, compared by distance."""
    return _trained_as(
        dataset,
        Method("relative distance", "paper/{}", _RELATIVE, "distance", "given", weighted=False),
        400,
        variant,
    )


def title(name: str, plan: Plan) -> str:
    """What a reader calls a method of a plan."""
    sources = list(plan[name].values())
    if isinstance(sources[0], Hashing):
        return METHODS[name].title.format(FEATURES[sources[0].features])
    return METHODS[name].title.format(max(source.bits for source in sources))


def scaled_down(plan: Plan) -> str:
    """Says by how much the trainings of a plan are shorter than they should be; else empty."""
    return cut_short(
        (name, epochs_of(source))
        for name, by_length in plan.items()
        for source in by_length.values()
    )


def cut_short(trainings: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """The same for trainings by name, with their `epochs` and `full_epochs` where they have any."""
    cut: dict[tuple[int, int], list[str]] = {}
    for name, of in trainings:
        if "epochs" in of and of["epochs"] < of["full_epochs"]:
            names = cut.setdefault((of["epochs"], of["full_epochs"]), [])
            names += [] if name in names else [name]
    if not cut:
        return ""
    parts = [
        f"{few} {'epoch' if few == 1 else 'epochs'} instead of {many}"
        + (f" ({', '.join(names)})" if len(cut) > 1 else "")
        for (few, many), names in cut.items()
    ]
    return f"scaled down: {', '.join(parts)}"
