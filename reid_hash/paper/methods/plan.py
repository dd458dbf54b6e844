"""The networks and hash functions that methods need, with their configurations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reid_hash.config.reading import configs_folder, load_config
from reid_hash.config.schema import Config
from reid_hash.errors import ConfigError
from reid_hash.paper.methods.catalogue import (
    FAST,
    LENGTHS,
    METHODS,
    NETWORK_METHODS,
    Method,
    Variant,
)
from reid_hash.paper.methods.sources import Hashing, Network, Plan, Source

_PROTOCOLS = {"mnist": "full", "cifar10": "full", "cifar20": "full"}  # as in the paper
_RELATIVE = (
    *("loss.triplet=0", "loss.regulariser=0", "loss.relative_distance=1"),
    *("model.weights=none", "model.order=given"),
)


def plan(
    dataset: str, methods: Iterable[str], lengths: Sequence[int], variant: Variant | None = None
) -> Plan:
    """Plan the networks and hash functions that methods need for codes of some lengths.

    Args:
        dataset: name of the data set.
        methods: names in `METHODS`.
        lengths: code lengths in bits.
        variant: changes to the configurations.

    Raises:
        ConfigError: a configuration is missing or invalid, or cannot provide a length.
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
    else:  # the current recipe's size: MNIST's own, while the paper's network needs more
        network = None
        config = _config(dataset, "{}", (), None, variant)
        data, seed = config.data, config.seed
    return Hashing(name, bits, variant.features, data, seed, network)


def _network(dataset: str, name: str, bits: int | None, variant: Variant) -> Network:
    method = METHODS[name]
    source = method.config
    if method.networks == "none" and not _is_there(source.format(dataset)):
        source = "{}"  # not the paper's data set: features come from the current recipe's network
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
    """Return the number of epochs of a scaled-down training."""
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
    """Plan the network of Ding et al. (2015): 400 floats of unit length, compared by distance."""
    return _trained_as(
        dataset,
        Method("relative distance", "paper/{}", _RELATIVE, "distance", "given", weighted=False),
        400,
        variant,
    )
