"""Data sets that test a random half of the identities: VIPeR, QMUL GRID, PRID2011 and i-LIDS.

Their figures are means over ten random halves. The identities of one half are trained on, those of
the other are tested, with one query and one gallery image each. Two protocols:

- "single-shot": trains and tests on one of the ten halves, number `split`.
- "single-shot-10": all ten tests, for networks not trained on the data set; figures are means with
  deviations.

A draw depends on its number alone. GRID's draws come from its file `features_and_partitions.mat` if
present.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.data.dataset import Dataset, ImageSet, Trial
from reid_hash.data.listing import (
    counted,
    file_names,
    file_set,
    not_fitting,
    packed_hint,
    require_folder,
)
from reid_hash.errors import ConfigError, DataError

ONE_HALF, TEN_HALVES = "single-shot", "single-shot-10"
HALVES = 10


class _Half(NamedTuple):
    """Rows of the training, query and gallery images."""

    train: NDArray[np.bool_]
    query: NDArray[np.bool_]
    gallery: NDArray[np.bool_]


def viper(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read VIPeR (Gray et al., PETS 2007): `cam_a/000_45.bmp`, and `cam_b/` likewise.

    Queries come from camera a, the gallery from camera b. Half of the 632 identities are tested.

    Args:
        root: the folder with `cam_a/` and `cam_b/`, or one above it.
        protocol: see the module docstring. Default: "single-shot".
        split: number of the half, 0 … 9; 0 under "single-shot-10".

    Raises:
        ConfigError: the protocol is unknown.
        DataError: the data is missing or partly extracted, or there is no such half.
    """
    folder = _find(root, ("", "viper", "VIPeR", "viper/VIPeR"), "cam_a", "viper")
    images, notes = _cameras(folder, ("cam_a", "cam_b"), r"(\d+)_\d+", "000_45.bmp")
    both = np.intersect1d(*(images.labels[images.cameras == camera] for camera in (1, 2)))
    known = np.isin(images.labels, both)

    def half(number: int) -> _Half:
        tested = np.isin(images.labels, _tested(both, number))
        a, b = images.cameras == 1, images.cameras == 2
        return _Half(known & ~tested, tested & a, tested & b)

    return _halved("viper", images, half, protocol, split, notes, "cuhk03")


def prid2011(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read PRID2011 (Hirzer et al., SCIA 2011): `single_shot/cam_a/person_0001.png`, and `cam_b/`.

    Persons 1 … 200 are in both cameras, and 100 of them are tested. Higher numbers are in one
    camera only, and mean a different person in each. Those in camera b stay in the gallery.

    Args:
        root: the folder with `single_shot/`, or one above it.
        protocol: see the module docstring. Default: "single-shot".
        split: number of the half, 0 … 9; 0 under "single-shot-10".

    Raises:
        ConfigError, DataError: as `viper`.
    """
    places = ("", "prid_2011", "prid2011", "prid2011/prid_2011", "prid")
    folder = _find(root, places, "single_shot", "prid")
    images, notes = _cameras(
        folder, ("single_shot/cam_a", "single_shot/cam_b"), r"person_(\d+)", "person_0001.png"
    )
    shared = images.labels <= 200
    of_both = np.intersect1d(
        *(images.labels[shared & (images.cameras == camera)] for camera in (1, 2))
    )
    strangers = ~np.isin(images.labels, of_both) & (images.cameras == 2)
    notes.append(f"{counted(int(strangers.sum()), 'person')} of camera b alone in the gallery")

    def half(number: int) -> _Half:
        tested = np.isin(images.labels, _tested(of_both, number))
        a, b = images.cameras == 1, images.cameras == 2
        train = np.isin(images.labels, of_both) & ~tested
        return _Half(train, tested & a, (tested & b) | strangers)

    return _halved("prid2011", images, half, protocol, split, notes, "cuhk03")


def grid(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read QMUL GRID (Loy et al., CVPR 2009): `probe/0001_1_25004_….jpeg`, and `gallery/`.

    Names begin with identity and camera. Identity 0 marks people whom no probe shows; they stay in
    the gallery. 125 of 250 identities are tested.

    Args:
        root: the folder with `probe/` and `gallery/`, or one above it.
        protocol: see the module docstring. Default: "single-shot".
        split: number of the half, 0 … 9; 0 under "single-shot-10".

    Raises:
        ConfigError, DataError: as `viper`.
    """
    places = ("", "underground_reid", "grid", "grid/underground_reid", "GRID")
    folder = _find(root, places, "probe", "underground")
    pattern, example = r"(\d+)_(\d+)_.*", "0001_1_25004_107_32_106_221.jpeg"
    images, notes = _cameras(folder, ("probe", "gallery"), pattern, example)
    probe = np.array([name.startswith("probe/") for name in images.names], np.bool_)
    identities = np.unique(images.labels[probe & (images.labels > 0)])
    strangers = ~probe & ~np.isin(images.labels, identities)
    notes.append(f"{counted(int(strangers.sum()), 'image')} of strangers in the gallery")
    published = folder / "features_and_partitions.mat"
    trained = _partitions(published) if published.is_file() else None
    if trained is None:
        notes.append(f"no {published.name} here: halves are drawn, not the published ones")

    def half(number: int) -> _Half:
        if trained is None:
            tested = np.isin(images.labels, _tested(identities, number))
        else:
            rest = np.setdiff1d(identities, trained[number])
            tested = np.isin(images.labels, rest)
        train = np.isin(images.labels, identities) & ~tested
        return _Half(train, tested & probe, (tested & ~probe) | strangers)

    return _halved("grid", images, half, protocol, split, notes, "none")


def ilids(root: Path, protocol: str | None = None, split: int = 0) -> Dataset:
    """Read i-LIDS (Zheng et al., BMVC 2009): `Persons/0001001.jpg`, identity and number.

    The cameras are unknown. For each of the 60 tested identities two images are drawn, a query and
    a gallery image.

    Args:
        root: the folder with `Persons/`, or one above it.
        protocol: see the module docstring. Default: "single-shot".
        split: number of the half, 0 … 9; 0 under "single-shot-10".

    Raises:
        ConfigError, DataError: as `viper`.
    """
    places = ("", "i-LIDS_Pedestrian", "ilids", "ilids/i-LIDS_Pedestrian", "i-LIDS")
    folder = _find(root, places, "Persons", "lids")
    images, notes = _cameras(folder, ("Persons",), r"(\d{4})\d{3}", "0001001.jpg")
    labels, counts = np.unique(images.labels, return_counts=True)
    several = labels[counts > 1]

    def half(number: int) -> _Half:
        tested = _tested(several, number)
        random = np.random.default_rng([number, 1])
        pairs = [
            random.permutation(np.flatnonzero(images.labels == label))[:2]
            for label in tested.tolist()
        ]
        query, gallery = (np.zeros(len(images), np.bool_) for _ in range(2))
        for asked, found in pairs:
            query[asked] = gallery[found] = True
        return _Half(~np.isin(images.labels, tested), query, gallery)

    return _halved("ilids", images, half, protocol, split, notes, "none")


READERS: dict[str, Callable[[Path, str | None, int], Dataset]] = {
    "viper": viper,
    "grid": grid,
    "prid2011": prid2011,
    "ilids": ilids,
}
"""The readers by data set name."""


def _find(root: Path, places: Sequence[str], part: str, word: str) -> Path:
    """Find the folder below the root that contains `part`, among some candidates."""
    require_folder(root)
    for place in places:
        if (root / place / part).is_dir():
            return root / place
    raise DataError(
        f"no {part}/ in {root}"
        + (
            packed_hint((root / place for place in places), word)
            or "; name the folder that holds it with --data DIR"
        )
    )


def _cameras(
    folder: Path, parts: Sequence[str], pattern: str, example: str
) -> tuple[ImageSet, list[str]]:
    """Read images of some folders; the folders are cameras 1, 2 … if names state no camera."""
    named = re.compile(rf"{pattern}\.(?:bmp|png|jpg|jpeg)", re.IGNORECASE)
    names, labels, cameras, notes = [], [], [], []
    for number, part in enumerate(parts, 1):
        if not (folder / part).is_dir():
            raise DataError(f"{folder} lacks {part}/; extract the data set again, whole")
        found = file_names(folder / part)
        matches = [match for name in found if (match := named.fullmatch(name))]
        strange = [name for name in found if not named.fullmatch(name)]
        notes += [f"{part}/: {note}" for note in not_fitting(strange, example)]
        if not matches:
            raise DataError(f"{folder / part} holds no image named like {example}")
        names += [f"{part}/{match[0]}" for match in matches]
        labels += [int(match[1]) for match in matches]
        cameras += [int(match[2]) if match.re.groups > 1 else number for match in matches]
    return file_set(folder, names, labels, cameras), notes


def _tested(identities: NDArray[Any], number: int) -> NDArray[Any]:
    """Select the identities to test: half of them, rounded up."""
    order: NDArray[Any] = np.random.default_rng(number).permutation(identities)
    return order[len(order) // 2 :]


def _halved(
    name: str,
    images: ImageSet,
    half: Callable[[int], _Half],
    protocol: str | None,
    split: int,
    notes: list[str],
    camera_rule: str,
) -> Dataset:
    if protocol not in (None, ONE_HALF, TEN_HALVES):
        raise ConfigError(f"{name} has the protocols {ONE_HALF}, {TEN_HALVES}, not {protocol!r}")
    if protocol == TEN_HALVES and split:
        raise DataError(f"{TEN_HALVES} evaluates all halves: data.split is 0, not {split}")
    if not 0 <= split < HALVES:
        raise DataError(f"{name} has the halves 0 to {HALVES - 1}: there is no data.split={split}")
    if protocol != TEN_HALVES:
        train, query, gallery = (images.subset(rows) for rows in half(split))
        notes = [*notes, f"half {split} of {HALVES} random ones, one image a person and view"]
        return Dataset(name, train, query, gallery, ONE_HALF, camera_rule, notes=tuple(notes))
    halves = [half(number) for number in range(HALVES)]
    names = np.array(images.names)
    trials = tuple(
        Trial(frozenset(names[one.query].tolist()), frozenset(names[one.gallery].tolist()))
        for one in halves
    )
    none = images.subset(np.zeros(len(images), np.bool_))
    query = images.subset(np.any([one.query for one in halves], axis=0))
    gallery = images.subset(np.any([one.gallery for one in halves], axis=0))
    many = counted(len(halves[0].query.nonzero()[0]), "query", "queries")
    notes = [
        *notes,
        f"{HALVES} random halves, each {many} against "
        f"{counted(int(halves[0].gallery.sum()), 'gallery image')}",
    ]
    return Dataset(
        name, none, query, gallery, TEN_HALVES, camera_rule, notes=tuple(notes), trials=trials
    )


def _partitions(path: Path) -> list[NDArray[np.int64]]:
    """Read the training identities of each of GRID's ten published partitions."""
    from scipy.io import loadmat

    try:
        found = [np.ravel(one[0][0][2]).astype(np.int64) for one in loadmat(path)["trainIdxAll"][0]]
    except Exception as error:  # SciPy has no common class for damaged files
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}); extract it again, or remove it"
        ) from error
    if len(found) < HALVES:
        raise DataError(f"{path} has {len(found)} partitions, not {HALVES}; extract it again")
    return found
