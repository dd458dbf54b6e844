"""Describing data sets, and writing the built-in one to files."""

from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from reid_hash.data.dataset import ImageSet
from reid_hash.data.walkers import walkers
from reid_hash.data.walkers.video import write_video
from reid_hash.errors import ReidHashError
from reid_hash.utils.files import check_space, replacing
from reid_hash.utils.progress import counting

PARTS = ("bounding_box_train", "query", "bounding_box_test")
"""Folders of Market-1501's layout."""


def describe_set(images: ImageSet, by_class: bool) -> str:
    """How many images a set has, of how many classes, or identities and cameras."""
    if by_class:
        used = images.labels.any(0).sum() if images.labels.ndim == 2 else len(set(images.labels))
        return f"{len(images):6,} images of {used} classes"
    identities, cameras = len(np.unique(images.labels)), len(np.unique(images.cameras))
    return f"{len(images):6,} images, {identities:5,} identities, {cameras} cameras"


def write_walkers(folder: Path, seed: int, console: Console | None) -> list[Path]:
    """Write `walkers` as images in Market-1501's naming, and its two-camera video.

    The first image of each test identity and camera becomes a query, the others the gallery.

    Args:
        folder: where to write; the parts of Market-1501's layout are made in it.
        seed: of the figures.
        console: for progress.

    Returns:
        The folders and files written.
    """
    dataset = walkers(seed)
    keys = np.stack([dataset.query.labels, dataset.query.cameras], 1)
    first = np.zeros(len(keys), bool)
    first[np.unique(keys, axis=0, return_index=True)[1]] = True
    parts = zip(
        PARTS,
        (dataset.train, dataset.query.subset(first), dataset.query.subset(~first)),
        strict=True,
    )
    with counting(console, "drawing", len(dataset.train) + len(dataset.query)) as progress:
        for part, images in parts:
            for i in range(len(images)):
                name = f"{images.labels[i] + 1:04d}_c{images.cameras[i]}s1_{i:06d}_00.png"
                _write_image(folder / part / name, images.read(i))
                if progress is not None:
                    progress(1)
    filmed = write_video(folder / "video", seed)
    return [*(folder / part for part in PARTS), *(path for pair in filmed for path in pair)]


def _write_image(path: Path, image: np.ndarray) -> None:  # type: ignore[type-arg]
    with replacing(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
            check_space(path)  # OpenCV says nothing of the reason
            raise ReidHashError(f"cannot write {path}: OpenCV cannot write such a file")
