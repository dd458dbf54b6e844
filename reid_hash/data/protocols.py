"""Division of image benchmarks into train, query and database."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.class_tree import Parts
from reid_hash.data.dataset import Dataset, ImageSet, joined
from reid_hash.data.listing import counted
from reid_hash.errors import ConfigError, DataError

PROTOCOLS = ("full", "5k", "unseen", "unseen-all")
_DRAWN_QUERIES, _DRAWN_TRAIN = 1000, 5000  # of "5k", over all classes
_SEEN = 0.75  # share of the classes that "unseen" trains on (Sablayrolles et al. 2017)


@dataclass(frozen=True)
class Benchmark:
    """Size of an image benchmark as published.

    Attributes:
        name: name of the benchmark, as on the command line.
        classes: number of classes.
        train: number of training images.
        test: number of test images.
    """

    name: str
    classes: int
    train: int
    test: int


def check_protocol(name: str, protocol: str) -> None:
    """Raise ConfigError for a protocol that image benchmarks do not have."""
    if protocol not in PROTOCOLS:
        raise ConfigError(f"{name} has the protocols {', '.join(PROTOCOLS)}, not {protocol!r}")


def divide(benchmark: Benchmark, parts: Parts, protocol: str, split: int) -> Dataset:
    """Divide an image benchmark under one of four protocols.

    - "full": the test images are the queries; the training images are also the database
      (CIFAR-10: 10,000 queries, 50,000 images for both).
    - "5k": from training and test images together, 1,000 queries and 5,000 training images are
      drawn, equally many per class. All others are the database, which is not trained on
      (CIFAR-10: 100 and 500 per class, 54,000 others). The draw depends on `split` alone, never on
      the training seed, so figures of several trainings have the same queries.
    - "unseen": three quarters of the classes are drawn for training, using their training images.
      The test images of the other classes are the queries and their training images the database,
      so no class that is searched for was trained on (Sablayrolles, Douze, Usunier and Jegou
      2017). `split` numbers the draw.
    - "unseen-all": the same, with the training images of all classes as the database.

    Args:
        benchmark: the published sizes.
        parts: the images found; notes say if there are fewer.
        protocol: one of `PROTOCOLS`.
        split: number of the draw; 0 under "full".

    Raises:
        ConfigError: the protocol is unknown.
        DataError: there are more classes than the benchmark has, too few images for the draw, or
            no such split.
    """
    check_protocol(benchmark.name, protocol)
    if len(parts.classes) > benchmark.classes:
        raise DataError(
            f"{benchmark.name} has {benchmark.classes} classes, the folder "
            f"{len(parts.classes)}: data.dataset=folder reads any class folders"
        )
    notes = (*_partial(benchmark, parts), *parts.notes)
    if protocol == "full":
        if split:
            raise DataError(f"the full protocol has one split: data.split is 0, not {split}")
        note = (
            f"{_many(parts.test, 'query', 'queries')}, "
            f"{_many(parts.train, 'training image')} that are also the database"
        )
        return Dataset(
            benchmark.name,
            parts.train,
            parts.test,
            parts.train,
            protocol,
            notes=(note, *notes),
            classes=parts.classes,
        )
    if protocol.startswith("unseen"):
        return _unseen(benchmark, parts, protocol, split, notes)
    images = joined(parts.train, parts.test)
    queries, trained = _DRAWN_QUERIES // benchmark.classes, _DRAWN_TRAIN // benchmark.classes
    place = _shuffled_places(images, parts.classes, queries + trained + 1, split)
    query = images.subset(place < queries)
    train = images.subset((place >= queries) & (place < queries + trained))
    database = images.subset(place >= queries + trained)
    note = (
        f"{_many(query, 'query', 'queries')} ({queries} a class), "
        f"{_many(train, 'training image')} ({trained} a class), a database of {len(database):,} "
        f"others, drawn from {len(images):,} images (draw {split})"
    )
    return Dataset(
        benchmark.name,
        train,
        query,
        database,
        protocol,
        notes=(note, *notes),
        classes=parts.classes,
    )


def _unseen(
    benchmark: Benchmark, parts: Parts, protocol: str, split: int, notes: tuple[str, ...]
) -> Dataset:
    """Train on three quarters of the classes and search for the others; see `divide`."""
    classes = len(parts.classes)
    seen = round(_SEEN * classes)
    if seen < 2 or classes - seen < 2:
        raise DataError(
            f"{benchmark.name} has {classes} classes here: the {protocol} protocol needs 6 or "
            "more, to train on some and search for two others at least"
        )
    drawn = np.sort(np.random.default_rng(split).permutation(classes)[:seen])
    of_train, of_test = (np.isin(part.labels, drawn) for part in (parts.train, parts.test))
    train, query = parts.train.subset(of_train), parts.test.subset(~of_test)
    database = parts.train if protocol == "unseen-all" else parts.train.subset(~of_train)
    others = [name for number, name in enumerate(parts.classes) if number not in drawn]
    note = (
        f"trained on {_many(train, 'image')} of {seen} classes; "
        f"{_many(query, 'query', 'queries')} of the {classes - seen} others in a database of "
        f"{_many(database, 'image')} {'of all classes' if database is parts.train else 'of theirs'}"
        f" (draw {split}: {', '.join(others[:5])}{', …' if len(others) > 5 else ''})"
    )
    return Dataset(
        benchmark.name,
        train,
        query,
        database,
        protocol,
        notes=(note, *notes),
        classes=parts.classes,
    )


def _shuffled_places(
    images: ImageSet, classes: tuple[str, ...], needed: int, split: int
) -> NDArray[np.int64]:
    """Return each image's place [n] in its shuffled class; DataError if a class is too small."""
    random = np.random.default_rng(split)
    place = np.empty(len(images), np.int64)
    short: dict[str, int] = {}
    for label, name in enumerate(classes):
        rows = np.flatnonzero(images.labels == label)
        place[rows] = random.permutation(len(rows))
        if len(rows) < needed:
            short[name] = len(rows)
    if short:
        some = ", ".join(f"{name} has {n:,}" for name, n in list(short.items())[:3])
        raise DataError(
            f"the 5k protocol needs {needed} images of each class, train and test together; "
            f"{some}{', …' if len(short) > 3 else ''}: get the whole data set, or use "
            "data.protocol=full"
        )
    return place


def _partial(benchmark: Benchmark, parts: Parts) -> list[str]:
    """Return a note that counts the images found if they differ from the published data set."""
    there = (len(parts.classes), len(parts.train), len(parts.test))
    published = (benchmark.classes, benchmark.train, benchmark.test)
    if there == published:
        return []
    words = ("classes", "training images", "test images")
    of = (f"{n:,} of {m:,} {w}" for n, m, w in zip(there, published, words, strict=True))
    return [f"not the published data set, but {', '.join(of)}"]


def _many(images: ImageSet, noun: str, plural: str = "") -> str:
    return counted(len(images), noun, plural)
