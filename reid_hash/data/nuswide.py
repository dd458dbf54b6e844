"""NUS-WIDE (Chua et al. 2009) with its most frequent concepts: images with several labels each.

It is read from the lists of public deep-hashing benchmarks (HashNet, DeepHash-pytorch):
`train.txt`, `test.txt` and `database.txt`. A line has an image's path below the image folder,
followed by 0 or 1 for each concept:

    images/0001_2124494179.jpg 0 0 1 0 0 1 0 …

The lists are in the data root or in one of the folders `FOLDERS` below it. The images are in the
same folder or in another of these folders.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.data.images import SUFFIXES, read_image
from reid_hash.data.listing import counted, list_lines, listed_path, packed_hint, require_folder
from reid_hash.errors import DataError

FOLDERS = ("nuswide", "nus_wide", "nuswide_21", "nus_wide_m", "NUS-WIDE", "")
"""Folders below the data root that may contain the lists and the images."""

_WITH_SUFFIX = re.compile(
    rf"\s*(.*(?:{'|'.join(re.escape(suffix) for suffix in SUFFIXES)}))(\s.*)", re.IGNORECASE
)
LISTS = ("train.txt", "test.txt", "database.txt")
# The usual protocol of 21 concepts: 500 and 100 images per concept, all others in the database.
_PUBLISHED = (10_500, 2_100, 21)

Listed = tuple[list[str], NDArray[np.bool_]]
"""Paths [n] and labels [n, concepts] of a list."""


def nuswide(root: Path, split: int = 0) -> Dataset:
    """Read NUS-WIDE, divided by its three lists.

    The images of `test.txt` are the queries and those of `database.txt` the gallery. Those of
    `train.txt` are usually in the database too. Images are only opened when read; missing ones then
    count as unreadable.

    Args:
        root: the data root, or the folder with the lists.
        split: must be 0, as the lists are one split.

    Returns:
        The data set, with protocol "standard"; labels are [n, concepts] bool.

    Raises:
        DataError: a list or all images are missing, a line has another layout, or no such split.
    """
    require_folder(root)
    if split:
        raise DataError(f"the lists of nuswide are one split: data.split is 0, not {split}")
    folder = _find(root)
    lists = [_read(folder / name) for name in LISTS]
    widths = {labels.shape[1] for _, labels in lists}
    if len(widths) > 1:
        many = ", ".join(f"{labels.shape[1]}" for _, labels in lists)
        raise DataError(f"{folder}: {', '.join(LISTS)} have {many} labels a line, not the same")
    images = _image_folder(root, folder, lists)
    train, query, gallery = (_image_set(images, *listed) for listed in lists)
    concepts = widths.pop()
    return Dataset(
        "nuswide",
        train,
        query,
        gallery,
        "standard",
        notes=tuple(_notes(lists, concepts)),
        classes=tuple(f"c{i}" for i in range(concepts)),
    )


def _find(root: Path) -> Path:
    for name in FOLDERS:
        lacking = [file for file in LISTS if not (root / name / file).is_file()]
        if not lacking:
            return root / name
        if len(lacking) < len(LISTS):
            raise DataError(
                f"{root / name} lacks {' and '.join(lacking)}; all of {', '.join(LISTS)} are needed"
            )
    hint = packed_hint([root / name for name in FOLDERS], "nus")
    raise DataError(
        f"no NUS-WIDE in {root}"
        + (hint or f": {', '.join(LISTS)} are looked for there and in {root / FOLDERS[0]}")
    )


def _read(path: Path) -> Listed:
    names: list[str] = []
    rows: list[str] = []
    for number, line in enumerate(list_lines(path), 1):
        if not line.strip():
            continue
        found = _WITH_SUFFIX.match(line)  # the path may contain spaces
        name, *marks = (found[1], *found[2].split()) if found else line.split()
        row = "".join(marks)
        if len(row) != len(marks) or row.strip("01"):
            wrong = next(mark for mark in marks if mark not in ("0", "1"))
            raise DataError(f"{path}, line {number}: labels are 0 or 1, not {wrong!r}")
        if len(row) < 2 or (rows and len(row) != len(rows[0])):
            expected = f"the lines before have {len(rows[0])}" if rows else "two or more are needed"
            raise DataError(
                f"{path}, line {number}: {counted(len(row), 'label')} after the path, {expected}"
            )
        names.append(listed_path(name))
        rows.append(row)
    if not names:
        raise DataError(f"{path} lists no image; copy it again")
    labels = np.frombuffer("".join(rows).encode(), np.uint8).reshape(len(rows), -1) == ord("1")
    return names, labels


def _image_folder(root: Path, folder: Path, lists: list[Listed]) -> Path:
    """Find the folder that the paths in the lists are relative to."""
    places = [folder, *(root / name for name in FOLDERS)]
    for names, _ in lists:  # usually the first path of the first list is found at once
        for place in places:
            if (place / names[0]).is_file():
                return place
    for names, _ in lists:
        if any((folder / name).is_file() for name in names):
            return folder
    first = lists[0][0][0]
    hint = packed_hint(places)
    raise DataError(
        f"{folder} has the lists but none of their images, such as {folder / first}"
        + (hint or "; put the images there")
    )


def _image_set(folder: Path, names: list[str], labels: NDArray[np.bool_]) -> ImageSet:
    return ImageSet(
        lambda i: read_image(folder / names[i]), names, labels, np.zeros(len(names), np.int64)
    )


def _notes(lists: list[Listed], concepts: int) -> list[str]:
    (train, _), (query, asked), (database, _) = lists
    both = len(set(train) & set(database))
    notes = [
        f"{counted(len(query), 'query', 'queries')}, {counted(len(train), 'training image')}, a "
        f"database of {len(database):,} with {both:,} of the training images, {concepts} labels"
    ]
    if (len(train), len(query), concepts) != _PUBLISHED:
        notes.append(
            "not the usual lists, which have 2,100 queries, 10,500 training images and 21 labels"
        )
    found = len(set(query) & set(database))
    if found:
        notes.append(f"{counted(found, 'query is', 'queries are')} in the database too")
    blank = int((~asked.any(1)).sum())
    if blank:
        notes.append(f"{counted(blank, 'query', 'queries')} without a label: nothing to be found")
    return notes
