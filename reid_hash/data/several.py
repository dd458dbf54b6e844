"""Training on several data sets at once: identities kept apart, the first one is evaluated."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.dataset import Dataset, ImageSet, joined
from reid_hash.errors import ConfigError

SOURCE = 10**9
"""Labels of the n-th data set, counted from 0, have n · SOURCE added; so have its cameras."""


def source_of(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which data set, counted from 0, each label or camera of a joined training set is from."""
    return numbers // SOURCE


def join(datasets: Sequence[Dataset]) -> Dataset:
    """Join the training images of several data sets of persons.

    Args:
        datasets: at least one. The first is returned with its own query, gallery and protocol;
            of the others the training images are taken.

    Raises:
        ConfigError: one of them is labelled by class and not by identity.
    """
    first, *others = datasets
    if not others:
        return first
    for dataset in datasets:
        if dataset.by_class:
            raise ConfigError(f"{dataset.name} is labelled by class: only persons can be joined")
    train = first.train
    notes = list(first.notes)
    for number, dataset in enumerate(others, 1):
        own = dataset.train
        moved = ImageSet(
            own.read, own.names, own.labels + number * SOURCE, own.cameras + number * SOURCE
        )
        train = joined(train, moved)
        notes += [f"{dataset.name}: {note}" for note in dataset.notes]
    parts = ", ".join(
        f"{len(np.unique(dataset.train.labels)):,} identities of {dataset.name}"
        for dataset in datasets
    )
    notes.append(f"trained on {parts}; evaluated on {first.name}")
    return dataclasses.replace(
        first,
        name="+".join(dataset.name for dataset in datasets),
        train=train,
        notes=tuple(notes),
    )
