"""The methods of the paper's figures: where each gets its networks, and its baselines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reid_hash.errors import ConfigError
from reid_hash.paper.methods.sources import CLASSIFIER, FEATURES, Hashing, Plan, epochs_of

LENGTHS = (16, 24, 32, 48, 64)
"""Code lengths of the paper's figures, in bits."""

FAST = 20
"""Factor by which a scaled-down training has fewer epochs."""


@dataclass(frozen=True)
class Method:
    """How a method's codes are made.

    Attributes:
        title: title for a reader; {} is the length of its network, if it has only one, or the
            features that its hash function starts from.
        config: name of a shipped configuration; {} is the data set.
        settings: changes to that configuration.
        family: prefix of its networks' folders; methods of one family share networks.
        networks: "each": a network per code length. "longest": one network of the longest length,
            whose prefixes are the shorter codes. "given": one network of the configured length.
            "none": a hash function per length, with at most a network for its features.
        weighted: whether its line in a plot shows the weighted Hamming distance; tables show both
            distances if bits have weights.
    """

    title: str
    config: str
    settings: tuple[str, ...]
    family: str
    networks: str
    weighted: bool

    @property
    def short(self) -> str:
        """Title without its part in brackets."""
        return self.title.partition(" (")[0]


_CLASSIFICATION = (
    *("loss.triplet=0", "loss.regulariser=0", "loss.feature_triplet=0"),
    *("loss.code_cross_entropy=0", "loss.cross_entropy=1"),
)


def _baseline(title: str) -> Method:
    """Make a hash function on features, such as those of the paper's network as a classifier."""
    return Method(f"{title} ({{}})", "paper/{}", _CLASSIFICATION, CLASSIFIER, "none", False)


NETWORK_METHODS = {
    "dsch": Method(
        "DSCH (network per length)",
        "paper/{}",
        ("loss.regulariser=0", "model.order=given"),
        "dsch",
        "each",
        weighted=False,  # the paper ranks codes of fixed length by plain Hamming distance
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
            # as in the authors' code: five of 64 bits, and balance weighted by an image's share of
            # a batch, about a hundredth
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
"""Methods that a figure shows by default, besides those already evaluated."""
METHODS = {**NETWORK_METHODS, **BASELINES}
"""All methods by their names on the command line."""


@dataclass(frozen=True)
class Variant:
    """Changes to the configurations of all methods.

    Attributes:
        protocol: division of the data set; None: the paper's, else the configuration's.
        split: number of the split or draw; None: the configuration's.
        seed: seed of the trainings; None: the configuration's.
        fast: scale network trainings down, see `FAST`.
        features: features of the hash functions, a key of `FEATURES`.

    Raises:
        ConfigError: `features` is unknown.
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
    """Check method names; return each once, in the order of `known`. "all" stands for all.

    Raises:
        ConfigError: a name is unknown, or there is no name.
    """
    wanted = [name.strip().lower() for name in names]
    unknown = [name for name in wanted if name not in {*known, "all"}]
    if unknown or not wanted:
        reason = f"unknown method {unknown[0]!r}" if unknown else "no method is named"
        raise ConfigError(f"--methods: {reason}; known are {', '.join(known)}, all")
    return [name for name in known if name in wanted or "all" in wanted]


def title(name: str, plan: Plan) -> str:
    """Return a plan's method title for a reader."""
    sources = list(plan[name].values())
    if isinstance(sources[0], Hashing):
        return METHODS[name].title.format(FEATURES[sources[0].features])
    return METHODS[name].title.format(max(source.bits for source in sources))


def scaled_down(plan: Plan) -> str:
    """Say by how much a plan's trainings are scaled down; empty if they are not."""
    return cut_short(
        (name, epochs_of(source))
        for name, by_length in plan.items()
        for source in by_length.values()
    )


def cut_short(trainings: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Say the same of trainings by name, from their `epochs` and `full_epochs`, if any."""
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
