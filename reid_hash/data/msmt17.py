"""MSMT17 (Wei et al., CVPR 2018) as distributed: lists, and folders of identities.

The lists `list_train.txt`, `list_val.txt`, `list_query.txt` and `list_gallery.txt` have lines like
`0000/0000_000_01_0303morning_0008_0.jpg 0`: a path below the image folder, and an identity. The
third part of a file name is the camera. Version 1 has its images in `train/` and `test/`; version
2, with masked faces, has them in `mask_train_v2/` and `mask_test_v2/`. Figures of the two differ,
so the protocol names the version. Training and test identities both count from 0.
"""

import re
from pathlib import Path

import numpy as np

from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.data.listing import (
    counted,
    file_set,
    list_lines,
    listed_path,
    packed_hint,
    require_folder,
    without_match_note,
)
from reid_hash.errors import DataError

FOLDERS = ("", "msmt17", "MSMT17", "MSMT17_V1", "MSMT17_V2")
"""Folders below the data root that may contain the lists, and folders below these."""

LISTS = {"train": "train", "val": "train", "query": "test", "gallery": "test"}
"""Each list, and the part whose folder contains its images."""

_PARTS = {
    1: {"train": "train", "test": "test"},
    2: {"train": "mask_train_v2", "test": "mask_test_v2"},
}
_TRAINED = 1_000_000  # added to training identities, since both parts count from 0
_LINE = re.compile(r"(.+\S)\s+(\d+)")
_NAME = re.compile(r"\d+_\d+_(\d+)_.*")


def msmt17(root: Path, split: int = 0) -> Dataset:
    """Read MSMT17. The images of `list_val.txt` are trained on too, as usual.

    Args:
        root: the folder with the lists, or one above it.
        split: must be 0, as there is one split.

    Returns:
        The data set, with protocol "standard-v1" or "standard-v2".

    Raises:
        DataError: lists or images are missing, a line has another layout, or no such split.
    """
    require_folder(root)
    if split:
        raise DataError(f"the lists of msmt17 are one split: data.split is 0, not {split}")
    folder = _find(root)
    lists = {
        name: _read(folder / f"list_{name}.txt")
        for name in LISTS
        if name not in ("train", "val") or (folder / f"list_{name}.txt").is_file()
    }
    version = _version(folder, lists)
    images = {name: _images(folder, version, LISTS[name], rows) for name, rows in lists.items()}
    query, gallery = images["query"], images["gallery"]
    trained = [row for name in ("train", "val") for row in lists.get(name, [])]
    notes = [f"version {version}" + (", in which faces are masked" if version == 2 else "")]
    if trained:
        train = _images(folder, version, "train", trained, _TRAINED)
    else:
        train = query.subset(np.zeros(len(query), np.bool_))
        notes.append("no list_train.txt: nothing to train on")
    notes.append(f"{counted(len(query), 'query', 'queries')}, {len(gallery):,} gallery images")
    notes += without_match_note(query, gallery)
    protocol = f"standard-v{version}"
    return Dataset("msmt17", train, query, gallery, protocol, "market", False, tuple(notes))


def _find(root: Path) -> Path:
    places = [root / first / second for first in FOLDERS for second in FOLDERS]
    for place in places:
        if (place / "list_query.txt").is_file():
            return place
    raise DataError(
        f"no list_query.txt of MSMT17 in {root}"
        + (packed_hint(places, "msmt17") or "; name the folder that holds it with --data DIR")
    )


def _read(path: Path) -> list[tuple[str, int, int]]:
    """Read (path, identity, camera) from each line of a list."""
    if not path.is_file():
        raise DataError(f"{path.parent} lacks {path.name}; extract the data set again, whole")
    rows = []
    for number, line in enumerate(list_lines(path), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        name = listed_path(found[1]) if found else ""
        camera = _NAME.fullmatch(name.rsplit("/", 1)[-1])
        if found is None or camera is None:
            raise DataError(
                f"{path}, line {number} is not like 0000/0000_000_01_0303morning_0008_0.jpg 0"
            )
        rows.append((name, int(found[2]), int(camera[1])))
    if not rows:
        raise DataError(f"{path} lists no image; extract it again")
    return rows


def _version(folder: Path, lists: dict[str, list[tuple[str, int, int]]]) -> int:
    """Find out the version from the lists' paths, else from the folders with the images."""
    for part, names in ((LISTS[name], rows) for name, rows in lists.items()):
        for version, folders in _PARTS.items():
            if names[0][0].startswith(f"{folders[part]}/"):
                return version
    for name in lists:
        for version, folders in _PARTS.items():
            if any((folder / folders[LISTS[name]] / row[0]).is_file() for row in lists[name][:20]):
                return version
    raise DataError(
        f"{folder} has the lists but none of their images in train/ and test/, or "
        "mask_train_v2/ and mask_test_v2/; extract the data set again, whole"
    )


def _images(
    folder: Path, version: int, part: str, rows: list[tuple[str, int, int]], first: int = 0
) -> ImageSet:
    below = _PARTS[version][part] + "/"
    names = [name if name.startswith(below) else below + name for name, _, _ in rows]
    return file_set(folder, names, [first + one for _, one, _ in rows], [c for _, _, c in rows])
