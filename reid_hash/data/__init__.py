"""Data sets: train, query and gallery images with labels and cameras."""

import os
from pathlib import Path
from typing import Any

from reid_hash.config.reading import parse_config
from reid_hash.config.schema import DataConfig
from reid_hash.data.dataset import Dataset
from reid_hash.errors import ConfigError

__all__ = ["DATASETS", "Dataset", "data_root", "load_dataset"]

DATASETS = {
    "walkers": "walking figures drawn by a program, built in: for trying things out",
    "cuhk03": "CUHK03, from cuhk-03.mat or extracted: protocols single-shot and "
    "cross-camera (100 identities), and new (767/700)",
    "market1501": "any folder in Market-1501's naming: protocols standard, held-out, train-only",
    "msmt17": "MSMT17 as published, from its lists: protocols standard-v1, standard-v2",
    "viper": "VIPeR: protocols single-shot (one of 10 random halves), single-shot-10 (all of them)",
    "grid": "QMUL GRID, with its 775 strangers: protocols single-shot, single-shot-10",
    "prid2011": "PRID2011, its single shots: protocols single-shot, single-shot-10",
    "ilids": "i-LIDS, the images of persons (119): protocols single-shot, single-shot-10",
    "mnist": "MNIST, published files or class folders, else downloaded: protocols full, 5k, unseen "
    "(a quarter of the classes is searched for and not trained on), unseen-all",
    "cifar10": "CIFAR-10, the same way: protocols full, 5k, unseen, unseen-all",
    "cifar20": "CIFAR-100's 20 coarse classes, the same way, with the same protocols",
    "cifar100": "CIFAR-100's 100 classes, the same way, with the same protocols",
    "nuswide": "NUS-WIDE, several labels an image, from train.txt, test.txt and database.txt",
    "folder": "class folders: train/CLASS and test/CLASS, or CLASS alone",
}
"""The data sets by name, each with a one-line description."""


def data_root(given: Path | None) -> Path:
    """Return the folder that contains the data sets.

    Args:
        given: value of `--data`, or None. Precedence: `--data`, $REID_HASH_DATA, `./data`.
    """
    return given if given is not None else Path(os.environ.get("REID_HASH_DATA") or "data")


def load_dataset(
    name: str | DataConfig,
    root: str | os.PathLike[str] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Dataset:
    """Read a data set.

    Args:
        name: one of `DATASETS`, or the section `data` of a configuration, which has all settings.
        root: the data root. Default: see `data_root`.
        seed: seed of `walkers`. Drawn splits of other data sets depend on `split` alone.
        **settings: `protocol`, `camera_rule`, `boxes` and `split`, as in
            `reid_hash.config.schema.DataConfig`.

    Raises:
        ConfigError: the data set or a setting is unknown, or the data set lacks the protocol.
        DataError: the data is missing, incomplete or damaged.

    Example:
        >>> data = load_dataset("walkers")
        >>> data.protocol, len(data.query)
        ('single-shot', 800)
    """
    if isinstance(name, DataConfig):
        if settings:
            raise ConfigError(f"a configuration says the settings: {', '.join(settings)}")
        config = name
    else:
        config = parse_config({"data": {"dataset": name, **settings}}, "load_dataset").data
    name = config.dataset
    if "+" in name:
        raise ConfigError(
            f"data sets are joined ({name}) to be trained on only; "
            f"name one of {', '.join(DATASETS)} here"
        )
    if name not in DATASETS:
        raise ConfigError(f"unknown data set {name!r}; known are {', '.join(DATASETS)}")
    # Readers are imported when used: they import h5py, SciPy or torchvision.
    place = data_root(None if root is None else Path(root))
    if name == "walkers":
        from reid_hash.data.walkers import walkers

        dataset = walkers(seed)
    elif name == "cuhk03":
        from reid_hash.data.cuhk03 import cuhk03

        dataset = cuhk03(place, config.protocol or "single-shot", config.boxes, config.split)
    elif name == "market1501":
        from reid_hash.data.market1501 import market1501

        dataset = market1501(place, config.protocol, config.split)
    elif name == "msmt17":
        from reid_hash.data.msmt17 import msmt17

        dataset = msmt17(place, config.split)
    elif name in ("viper", "grid", "prid2011", "ilids"):
        from reid_hash.data.random_halves import READERS

        dataset = READERS[name](place, config.protocol, config.split)
    elif name == "mnist":
        from reid_hash.data.mnist import mnist

        dataset = mnist(place, config.protocol, config.split)
    elif name == "cifar10":
        from reid_hash.data.cifar import cifar10

        dataset = cifar10(place, config.protocol, config.split)
    elif name == "cifar20":
        from reid_hash.data.cifar import cifar20

        dataset = cifar20(place, config.protocol, config.split)
    elif name == "cifar100":
        from reid_hash.data.cifar import cifar100

        dataset = cifar100(place, config.protocol, config.split)
    elif name == "nuswide":
        from reid_hash.data.nuswide import nuswide

        dataset = nuswide(place, config.split)
    else:
        from reid_hash.data.folder import folder

        dataset = folder(place, config.split)
    if config.protocol not in (None, dataset.protocol):
        raise ConfigError(
            f"{name} has the protocol {dataset.protocol} here, not {config.protocol!r}"
        )
    return dataset.with_camera_rule(config.camera_rule)
