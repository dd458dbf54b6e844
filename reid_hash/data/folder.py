"""Class folders: `train/CLASS/*` and `test/CLASS/*`, or `CLASS/*` alone."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.class_tree import class_images, class_names, has_parts, read_parts
from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.data.listing import require_folder
from reid_hash.errors import DataError

_TESTED = 10  # one image in ten


def folder(root: Path, split: int = 0, name: str = "folder") -> Dataset:
    """Read class folders.

    With `train/` and `test/`, the training images are also the gallery and the test images are
    the queries, as is usual in image retrieval (protocol "standard"). Without them, a tenth of the
    images of each class is drawn as queries (protocol "held-out"). The draw depends on `split`
    alone, so a model trained with another seed never meets its training images as queries.

    Labels number the classes in alphabetical order; there are no cameras.

    Args:
        root: the folder, or its parent if the folder has the data set's name.
        split: number of the draw; 0 with `train/` and `test/`.
        name: name of the data set.

    Raises:
        DataError: there are no class folders or no images in them, only one class, only one of
            `train/` and `test/`, or no such split.
    """
    require_folder(root)
    if (root / name).is_dir():
        root = root / name
    if has_parts(root):
        return _standard(root, split, name)
    classes = class_names(root, root)
    images, notes = class_images(root, "", classes, classes)
    queries = _draw(images, split)
    if not queries.any():
        raise DataError(f"{root} has one image a class; queries need classes of two or more")
    notes.append(
        f"no train/ and test/: one image in ten of each class drawn as a query (draw {split})"
    )
    rest = images.subset(~queries)
    return Dataset(
        name,
        rest,
        images.subset(queries),
        rest,
        "held-out",
        notes=tuple(notes),
        classes=tuple(classes),
    )


def _standard(root: Path, split: int, name: str) -> Dataset:
    if split:
        raise DataError(f"{root} has train/ and test/, one split: data.split is 0, not {split}")
    parts = read_parts(root)
    return Dataset(
        name,
        parts.train,
        parts.test,
        parts.train,
        "standard",
        notes=parts.notes,
        classes=parts.classes,
    )


def _draw(images: ImageSet, split: int) -> NDArray[np.bool_]:
    """Draw a mask [n]: a tenth of each class, at least one image if the class has two."""
    random = np.random.default_rng(split)
    drawn = np.zeros(len(images), bool)
    for label in np.unique(images.labels):
        rows = random.permutation(np.flatnonzero(images.labels == label))
        if len(rows) > 1:
            drawn[rows[: max(1, round(len(rows) / _TESTED))]] = True
    return drawn
