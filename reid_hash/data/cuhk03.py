"""CUHK03 (Li et al., DeepReID, CVPR 2014): 1,467 identities in five pairs of cameras.

Images come from the original `cuhk-03.mat` if present, which is complete and contains the published
splits; else from the extracted folders `images_labeled/` and `images_detected/` of other
re-identification toolkits, with names `{pair}_{person:03d}_{view}_{index:02d}.jpg` or `.png`.

An identity's label is camera pair · 10,000 + person. Its camera is the view, 1 or 2, as in other
toolkits: no identity is in two pairs, so the view alone tells which of its images come from the
other camera.
"""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from reid_hash.data.cuhk03_mat import CuhkMat, identity, person
from reid_hash.data.cuhk03_splits import new_protocol, test_identities
from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.data.listing import (
    counted,
    file_names,
    file_set,
    not_fitting,
    one_camera,
    packed_hint,
    require_folder,
    without_match_note,
)
from reid_hash.errors import ConfigError, DataError

PROTOCOLS = ("single-shot", "cross-camera", "new")
BOXES = ("labeled", "detected")
FOLDERS = ("", "cuhk03", "cuhk03_release", "cuhk03/cuhk03_release")
"""Folders below the data root that may contain the files."""

# identities, and images with either kind of boxes, of camera pairs 1 to 5, as published
_PERSONS = {1: 843, 2: 440, 3: 77, 4: 58, 5: 49}
_IMAGES = {
    "labeled": {1: 8177, 2: 4337, 3: 649, 4: 510, 5: 423},
    "detected": {1: 8177, 2: 4337, 3: 650, 4: 510, 5: 423},
}
_NAME = re.compile(r"([1-5])_(\d{3,4})_([12])_(\d{2})\.(?:jpg|jpeg|png)", re.IGNORECASE)


def cuhk03(
    root: Path, protocol: str = "single-shot", boxes: str = "labeled", split: int = 0
) -> Dataset:
    """Read CUHK03 under one of its protocols.

    - "single-shot" (Li et al. 2014): tests the 100 identities of one of 20 published splits and
      trains on all others. Gallery and query are all images of the tested identities. The
      evaluation draws one gallery image per identity and camera, and a query is compared only with
      the other camera. The split comes from `cuhk-03.mat`, else from
      `splits_classic_{boxes}.json` (torchreid's), else from `splits_pair{pair}.json`
      ({"train": [person, …], "test": [person, …]}).
    - "cross-camera": the identities of "single-shot", but every image from the first view is a
      query against all images from the second, as vendors of re-identification models report it.
    - "new" (Zhong et al., CVPR 2017): trains on 767 identities and tests 700 with fixed queries,
      from `cuhk03_new_protocol_config_{boxes}.mat`. Evaluated as Market-1501.

    A copy that lacks some camera pairs is read as it is; the notes count its contents.

    Args:
        root: the folder with the data, or its parent if it is called `cuhk03`.
        protocol: one of `PROTOCOLS`.
        boxes: "labeled" (drawn by people) or "detected".
        split: number of the single-shot split; 0 under the new protocol.

    Raises:
        ConfigError: the protocol or kind of boxes is unknown.
        DataError: the data is missing, partly extracted or damaged, or has no such split.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"cuhk03 has the protocols {', '.join(PROTOCOLS)}, not {protocol!r}")
    if boxes not in BOXES:
        raise ConfigError(f"cuhk03 has the boxes {', '.join(BOXES)}, not {boxes!r}")
    require_folder(root)
    path = _find(root, "cuhk-03.mat")
    mat = CuhkMat(path) if path else None
    images, notes = (mat.images(boxes), []) if mat else _extracted(root, boxes)
    if mat and not len(images):
        raise DataError(f"{mat.path} holds no {boxes} images; download it again")
    if protocol == "new":
        return _new(root, images, boxes, split, notes)
    dataset = _single_shot(root, images, boxes, split, mat, notes)
    return dataset if protocol == "single-shot" else _cross_camera(dataset)


def _find(root: Path, name: str) -> Path | None:
    places = (root / folder / name for folder in FOLDERS)
    return next((place for place in places if place.exists()), None)


def _extracted(root: Path, boxes: str) -> tuple[ImageSet, list[str]]:
    """Read an extracted folder's images, with notes on files whose names do not fit."""
    hint = packed_hint((root / folder for folder in FOLDERS), "cuhk03")
    folder = _find(root, f"images_{boxes}")
    if folder is None:
        other = next(b for b in BOXES if b != boxes)
        if _find(root, f"images_{other}"):
            raise DataError(f"{root} has images_{other}/ alone: set data.boxes={other}")
        raise DataError(
            f"no CUHK03 in {root}: neither cuhk-03.mat nor images_{boxes}/ is there"
            + (hint or "; name its folder with --data DIR")
        )
    crops, strange, doubled = {}, [], 0
    for name in file_names(folder):
        match = _NAME.fullmatch(name)
        if match is None:
            strange.append(name)
        elif Path(name).stem in crops:
            doubled += 1  # the same crop as .jpg and .png
        else:
            crops[Path(name).stem] = name, match
    notes = not_fitting(strange, "1_001_1_01.jpg")
    if doubled:
        notes.append(f"{counted(doubled, 'crop')} in two formats, read once")
    if not crops:
        raise DataError(
            f"{folder} holds no CUHK03 image"
            + (hint or "".join(f"; {n}" for n in notes) or "; extract it again")
        )
    images = file_set(
        folder.parent,
        [f"{folder.name}/{name}" for name, _ in crops.values()],
        [identity(int(m[1]), int(m[2])) for _, m in crops.values()],
        [int(m[3]) for _, m in crops.values()],
    )
    return images, notes


def _single_shot(
    root: Path, images: ImageSet, boxes: str, split: int, mat: CuhkMat | None, notes: list[str]
) -> Dataset:
    places = [root / folder for folder in FOLDERS]
    tested, trained, source = test_identities(places, boxes, split, mat)
    there = set(images.labels.tolist())
    trained = there - tested if trained is None else trained & there
    neither = there - tested - trained
    if neither:
        many = counted(len(neither), "identity", "identities")
        notes.append(f"{many} left out, in neither list of the split: {_persons(neither)}")
    train = _of(images, trained)
    test = _of(images, tested)
    notes = [
        f"{source}, {boxes} boxes",
        *_partial(images, boxes, train, test, (1367, 100)),
        *notes,
        *_one_camera_trained(train),
    ]
    lonely = set(one_camera(test))
    if lonely:
        notes.append(
            f"{counted(len(lonely), 'test identity', 'test identities')} left out, seen by one "
            f"camera only: {_persons(lonely)}"
        )
        test = _of(images, tested - lonely)
    if not len(test):
        why = f"; {notes[-1]}" if lonely else f" ({source})"
        raise DataError(f"no identity can be tested in {root}: the copy is incomplete{why}")
    return Dataset("cuhk03", train, test, test, "single-shot", "cuhk03", True, tuple(notes))


def _cross_camera(dataset: Dataset) -> Dataset:
    """Evaluate the same identities, first view against second, without a draw."""
    first, second = (dataset.query.subset(dataset.query.cameras == view) for view in (1, 2))
    return replace(dataset, query=first, gallery=second, protocol="cross-camera", single_shot=False)


def _new(root: Path, images: ImageSet, boxes: str, split: int, notes: list[str]) -> Dataset:
    if split:
        raise DataError(f"the new protocol has one split: data.split is 0, not {split}")
    path = _find(root, f"cuhk03_new_protocol_config_{boxes}.mat")
    if path is None:
        raise DataError(
            f"{root} lacks cuhk03_new_protocol_config_{boxes}.mat, the list of the 767/700 "
            "split; put it beside the images, or use data.protocol=single-shot"
        )
    row = {Path(name).stem: i for i, name in enumerate(images.names)}
    train, query, gallery = (
        images.subset(np.array([row[name] for name in names if name in row], np.int64))
        for names in new_protocol(path)
    )
    if not len(query) or not len(gallery):
        raise DataError(f"no query or no gallery image of {path.name} is in {root}; extract again")
    notes = [
        f"published 767/700 split, {boxes} boxes",
        *_partial(images, boxes, train, query, (767, 700)),
        *notes,
        *_one_camera_trained(train),
        *without_match_note(query, gallery),
    ]
    return Dataset("cuhk03", train, query, gallery, "new", "market", False, tuple(notes))


def _of(images: ImageSet, identities: set[int]) -> ImageSet:
    return images.subset(np.isin(images.labels, sorted(identities)))


def _partial(
    images: ImageSet, boxes: str, train: ImageSet, test: ImageSet, published: tuple[int, int]
) -> list[str]:
    """Return a note that counts a copy's contents if it is not all of CUHK03."""
    there = Counter((images.labels // identity(1, 0)).tolist())
    lacking = {pair: _IMAGES[boxes][pair] - n for pair, n in there.items() if pair in _PERSONS}
    short = [f"{n:,} of pair {pair}" for pair, n in sorted(lacking.items()) if n > 0]
    if len(there) >= len(_PERSONS) and not short:
        return []
    pairs = sorted(there)
    which = ""
    if len(pairs) == 1:
        which = f", camera pair {pairs[0]} alone"
    elif len(pairs) < len(_PERSONS):
        which = f", camera pairs {', '.join(map(str, pairs))}"
    trained, tested = (len(set(s.labels.tolist())) for s in (train, test))
    return [
        f"partial copy{which}: {trained:,} of {published[0]:,} training identities, {tested:,} of "
        f"{published[1]:,} test identities, {len(images):,} of "
        f"{sum(_IMAGES[boxes].values()):,} images"
        + (f"; images missing: {', '.join(short)}" if short else "")
    ]


def _one_camera_trained(train: ImageSet) -> list[str]:
    lonely = one_camera(train)
    if not lonely:
        return []
    many = counted(len(lonely), "training identity", "training identities")
    return [f"{many} seen by one camera only"]


def _persons(labels: set[int]) -> str:
    """List the first three identities, as image names call them."""
    first = ["{}_{:03d}".format(*person(label)) for label in sorted(labels)[:3]]
    return ", ".join(first) + (", …" if len(labels) > 3 else "")
