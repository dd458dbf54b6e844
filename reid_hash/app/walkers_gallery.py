"""A gallery of drawn walkers, ready to be looked at: nobody has to be filmed for it."""

from pathlib import Path

import numpy as np
from rich.console import Console

from reid_hash.app.gallery import thumbnail
from reid_hash.app.runs import find_model
from reid_hash.data.images import Pixels, decode, resize
from reid_hash.data.walkers import walkers
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.load import load_model
from reid_hash.utils.progress import counting
from reid_hash.utils.timestamps import parse_time

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
    model: Path | None = None,
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
    encoder = load_model(file, "cpu")
    shown = walkers(
        seed, train_identities=1, test_identities=people, images_per_camera=images
    ).gallery
    with counting(console, "drawing walkers", len(shown)) as progress:
        pixels = decode(shown, 128, 64, progress=progress)
    small = np.stack([resize(image, *encoder.size) for image in pixels.images])
    codes = encoder.encode(small, progress=False)
    sightings = _sightings(pixels, people, images, seed)
    weights, name = codes.weights, codes.model
    with Gallery.create(folder, codes.bits, weights, name, str(file.absolute())) as gallery:
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
