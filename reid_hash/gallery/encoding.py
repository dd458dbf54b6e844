"""Images into a gallery's codes: what is added, and what is searched for.

An image is the path of a file, a PIL image, or a [height, width, 3] uint8 RGB array, of any size.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow

from reid_hash.codes import Codes
from reid_hash.data.dataset import ImageSet
from reid_hash.data.images import (
    as_image,
    decode,
    decode_image,
    find_images,
    read_bytes,
    thumbnail,
)
from reid_hash.distances import query_values
from reid_hash.errors import CheckpointError, CodeError
from reid_hash.gallery.sighting import Sighting, source_of_file
from reid_hash.models.foreign.network import Network
from reid_hash.models.shipped import shipped_models
from reid_hash.utils.files import is_elsewhere, is_trustworthy

if TYPE_CHECKING:
    from reid_hash.models.encoder import Encoder

BLOCK = 512
"""Images that are added in one step: what an interrupted run has to do again at most."""

_COMMENT = b"reid-hash:"
_HEAD = 100  # bytes within which the comment of a thumbnail begins

Image = str | os.PathLike[str] | pillow.Image | NDArray[np.uint8]
"""One image."""

Images = Image | Sequence[Image]
"""One image or several; a path may be that of a folder."""


class Encoded(NamedTuple):
    """Images that were encoded to be added.

    Attributes:
        codes: n codes of the network's length.
        sightings: n of them.
        unreadable: why each image that is left out could not be read.
    """

    codes: Codes
    sightings: list[Sighting]
    unreadable: tuple[str, ...]


def listed(images: Images) -> list[Image]:
    """List one or several images; folders become the images below them.

    Raises:
        DataError: a path does not exist, or a folder holds no image.
    """
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    if isinstance(images, str | os.PathLike | pillow.Image):
        images = [images]
    found: list[Image] = []
    for one in images:
        found += find_images([Path(one)]).files if isinstance(one, str | os.PathLike) else [one]
    return found


def blocks(count: int) -> Iterator[slice]:
    """Cut a number of images into steps of `BLOCK`."""
    for start in range(0, count, BLOCK):
        yield slice(start, start + BLOCK)


def source_of(image: Image, source: str | None = None) -> str:
    """The source of a sighting: the given one, else the image's real path, else nothing."""
    if source is not None:
        return source
    return source_of_file(image) if isinstance(image, str | os.PathLike) else ""


def encode(
    network: "Encoder",
    images: Sequence[Image],
    sightings: Sequence[Sighting],
    thumbnails: bool = True,
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Encoded:
    """Encode images that are to be added.

    Args:
        network: the gallery's.
        images: n of them, one or more.
        sightings: n of them.
        thumbnails: make a small JPEG for each sighting that has none.
        skip_unreadable: leave out images that cannot be read.
        progress: called with the number of images of each batch.

    Raises:
        DataError: an image cannot be read, or none can.
        ImageError: what was given as an image is none.
    """
    small: dict[int, bytes] = {}

    def read(i: int) -> NDArray[np.uint8]:
        given = images[i]
        if isinstance(given, str | os.PathLike):
            data = read_bytes(given)
            image, mark = decode_image(data, given), digest(data)
        else:
            image, mark = as_image(given), ""
        if thumbnails and sightings[i].thumbnail is None:
            small[i] = marked(thumbnail(image), mark)
        return image

    pixels = decode(
        _image_set(images, read), *network.size, skip_unreadable, growing=network.growing
    )
    codes = network.encode(pixels.images, progress=progress or False)
    kept = [
        replace(sightings[i], thumbnail=small.get(i, sightings[i].thumbnail))
        for i in pixels.labels.tolist()  # which of them could be read
    ]
    return Encoded(codes, kept, pixels.unreadable)


def digest(data: bytes) -> str:
    """A fingerprint of a file's content, 32 hexadecimal digits (BLAKE2b)."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def marked(jpeg: bytes, mark: str) -> bytes:
    """A JPEG with the digest of the file it was made from as a comment; "" adds none.

    The gallery tells by it whether a file has changed, and forgets it with the picture.
    """
    if not mark:
        return jpeg
    comment = _COMMENT + mark.encode()
    # after the header that must come first
    at = 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == b"\xff\xe0" else 2
    return jpeg[:at] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[at:]


def mark_of(jpeg: bytes | None) -> str | None:
    """The digest that `marked` put into a JPEG; None where there is none."""
    at = (jpeg or b"")[:_HEAD].find(_COMMENT)
    found = b"" if at < 0 else (jpeg or b"")[at + len(_COMMENT) :][:32]
    return found.decode("ascii", "replace") if len(found) == 32 else None


def encode_queries(
    network: "Encoder", images: Sequence[Image]
) -> tuple[Codes, NDArray[np.float32]]:
    """Encode images that are searched for.

    Returns:
        (n codes of the network's length, their real values [n, bits] float32 in (−1, 1)).

    Raises:
        DataError: an image cannot be read.
        ImageError: what was given as an image is none.
    """
    queries = _image_set(images, lambda i: as_image(images[i]))
    pixels = decode(queries, *network.size, growing=network.growing)
    outputs, _ = network.outputs(pixels.images, progress=False)
    return network.binarise(outputs), query_values(outputs)


def _image_set(images: Sequence[Image], read: Callable[[int], NDArray[np.uint8]]) -> ImageSet:
    numbers = np.arange(len(images))
    return ImageSet(read, [""] * len(images), numbers, np.zeros_like(numbers))


def find_network(place: str, fingerprint: str, noted: str) -> Path | Network | None:
    """Find the file of the network that made a gallery's codes.

    A gallery may be a copy from elsewhere, so that the file it names is only a hint: what might
    block or reach another machine is not opened.

    Args:
        place: of the gallery, for the message.
        fingerprint: of its network.
        noted: the file that the gallery says it was made with; may be empty.

    Returns:
        A shipped model of that fingerprint, else the noted file, or network that was not trained
        here, which may be another by now; None where neither is there.

    Raises:
        CheckpointError: the gallery names something that is not opened.
    """
    for one in shipped_models():
        if one.facts["fingerprint"] == fingerprint:
            return one.file
    network = Network.read_noted(noted)
    if network is not None:
        if all(map(is_trustworthy, network.files())):
            return network
        noted = next(file for file in network.files() if not is_trustworthy(file))
    elif noted and is_trustworthy(noted):
        return Path(noted)
    if noted and (is_elsewhere(noted) or os.path.lexists(noted)):
        raise CheckpointError(
            f"gallery {place} names {noted} as its model, which is not opened: it is not a file on "
            "this machine that belongs to you or to root; name the model with --model"
        )
    return None


def load_network(
    place: str, fingerprint: str, file: Path | Network, device: str = "auto"
) -> "Encoder":
    """Load a gallery's network.

    Args:
        place: of the gallery, for the message.
        fingerprint: of its network.
        file: a checkpoint, an ONNX file, or a network that was not trained here.
        device: where to compute.

    Raises:
        CheckpointError: the file cannot be read.
        CodeError: it is another network.
    """
    from reid_hash.models.load import open_model  # torch takes a second to import

    encoder = open_model(file, device)
    encoder.binarise(np.zeros((0, encoder.bits)))  # one without codes says so
    if encoder.fingerprint != fingerprint:
        raise CodeError(
            f"{file} is model {encoder.fingerprint}, but gallery {place} holds codes of model "
            f"{fingerprint}; name that one with --model"
        )
    return encoder
