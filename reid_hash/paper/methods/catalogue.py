"""The methods of the paper's figures: how each gets its networks, and what it is compared with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reid_hash.errors import ConfigError
from reid_hash.paper.methods.sources import CLASSIFIER, FEATURES, Hashing, Plan, epochs_of

LENGTHS = (16, 24, 32, 48, 64)
"""Code lengths of the paper's figures, in bits."""

FAST = 20
"""A scaled-down training has this many times fewer epochs."""


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
