"""Data sets in the naming of Market-1501 (Zheng et al., ICCV 2015).

The folders are `bounding_box_train/`, `query/` and `bounding_box_test/` (the gallery). File names
begin with identity and camera: `0002_c1s1_000451_03.jpg`, or as in MARS `0001C1T0001F001.jpg`.
DukeMTMC-reID, CUHK03-NP and others are distributed in this form. Many programs keep the same images
in one folder per identity, `pytorch/train/0002/0002_c1s1_000451_03.jpg`, below `train_all/` (or
`train/` and `val/`), `query/` and `gallery/`. These are read if the three folders are missing.

Identity −1 is junk, a bad detection, and left out, since the evaluation ignores it. Identity 0 is a
distractor, someone or something else. It stays in the gallery, where it is never a match, since no
query has this identity.
"""

import re
from pathlib import Path

import numpy as np

from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.data.listing import (
    counted,
    file_names,
    file_set,
    folder_names,
    not_fitting,
    one_camera,
    packed_hint,
    require_folder,
    without_match_note,
)
from reid_hash.errors import ConfigError, DataError

PROTOCOLS = ("standard", "held-out", "train-only")
TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
FOLDERS = ("", "market1501", "Market-1501-v15.09.15", "market1501/Market-1501-v15.09.15")
"""Folders below the data root that may contain the three folders."""

_IDENTITY = re.compile(r"-1|\d+")
_JUNK, _DISTRACTOR = -1, 0
_NAME = re.compile(
    r"(?:(-1|\d+)_c(\d+)|(0*-1|\d{4,})C(\d+)T\d+F\d+).*\.(?:jpg|jpeg|jfif|png|bmp|webp)",
    re.IGNORECASE,
)
_BY_IDENTITY = {TRAIN: ("train_all", "train", "val"), QUERY: ("query",), GALLERY: ("gallery",)}
_HELD_OUT = 100  # identities, or a fifth of all if that is less


def market1501(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read a data set in Market-1501's naming.

    - "standard": query and gallery as published; a query ignores images of its own identity from
      its own camera.
    - "held-out", for a set without query and gallery: tests 100 training identities, or a fifth of
      them if that is less, and does not train on them. They are drawn at random among those seen
      by two cameras. The draw depends on `split` alone, so a model trained with another seed never
      meets its training identities in a test. Evaluated like CUHK03's single-shot protocol, all
      tested images against all.
    - "train-only": all training images, no query and no gallery.

    Args:
        root: the folder with the three folders, or its parent if it is called `market1501`.
        protocol: one of the three. Default: "standard" if there are queries, else "held-out".
        split: number of the draw of "held-out"; 0 under the other protocols.

    Raises:
        ConfigError: the protocol is unknown.
        DataError: the data is missing or partly extracted, or has no such split.
    """
    if protocol not in (None, *PROTOCOLS):
        raise ConfigError(f"market1501 has the protocols {', '.join(PROTOCOLS)}, not {protocol!r}")
    require_folder(root)
    folder = _find(root)
    if protocol is None:
        tested = _is_there(folder, QUERY) or _is_there(folder, GALLERY)
        protocol = "standard" if tested else "held-out"
    if split and protocol != "held-out":
        raise DataError(f"the {protocol} protocol has one split: data.split is 0, not {split}")
    if protocol == "standard":
        return _standard(folder)
    train, notes = _images(folder, TRAIN)
    if protocol == "held-out":
        return _held_out(folder, train, split, notes)
    none = train.subset(np.zeros(len(train), bool))
    notes.append("all identities are for training: there is no query and no gallery")
    return Dataset("market1501", train, none, none, "train-only", "market", False, tuple(notes))


def _find(root: Path) -> Path:
    for name in FOLDERS:
        by_identity = any(_by_identity(root / name, part) for part in _BY_IDENTITY)
        flat = any((root / name / part).is_dir() for part in (TRAIN, QUERY, GALLERY))
        if flat and not by_identity:
            return root / name
    for name in FOLDERS:
        for place in (root / name / "pytorch", root / name):
            if any(_by_identity(place, part) for part in _BY_IDENTITY):
                return place
    hint = packed_hint((root / name for name in FOLDERS), "market")
    below = [name for name in folder_names(root) if (root / name / TRAIN).is_dir()]
    if below:
        hint = f"; {root / below[0]} has one: name it with --data"
    raise DataError(
        f"no {TRAIN}/, {QUERY}/ or {GALLERY}/ in {root}"
        + (hint or "; name the folder that holds them with --data DIR")
    )


def _images(folder: Path, part: str, may_be_empty: bool = False) -> tuple[ImageSet, list[str]]:
    """Read a folder's images without junk, with notes on what is left out."""
    if not _is_there(folder, part):
        other = "" if part == TRAIN else ", or use data.protocol=held-out to test without it"
        raise DataError(f"{folder} lacks {part}/; extract the data set again, whole{other}")
    names = _names(folder, part)
    matches = {name: match for name in names if (match := _NAME.fullmatch(name.split("/")[-1]))}
    others = [name.split("/")[-1] for name in names if name not in matches]
    strange = not_fitting(others, "0002_c1s1_000451_03.jpg")
    notes = [f"{part}/: {note}" for note in strange]
    if not matches and may_be_empty:
        notes.append(f"{part}/ holds no image in Market-1501's naming: nothing to train on")
    elif not matches:
        hint = packed_hint((folder, folder.parent))
        raise DataError(
            f"{folder / part} holds no image in Market-1501's naming"
            + (hint or "".join(f"; {n}" for n in strange) or "; extract the data set again")
        )
    pairs = {
        name: (_identity(match[1] or match[3]), int(match[2] or match[4]))
        for name, match in matches.items()
    }
    kept = {name: pair for name, pair in pairs.items() if pair[0] != _JUNK}
    if len(kept) < len(matches):
        junk = counted(len(matches) - len(kept), "junk image")
        notes.append(f"{part}/: {junk} left out (identity −1)")
    images = file_set(
        folder,
        list(kept),
        [identity for identity, _ in kept.values()],
        [camera for _, camera in kept.values()],
    )
    return _without_distractors(images, part, notes) if part != GALLERY else images, notes


def _identity(text: str) -> int:
    return _JUNK if text.endswith("-1") else int(text)  # junk in MARS is 00-1


def _by_identity(folder: Path, part: str) -> list[str]:
    """List a part's folders if it has one folder per identity; else none."""
    there = []
    for name in _BY_IDENTITY[part]:
        below = folder_names(folder / name) if (folder / name).is_dir() else []
        if any(_IDENTITY.fullmatch(one) for one in below):
            there.append(name)
    return there[:1] if "train_all" in there else there


def _is_there(folder: Path, part: str) -> bool:
    return (folder / part).is_dir() or bool(_by_identity(folder, part))


def _names(folder: Path, part: str) -> list[str]:
    """List the paths of a part's files below `folder`."""
    folders = _by_identity(folder, part)
    if not folders:
        return [f"{part}/{name}" for name in file_names(folder / part)]
    return [
        f"{name}/{identity}/{file}"
        for name in folders
        for identity in folder_names(folder / name)
        for file in file_names(folder / name / identity)
    ]


def _without_distractors(images: ImageSet, part: str, notes: list[str]) -> ImageSet:
    """Leave out identity 0, which is many persons, and add a note about it."""
    distractors = images.labels == _DISTRACTOR
    if not distractors.any():
        return images
    many = counted(int(distractors.sum()), "distractor")
    notes.append(f"{part}/: {many} left out (identity 0)")
    return images.subset(~distractors)


def _standard(folder: Path) -> Dataset:
    query, notes = _images(folder, QUERY)
    gallery, gallery_notes = _images(folder, GALLERY)
    notes += gallery_notes
    if not len(query) or not len(gallery):
        raise DataError(f"{folder}: no query or no gallery image is left; {'; '.join(notes)}")
    distractors = int((gallery.labels == _DISTRACTOR).sum())
    if distractors:
        notes.append(f"{counted(distractors, 'distractor')} in the gallery (identity 0)")
    notes += without_match_note(query, gallery)
    if _is_there(folder, TRAIN):
        train, train_notes = _images(folder, TRAIN, may_be_empty=True)
        notes += train_notes
        both = set(train.labels.tolist()) & set(query.labels.tolist())
        if both:
            many = counted(len(both), "query identity is", "query identities are")
            notes.append(f"{many} among the training identities")
    else:
        train = query.subset(np.zeros(len(query), bool))
        notes.append(f"no {TRAIN}/: nothing to train on")
    return Dataset("market1501", train, query, gallery, "standard", "market", False, tuple(notes))


def _held_out(folder: Path, images: ImageSet, split: int, notes: list[str]) -> Dataset:
    identities = np.unique(images.labels)
    matchable = np.setdiff1d(identities, one_camera(images))
    wanted = min(_HELD_OUT, max(2, len(identities) // 5))
    if len(matchable) < wanted or len(identities) - wanted < 2:
        raise DataError(
            f"{folder / TRAIN}: of {counted(len(identities), 'identity', 'identities')} "
            f"{len(matchable)} were seen by two cameras, too few to hold some out for a test; "
            "use data.protocol=train-only"
        )
    drawn = np.random.default_rng(split).permutation(matchable)[:wanted]
    tested = np.isin(images.labels, drawn)
    train, test = images.subset(~tested), images.subset(tested)
    notes.append(
        f"no published test: {wanted} of {len(identities):,} identities held out of {TRAIN}/ "
        f"(draw {split}), {len(test):,} images, all against all"
    )
    return Dataset("market1501", train, test, test, "held-out", "cuhk03", True, tuple(notes))
