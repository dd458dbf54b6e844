"""Training on several data sets at once, with separate identities; the first is evaluated."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.dataset import Dataset, ImageSet, joined
from reid_hash.errors import ConfigError

SOURCE = 10**9
"""Offset added, n times, to labels and cameras of the n-th data set, counted from 0."""


def source_of(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the data set that each label or camera of a joined set comes from."""
    return numbers // SOURCE


def join(datasets: Sequence[Dataset]) -> Dataset:
    """Join the training images of several re-identification data sets.

    Args:
        datasets: at least one. The first keeps its query, gallery and protocol; the others
            contribute their training images only.

    Raises:
        ConfigError: a data set is labelled by class instead of identity.
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
