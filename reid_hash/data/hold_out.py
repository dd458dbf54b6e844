"""Validation on held-out training images, so that nothing is chosen by the test images."""

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.errors import ConfigError

_LEFT = 2  # training images a class keeps: fewer make no pair


def hold_out(
    dataset: Dataset, number: int, seed: int = 0, which: Literal["drawn", "last"] = "drawn"
) -> Dataset:
    """Take identities or images out of the training set and evaluate on them.

    In re-identification (the data set has a camera rule), identities are held out, and all their
    images are query and gallery. In image retrieval (no camera rule), where queries are of trained
    classes, images are held out as queries, equally many per class as far as possible; images
    with several labels are drawn uniformly. The rest is trained on and is also the gallery.

    Args:
        dataset: the data set; its own query and gallery are neither used nor changed.
        number: number of identities or images to hold out.
        seed: seed of the draw.
        which: "drawn" at random, or the "last" identities, with the highest labels. The test
            identities of CUHK03's camera pair 1 follow its training identities, so the last of
            these are nearest to them.

    Returns:
        A data set with other train, query and gallery, and the given one's camera rule and
        single-shot setting.

    Raises:
        ConfigError: too few would be left to train on (under 2 identities, or 2 images of a
            class), or the last images of a benchmark are requested, which are in no order.
    """
    if dataset.by_class:
        if which == "last":
            raise ConfigError("data.held_out=last is for identities; images of classes are drawn")
        return _images(dataset, number, seed)
    known = np.unique(dataset.train.labels)
    if number > len(known) - 2:
        raise ConfigError(
            f"data.hold_out={number} leaves too few of {len(known)} training identities"
        )
    if which == "last":
        chosen, how = known[len(known) - number :], "the last ones"
    else:
        chosen = np.random.default_rng(seed).choice(known, number, replace=False)
        how = f"seed {seed}"
    out = np.isin(dataset.train.labels, chosen)
    test = dataset.train.subset(out)
    note = (
        f"{number} of {len(known)} training identities held out ({how}) and evaluated "
        "in place of the test set"
    )
    return _replaced(dataset, dataset.train.subset(~out), test, test, "training identities", note)


def _images(dataset: Dataset, number: int, seed: int) -> Dataset:
    order = _draw_order(dataset.train, seed)
    if not 0 < number <= len(order):
        raise ConfigError(
            f"data.hold_out={number} leaves too few of {len(dataset.train):,} training images; "
            f"choose 1 to {len(order):,}"
        )
    out = np.zeros(len(dataset.train), bool)
    out[order[:number]] = True
    rest = dataset.train.subset(~out)
    note = (
        f"{number:,} of {len(dataset.train):,} training images held out (seed {seed}) and "
        f"evaluated in place of the test set; the other {len(rest):,} are also the database"
    )
    return _replaced(dataset, rest, dataset.train.subset(out), rest, "training images", note)


def _draw_order(images: ImageSet, seed: int) -> NDArray[np.int64]:
    """List the rows that may be held out in drawing order: the classes take turns."""
    random = np.random.default_rng(seed)
    if images.labels.ndim == 2:
        return random.permutation(len(images))[_LEFT:]
    rows, turns = [], []
    for label in np.unique(images.labels):
        members = random.permutation(np.flatnonzero(images.labels == label))[_LEFT:]
        rows.append(members)
        turns.append(np.arange(len(members)))
    flat, turn = np.concatenate(rows), np.concatenate(turns)
    return flat[np.lexsort((random.random(len(flat)), turn))]


def _replaced(
    dataset: Dataset, train: ImageSet, query: ImageSet, gallery: ImageSet, tested: str, note: str
) -> Dataset:
    return dataclasses.replace(
        dataset,
        train=train,
        query=query,
        gallery=gallery,
        protocol=f"{dataset.protocol} on {tested}",
        notes=(*dataset.notes, note),
    )
