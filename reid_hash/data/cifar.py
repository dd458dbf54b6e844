"""CIFAR-10, and CIFAR-100 with its 100 or 20 coarse classes (Krizhevsky 2009): 32 × 32 RGB."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.class_tree import Parts
from reid_hash.data.dataset import Dataset
from reid_hash.data.protocols import Benchmark, check_protocol, divide
from reid_hash.data.published import Published, find, read

CIFAR10 = Benchmark("cifar10", classes=10, train=50_000, test=10_000)
CIFAR10_FILES = Published(
    "CIFAR10",
    "cifar-10-batches-py",
    (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
    ("cifar10.", "cifar10_", "cifar10python"),  # does not match cifar100
)
CIFAR20 = Benchmark("cifar20", classes=20, train=50_000, test=10_000)
CIFAR100 = Benchmark("cifar100", classes=100, train=50_000, test=10_000)
CIFAR100_FILES = Published(
    "CIFAR100", "cifar-100-python", ("train", "test", "meta"), ("cifar20", "cifar100")
)

# The classes of each coarse class, as the data set's page lists them; torchvision only reads the
# 100 fine classes.
COARSE = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}


def cifar10(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read CIFAR-10.

    Uses the published files in `cifar-10-batches-py/` if present, else class folders
    `cifar10/train/CLASS/` and `cifar10/test/CLASS/` with any image format. If there are neither,
    downloads the files into the data root.

    Args:
        root: the data root, or the folder with `train/` and `test/`.
        protocol: "full" (default), "5k", "unseen" or "unseen-all"; see `protocols.divide`.
        split: number of the draw; 0 under "full".

    Raises:
        ConfigError: the protocol is unknown.
        DataError: the data is missing and cannot be downloaded, or is incomplete or damaged.
    """
    protocol = protocol or "full"
    check_protocol(CIFAR10.name, protocol)
    return divide(CIFAR10, _fine(root, CIFAR10, CIFAR10_FILES), protocol, split)


def cifar100(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read CIFAR-100 with its 100 classes.

    Uses the published files in `cifar-100-python/` if present, else class folders
    `cifar100/train/CLASS/` and `cifar100/test/CLASS/`, else downloads the files into the data root.
    Arguments and errors are those of `cifar10`; "5k" draws 10 queries and 50 training images per
    class.
    """
    protocol = protocol or "full"
    check_protocol(CIFAR100.name, protocol)
    return divide(CIFAR100, _fine(root, CIFAR100, CIFAR100_FILES), protocol, split)


def _fine(root: Path, benchmark: Benchmark, files: Published) -> Parts:
    """Read a benchmark with the classes that its files have."""
    found = find(root, benchmark.name, files)
    if isinstance(found, Parts):
        return found
    train, test = read(found, files)
    return Parts(
        train.image_set("train", train.labels), test.image_set("test", test.labels), train.classes
    )


def cifar20(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read CIFAR-100 with its 20 coarse classes.

    Uses the published files in `cifar-100-python/` if present, else folders of the coarse classes,
    `cifar20/train/COARSE/` and `cifar20/test/COARSE/`, else downloads the files into the data root.
    Arguments and errors are those of `cifar10`; "5k" draws 50 queries and 250 training images per
    coarse class.
    """
    protocol = protocol or "full"
    check_protocol(CIFAR20.name, protocol)
    found = find(root, CIFAR20.name, CIFAR100_FILES)
    if isinstance(found, Path):
        train, test = read(found, CIFAR100_FILES)
        coarse = coarse_labels(train.classes)
        found = Parts(
            train.image_set("train", coarse[train.labels]),
            test.image_set("test", coarse[test.labels]),
            tuple(COARSE),
        )
    return divide(CIFAR20, found, protocol, split)


def coarse_labels(classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the coarse class [100] of each of CIFAR-100's classes, given by name."""
    number = {name: i for i, names in enumerate(COARSE.values()) for name in names.split()}
    return np.array([number[name] for name in classes], np.int64)
