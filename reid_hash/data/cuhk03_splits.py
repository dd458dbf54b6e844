"""CUHK03's splits into identities, or images, for training and for testing."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from reid_hash.data.cuhk03_mat import CuhkMat, identity
from reid_hash.errors import DataError

_CROP = re.compile(r"(?:^|[/\\])(\d)_(\d+)_[12]_\d+\.\w+$")


def test_identities(
    places: Sequence[Path], boxes: str, split: int, mat: CuhkMat | None
) -> tuple[set[int], set[int] | None, str]:
    """Find a single-shot split.

    Args:
        places: folders that may contain a split file, in order of precedence.
        boxes: "labeled" or "detected".
        split: number of the split.
        mat: the original file, or None; it takes precedence.

    Returns:
        Identities to test, identities to train on (None: all others), and a name of the split.

    Raises:
        DataError: there is no split file, it has no such split, or it cannot be read.
    """
    if mat is not None:
        return mat.test_identities(split), None, f"published split {split} (of 0 to 19)"
    for place in places:
        path = place / f"splits_classic_{boxes}.json"
        if path.exists():
            return *_torchreid(path, split), f"split {split} of {path.name}"
        paths = sorted(place.glob("splits_pair[1-5].json"))
        if paths:
            names = " and ".join(p.name for p in paths)
            return *_of_pairs(paths, split), f"{names} (not one of the 20 published splits)"
    raise DataError(
        f"{places[0]} has images but no split: put cuhk-03.mat, splits_classic_{boxes}.json or "
        'splits_pair1.json ({"train": [1, …], "test": [744, …]}) beside them, or use '
        "data.protocol=new"
    )


def _torchreid(path: Path, split: int) -> tuple[set[int], set[int]]:
    """Read [{"train": [[image path, …], …], "query": …, …}, …]; paths name identities."""
    splits = _json(path)
    try:
        if split < len(splits):
            return _of_crops(splits[split]["query"]), _of_crops(splits[split]["train"])
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{path} is not in torchreid's layout: a list of splits, each with train and query "
            "lists of [image path, identity, camera]"
        ) from error
    raise DataError(
        f"{path} holds {len(splits)} splits; data.split is 0 to {len(splits) - 1}, not {split}"
    )


def _of_crops(rows: Iterable[Sequence[Any]]) -> set[int]:
    found = [_CROP.search(row[0]) for row in rows]
    if None in found:
        raise TypeError("an image path that names no crop")
    return {identity(int(m[1]), int(m[2])) for m in found if m}


def _of_pairs(paths: Iterable[Path], split: int) -> tuple[set[int], set[int]]:
    """Read one file per camera pair: {"train": [person, …], "test": [person, …]}."""
    tested: set[int] = set()
    trained: set[int] = set()
    for path in paths:
        if split:
            raise DataError(f"{path} holds one split: data.split is 0, not {split}")
        lists = _json(path)
        pair = int(path.stem[-1])
        try:
            tested |= {identity(pair, int(number)) for number in lists["test"]}
            trained |= {identity(pair, int(number)) for number in lists["train"]}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f'{path} is no split: {{"train": [1, …], "test": [744, …]}} is expected'
            ) from error
    both = tested & trained
    if both:
        raise DataError(
            f"{' and '.join(p.name for p in paths)}: {len(both)} identities are in train and in "
            "test; take them out of one of the lists"
        )
    return tested, trained


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); fetch it again") from error


def new_protocol(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Read `cuhk03_new_protocol_config_{boxes}.mat`.

    Returns:
        Names of the training, query and gallery crops, such as "1_001_1_01".

    Raises:
        DataError: the file is damaged, or another file.
    """
    try:
        content = scipy.io.loadmat(path)
        names = [Path(str(np.squeeze(cell))).stem for cell in content["filelist"].ravel()]
        train, query, gallery = (
            [names[i - 1] for i in content[field].ravel().astype(int)]
            for field in ("train_idx", "query_idx", "gallery_idx")
        )
    except Exception as error:  # SciPy raises nearly anything on damaged files
        raise DataError(
            f"{path} cannot be read as the list of the 767/700 split ({error!r}); fetch it again"
        ) from error
    return train, query, gallery
