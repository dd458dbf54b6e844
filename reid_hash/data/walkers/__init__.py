"""The built-in data set `walkers`: drawn pedestrians before two cameras, with nothing to download.

`walkers` gives single crops, as CUHK03 does; `write_video` films people of the same kind.
"""

from collections.abc import Sequence

import numpy as np

from reid_hash.data.dataset import Dataset, ImageSet, RgbImage
from reid_hash.data.walkers.camera import CAMERAS
from reid_hash.data.walkers.crops import crop
from reid_hash.data.walkers.film import write_video
from reid_hash.errors import ConfigError

__all__ = ["walkers", "write_video"]

# Identities are numbered in blocks, so that the test persons of a seed are the same whatever the
# number of training persons. Those of the video and the passers-by have blocks of their own.
_FIRST_TEST = 5000
_MOST_TRAIN, _MOST_TEST = 5000, 4000


def walkers(
    seed: int = 0,
    train_identities: int = 300,
    test_identities: int = 100,
    images_per_camera: int = 4,
    height: int = 128,
    width: int = 64,
) -> Dataset:
    """Crops of procedural pedestrians from two cameras with unlike views, light, and colours.

    Camera 1 sees people from the front, camera 2 from behind. Images are drawn when they are
    read, each from its own numbers alone: in any order, and from several threads.

    Args:
        seed: any integer ≥ 0; another one gives other people, places, and pictures.
        train_identities: persons to learn from, 1 to 5000.
        test_identities: persons to be told apart, 1 to 4000.
        images_per_camera: of each person, at least 1.
        height: of an image in pixels, 32 to 1024.
        width: of an image in pixels, 16 to 1024.

    Returns:
        The data set. Query and gallery are the same set of all test images. Labels are identity
        numbers (training from 0, test from 5000), cameras are 1 and 2.

    Raises:
        ConfigError: a number is out of range.

    Example:
        >>> data = walkers(train_identities=2, test_identities=1)
        >>> len(data.train), len(data.query), data.train.names[5], data.train.read(5).shape
        (16, 8, 'walkers/0000_c2_01', (128, 64, 3))
    """
    for name, value, least, most in (
        ("seed", seed, 0, 2**63 - 1),
        ("train_identities", train_identities, 1, _MOST_TRAIN),
        ("test_identities", test_identities, 1, _MOST_TEST),
        ("images_per_camera", images_per_camera, 1, 10_000),
        ("height", height, 32, 1024),
        ("width", width, 16, 1024),
    ):
        if not least <= value <= most:
            raise ConfigError(f"walkers: {name} is {value}, not in {least} to {most}")
    size = (height, width)
    test = range(_FIRST_TEST, _FIRST_TEST + test_identities)
    tested = _images(seed, test, images_per_camera, size)
    return Dataset(
        name="walkers",
        train=_images(seed, range(train_identities), images_per_camera, size),
        query=tested,
        gallery=tested,
        protocol="single-shot",
        camera_rule="cuhk03",
        single_shot=True,
        notes=(
            f"procedural figures, not people; seed {seed}",
            f"{train_identities} identities to train, {test_identities} to test, "
            f"{images_per_camera} images for each of 2 cameras",
        ),
    )


def _images(seed: int, identities: Sequence[int], images: int, size: tuple[int, int]) -> ImageSet:
    cells = [(who, eye, i) for who in identities for eye in CAMERAS for i in range(images)]

    def read(i: int) -> RgbImage:
        return crop(seed, *cells[i], *size)

    return ImageSet(
        read,
        [f"walkers/{who:04d}_c{eye}_{i:02d}" for who, eye, i in cells],
        np.array([who for who, _, _ in cells], np.int64),
        np.array([eye for _, eye, _ in cells], np.int64),
    )
