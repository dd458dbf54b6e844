"""The rows of the paper's table 1 (CUHK03): methods, and the sources of their distances."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reid_hash.config.schema import DataConfig
from reid_hash.paper.methods import catalogue, plan
from reid_hash.paper.methods.catalogue import BASELINES, METHODS, Variant
from reid_hash.paper.methods.sources import Hashing, Network, folder_of
from reid_hash.paper.table1.fpnn import EPOCHS

DATASET = "cuhk03"
LENGTHS = (64, 128)
"""Code lengths of the table, in bits."""

KINDS = ("network", "blocks")
"""Default features of hash functions and metrics."""

_DEEP = ("drsch", "bs-drsch", "dsrh")
_METRICS = {"kissme": "KISSME"}
_EMBEDDINGS = {"distance": "Relative distance"}

TABLE_METHODS = (*_DEEP, *BASELINES, *_EMBEDDINGS, "fpnn", *_METRICS, "esdc")
"""The methods by their names on the command line, in the order of the rows."""

REPORTED = {
    "DRSCH-64": (0.1874, 0.4839, 0.6966, 0.8103, 0.9128),
    "DRSCH-128": (0.2196, 0.4666, 0.6604, 0.7893, 0.8876),
    "DSRH-128": (0.1444, 0.4338, 0.6677, 0.7919, 0.8745),
    "FPNN": (0.2065,),
    "KISSME": (0.1417,),
    "eSDC": (0.0876,),
}
"""Match rates at `metrics.RANKS` quoted from memory of the paper, hence shown as unverified."""


@dataclass(frozen=True)
class Matching:
    """A method without codes that a row needs.

    Attributes:
        method: its name on the command line.
        data: settings of the data set, with the image size.
        seed: seed of all random choices.
        features: kind of features, a key of `FEATURES`; empty if it starts from images.
        network: the network that makes the features; None for other features.
        epochs: epochs of its own training; 0 without training.
    """

    method: str
    data: DataConfig
    seed: int
    features: str = ""
    network: Network | None = None
    epochs: int = 0

    @property
    def name(self) -> str:
        """Method and features, such as "kissme-blocks"."""
        return f"{self.method}-{self.features}" if self.features else self.method

    @property
    def bits(self) -> int:
        """Code length: 0, as it has no codes."""
        return 0

    @property
    def folder(self) -> Path:
        """Folder of its figures: runs/reproduce/DATASET/NAME-HASH."""
        return folder_of(
            self.data.dataset,
            self.name,
            {
                "method": self.method,
                "features": self.features,
                "data": self.data.model_dump(mode="json", exclude={"camera_rule"}),
                "seed": self.seed,
                "network": self.network and self.network.facts,
                # other methods' folders were named before this key existed
                **({"epochs": self.epochs} if self.epochs else {}),
            },
        )


RowSource = Network | Hashing | Matching


@dataclass(frozen=True)
class RowSpec:
    """A row of the table, or two if codes are ranked by both distances.

    Attributes:
        method: name of the method on the command line.
        title: title for a reader, such as "KSH-64, network".
        source: source of the distances.
        bits: code length; 0 without codes.
        published: key of `REPORTED`.
    """

    method: str
    title: str
    source: RowSource
    bits: int
    published: str


def table_rows(
    names: Sequence[str] | None,
    lengths: Sequence[int] | None,
    variant: Variant,
    kinds: Sequence[str],
) -> list[RowSpec]:
    """Plan the rows of the table.

    Args:
        names: names in `TABLE_METHODS`; None for all.
        lengths: code lengths in bits; None for `LENGTHS`.
        variant: changes to the configurations; its `features` are ignored.
        kinds: kinds of features for hash functions and metrics.

    Raises:
        ConfigError: a method or length does not exist.
    """
    chosen = catalogue.choose_methods(names or ["all"], TABLE_METHODS)
    bits = sorted(lengths or LENGTHS)
    rows: list[RowSpec] = []
    for name in chosen:
        if name in _DEEP:
            rows += _network_rows(name, bits, variant)
        if name in _EMBEDDINGS:
            network = plan.embedding_network(DATASET, variant)
            rows.append(
                RowSpec(name, f"{_EMBEDDINGS[name]}, {network.bits} floats", network, 0, "")
            )
    if "fpnn" in chosen:
        network = plan.embedding_network(DATASET, variant)
        epochs = plan.fewer(EPOCHS) if variant.fast else EPOCHS
        pairing = Matching("fpnn", network.data, network.seed, epochs=epochs)
        rows.append(RowSpec("fpnn", "FPNN", pairing, 0, "FPNN"))
    if "esdc" in chosen:
        network = plan.embedding_network(DATASET, variant)
        rows.append(
            RowSpec("esdc", "eSDC's SDC", Matching("esdc", network.data, network.seed), 0, "eSDC")
        )
    for kind in kinds:
        of_kind = Variant(variant.protocol, variant.split, variant.seed, variant.fast, kind)
        rows += _feature_rows([name for name in chosen if name not in _DEEP], bits, of_kind)
    return rows


def _network_rows(name: str, lengths: Sequence[int], variant: Variant) -> list[RowSpec]:
    by_length = plan.plan(DATASET, [name], lengths, variant)[name]
    title = METHODS[name].short
    rows = []
    for bits, source in by_length.items():
        if METHODS[name].networks == "longest":
            if bits == source.bits and len(by_length) > 1:
                continue  # the full code is already the row of a network of its length
            rows.append(RowSpec(name, f"{title}, {source.bits} cut to {bits}", source, bits, ""))
        else:
            rows.append(RowSpec(name, f"{title}-{bits}", source, bits, f"{title}-{bits}"))
    return rows


def _feature_rows(names: Sequence[str], lengths: Sequence[int], variant: Variant) -> list[RowSpec]:
    """Plan rows of hash functions and metrics on one kind of features."""
    rows = []
    for name in (name for name in BASELINES if name in names):
        for bits, source in plan.plan(DATASET, [name], lengths, variant)[name].items():
            title = f"{METHODS[name].short}-{bits}"
            rows.append(RowSpec(name, f"{title}, {variant.features}", source, bits, title))
    for name in (name for name in _METRICS if name in names):
        # a hash function's source knows the images and the network
        (like,) = plan.plan(DATASET, ["lsh"], lengths[:1], variant)["lsh"].values()
        assert isinstance(like, Hashing)
        matching = Matching(name, like.data, like.seed, variant.features, like.network)
        rows.append(
            RowSpec(name, f"{_METRICS[name]}, {variant.features}", matching, 0, _METRICS[name])
        )
    return rows
