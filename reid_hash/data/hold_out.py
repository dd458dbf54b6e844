"""Testing on training identities, so that the test identities choose nothing."""

import dataclasses

import numpy as np

from reid_hash.data.types import Dataset
from reid_hash.errors import ConfigError


def hold_out(dataset: Dataset, identities: int, seed: int = 0) -> Dataset:
    """Take identities out of the training set and make them query and gallery.

    Args:
        dataset: the data set; its own query and gallery are not touched nor used.
        identities: how many are held out.
        seed: of the draw.

    Returns:
        A data set whose query and gallery are all images of the held-out identities; camera rule
        and single-shot as in the given one.

    Raises:
        ConfigError: fewer than 2 identities would be left to train on.
    """
    known = np.unique(dataset.train.labels)
    if identities > len(known) - 2:
        raise ConfigError(
            f"data.hold_out={identities} leaves too few of {len(known)} training identities"
        )
    drawn = np.random.default_rng(seed).choice(known, identities, replace=False)
    out = np.isin(dataset.train.labels, drawn)
    test = dataset.train.subset(out)
    note = (
        f"{identities} of {len(known)} training identities held out (seed {seed}) and evaluated "
        "in place of the test set"
    )
    return dataclasses.replace(
        dataset,
        train=dataset.train.subset(~out),
        query=test,
        gallery=test,
        protocol=f"{dataset.protocol}, held out",
        notes=(*dataset.notes, note),
    )
