"""Images in one folder per class, as several readers find them."""

from dataclasses import dataclass
from pathlib import Path

from reid_hash.data.dataset import ImageSet
from reid_hash.data.images import SUFFIXES
from reid_hash.data.listing import (
    counted,
    file_names,
    file_set,
    folder_names,
    not_fitting,
    packed_hint,
)
from reid_hash.errors import DataError


@dataclass(frozen=True, eq=False)
class Parts:
    """A data set as published: a training and a test part, before any protocol.

    Attributes:
        train: training images.
        test: test images.
        classes: class names, in the order of the labels.
        notes: what a reader of the figures must know.
    """

    train: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def has_parts(root: Path) -> bool:
    """Check whether `train/` and `test/` exist.

    Raises:
        DataError: only one of them exists.
    """
    train, test = (root / part for part in ("train", "test"))
    if train.is_dir() != test.is_dir():
        there, lacking = (train, test) if train.is_dir() else (test, train)
        raise DataError(
            f"{there} is there but {lacking} is not; give both, or the class folders alone"
        )
    return train.is_dir()


def read_parts(root: Path) -> Parts:
    """Read `train/CLASS/*` and `test/CLASS/*`.

    Labels number the classes of both parts in alphabetical order. Images are not opened.

    Raises:
        DataError: a part has fewer than two class folders, or no image.
    """
    known, asked = class_names(root / "train", root), class_names(root / "test", root)
    classes = sorted({*known, *asked})
    train, notes = class_images(root, "train/", classes, known)
    test, more = class_images(root, "test/", classes, asked)
    lost = sorted(set(asked) - set(known))
    if lost:
        many = counted(len(lost), "class", "classes")
        notes.append(f"{many} in test/ alone, nothing to be found: {_first(lost)}")
    return Parts(train, test, tuple(classes), (*notes, *more))


def class_names(folder: Path, root: Path) -> list[str]:
    """List the names of the class folders in a folder, sorted.

    Args:
        folder: folder to search.
        root: data root, which may hold an archive that is not unpacked yet.

    Raises:
        DataError: there are fewer than two class folders.
    """
    classes = folder_names(folder)
    if len(classes) > 1:
        return classes
    hint = packed_hint((root, root.parent)) if not classes else ""
    reason = f"has the class {classes[0]} alone" if classes else "has no class folders"
    raise DataError(f"{folder} {reason}{hint or '; give each class, two or more, its own folder'}")


def class_images(
    root: Path, part: str, classes: list[str], folders: list[str]
) -> tuple[ImageSet, list[str]]:
    """Collect the images of some class folders, with notes on files that are not images.

    Args:
        root: folder that image names are relative to.
        part: "train/", "test/" or "".
        classes: all classes; an image's label is the index of its class.
        folders: the classes to read.

    Raises:
        DataError: there is no image in these folders.
    """
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


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
