"""Class folders: `train/CLASS/*` and `test/CLASS/*`, or `CLASS/*` alone."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.images import SUFFIXES
from reid_hash.data.listing import (
    counted,
    file_names,
    file_set,
    folder_names,
    not_fitting,
    packed_hint,
    require_folder,
)
from reid_hash.data.types import Dataset, ImageSet
from reid_hash.errors import DataError

_TESTED = 10  # one image in ten


def folder(root: Path, split: int = 0, name: str = "folder") -> Dataset:
    """Read class folders.

    With `train/` and `test/`, the training images are also the gallery and the test images are
    the queries, as is usual in image retrieval (protocol "standard"). Without them, one image in
    ten of each class is drawn to be a query (protocol "held-out"); the draw depends on `split`
    alone, so that a model never meets its training images as queries under another seed.

    Labels number the classes in the order of their names; there are no cameras.

    Args:
        root: the folder; or the one above it, where it is called like the data set.
        split: number of the draw; 0 with `train/` and `test/`.
        name: of the data set.

    Raises:
        DataError: there are no class folders or no images in them, one class only, `train/`
            without `test/` or the reverse, or no such split.
    """
    require_folder(root)
    if (root / name).is_dir():
        root = root / name
    train, test = (root / part for part in ("train", "test"))
    if train.is_dir() != test.is_dir():
        there, lacking = (train, test) if train.is_dir() else (test, train)
        raise DataError(
            f"{there} is there but {lacking} is not; give both, or the class folders alone"
        )
    if train.is_dir():
        return _standard(root, split, name)
    classes = _classes(root, root)
    images, notes = _images(root, "", classes, classes)
    queries = _draw(images, split)
    if not queries.any():
        raise DataError(f"{root} has one image a class; queries need classes of two or more")
    notes.append(
        f"no train/ and test/: one image in ten of each class drawn as a query (draw {split})"
    )
    rest = images.subset(~queries)
    return Dataset(
        name, rest, images.subset(queries), rest, "held-out", "none", False, tuple(notes)
    )


def _standard(root: Path, split: int, name: str) -> Dataset:
    if split:
        raise DataError(f"{root} has train/ and test/, one split: data.split is 0, not {split}")
    known, asked = _classes(root / "train", root), _classes(root / "test", root)
    classes = sorted({*known, *asked})
    train, notes = _images(root, "train/", classes, known)
    query, more = _images(root, "test/", classes, asked)
    lost = sorted(set(asked) - set(known))
    if lost:
        many = counted(len(lost), "class", "classes")
        notes.append(f"{many} in test/ alone, nothing to be found: {_first(lost)}")
    return Dataset(name, train, query, train, "standard", "none", False, (*notes, *more))


def _classes(folder: Path, root: Path) -> list[str]:
    classes = folder_names(folder)
    if len(classes) > 1:
        return classes
    hint = packed_hint((root, root.parent)) if not classes else ""
    reason = f"has the class {classes[0]} alone" if classes else "has no class folders"
    raise DataError(f"{folder} {reason}{hint or '; give each class, two or more, its own folder'}")


def _images(
    root: Path, part: str, classes: list[str], folders: list[str]
) -> tuple[ImageSet, list[str]]:
    """The images of some class folders; `part` is "train/", "test/" or nothing."""
    names, labels, strange, empty = [], [], [], []
    number = {name: i for i, name in enumerate(classes)}
    for name in folders:
        found = file_names(root / part / name)
        images = [f for f in found if f.lower().endswith(SUFFIXES)]
        strange += [f"{part}{name}/{f}" for f in found if not f.lower().endswith(SUFFIXES)]
        names += [f"{part}{name}/{f}" for f in images]
        labels += [number[name]] * len(images)
        if not images:
            empty.append(f"{part}{name}")
    if not names:
        raise DataError(
            f"{root / part} has {counted(len(folders), 'class folder')} but no image in them; "
            "images lie right in the folder of their class"
        )
    notes = not_fitting(strange, f"an image ({', '.join(SUFFIXES)})")
    if empty:
        notes.append(f"{counted(len(empty), 'class', 'classes')} without an image: {_first(empty)}")
    return file_set(root, names, labels, [0] * len(names)), notes


def _draw(images: ImageSet, split: int) -> NDArray[np.bool_]:
    """A mask [n]: one image in ten of each class, at least one where there are two."""
    random = np.random.default_rng(split)
    drawn = np.zeros(len(images), bool)
    for label in np.unique(images.labels):
        rows = random.permutation(np.flatnonzero(images.labels == label))
        if len(rows) > 1:
            drawn[rows[: max(1, round(len(rows) / _TESTED))]] = True
    return drawn


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
