"""The built-in walkers as files: images and videos, or a gallery ready to be looked at."""

from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from reid_hash.app.gallery import noted_model
from reid_hash.app.runs import find_model
from reid_hash.data.images import Pixels, decode, resize, thumbnail
from reid_hash.data.walkers import walkers
from reid_hash.data.walkers.film import write_video
from reid_hash.errors import ReidHashError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.foreign.network import Network
from reid_hash.models.load import open_model
from reid_hash.utils.files import check_space, replacing
from reid_hash.utils.progress import counting
from reid_hash.utils.timestamps import parse_time

PARTS = ("bounding_box_train", "query", "bounding_box_test")
"""Folders of Market-1501's layout."""

CAMERAS = ("gate", "hall")

MODEL = "walkers"
"""The shipped network that is used where none is named."""

_BEGIN = "2026-03-02T08:00:00Z"
_APART = 47.0  # seconds between two people at the gate
_WAY = 90.0  # seconds from the gate to the hall, and up to as many more
_STEP = 2.0  # seconds between two pictures of somebody
_UNKNOWN = 8  # every so manieth person has no identity yet


def make_walkers_gallery(
    folder: Path,
    model: Path | Network | None = None,
    people: int = 60,
    images: int = 4,
    seed: int = 0,
    console: Console | None = None,
) -> None:
    """Make a gallery of walkers whom the network was not trained on, seen by two cameras.

    Args:
        folder: of the gallery; holds none yet.
        model: the network; None for the shipped one.
        people: how many, 1 to 4000.
        images: of each before each camera.
        seed: of the drawn figures.
        console: for progress.

    Raises:
        GalleryError: there is a gallery already, or it cannot be written.
        CheckpointError: there is no network.
    """
    file = find_model(Path(MODEL) if model is None else model, "walkers")
    encoder = open_model(file, "cpu")
    shown = walkers(
        seed, train_identities=1, test_identities=people, images_per_camera=images
    ).gallery
    with counting(console, "drawing walkers", len(shown)) as progress:
        pixels = decode(shown, 128, 64, progress=progress)
    small = np.stack([resize(image, *encoder.size, encoder.growing) for image in pixels.images])
    codes = encoder.encode(small, progress=False)
    sightings = _sightings(pixels, people, images, seed)
    weights, name = codes.weights, codes.model
    with Gallery.create(folder, codes.bits, weights, name, noted_model(file)) as gallery:
        gallery.add(codes, sightings)


def _sightings(pixels: Pixels, people: int, images: int, seed: int) -> list[Sighting]:
    random = np.random.default_rng(seed)
    begin, ways = parse_time(_BEGIN), _WAY * (1 + random.random(people))
    numbers = np.unique(pixels.labels, return_inverse=True)[1].tolist()
    found = []
    for i, (number, camera) in enumerate(zip(numbers, pixels.cameras.tolist(), strict=True)):
        index = i % images
        moment = begin + number * _APART + index * _STEP + (camera == 2) * float(ways[number])
        found.append(
            Sighting(
                camera=CAMERAS[camera - 1],
                time=round(moment, 3),
                source=pixels.names[i],
                track=2 * number + camera,
                frame=index,
                thumbnail=thumbnail(pixels.images[i]),
                name=None if number % _UNKNOWN == _UNKNOWN - 1 else f"walker {number + 1:02}",
            )
        )
    return found


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
