"""Pictures and embeddings that were sent, into codes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.app.encode import head_of
from reid_hash.codes import Codes
from reid_hash.data.images import resize, thumbnail
from reid_hash.distances import query_values
from reid_hash.errors import CheckpointError, CodeError, DataError
from reid_hash.web.api.problems import Problem
from reid_hash.web.served_gallery import ServedGallery
from reid_hash.web.uploads import HEAD_BYTES, TooLargeError, kind_of, read_picture

if TYPE_CHECKING:  # torch takes seconds to import
    from reid_hash.models.encoder import Encoder

_THUMBNAIL = 256 * 2**10  # bytes


class Encoded(NamedTuple):
    """Pictures or embeddings that were encoded.

    Attributes:
        codes: n codes of the gallery.
        values: [n, bits] float32 in (-1, 1): the real values of which the codes are the signs.
        thumbnails: n small JPEGs; none of embeddings.
    """

    codes: Codes
    values: NDArray[np.float32]
    thumbnails: list[bytes]


def encode_pictures(served: ServedGallery, pictures: Sequence[bytes], most: int) -> Encoded:
    """Encode the crops of people.

    Args:
        served: the gallery, and its network.
        pictures: contents of files, 1 or more.
        most: pixels that all of them may have together.

    Raises:
        Problem: one is no picture, or they have too many pixels.
        CheckpointError: the gallery's network is not there, or takes embeddings.
    """
    encoder = _encoder(served)
    size, growing = encoder.size, encoder.growing
    small = np.empty((len(pictures), *size, 3), np.uint8)
    thumbnails = []
    left = most
    # one after the other: a picture of a few KiB may decode to 150 MB
    for number, data in enumerate(pictures):
        if kind_of(data[:HEAD_BYTES]) != "picture":
            what = "neither JPEG, PNG, WebP nor BMP"
            raise Problem(415, "not-a-picture", f"picture {number} is {what}")
        try:
            picture = read_picture(data, f"picture {number}", left)
        except TooLargeError as error:
            raise Problem(
                *(413, "too-many-pixels", f"picture {number} has too many pixels"),
                f"the pictures of a request may have {most // 10**6} million pixels",
            ) from error
        except DataError as error:
            raise Problem(415, "not-a-picture", str(error)) from error
        left -= picture.shape[0] * picture.shape[1]
        thumbnails.append(thumbnail(picture))
        small[number] = resize(picture, *size, growing)
    with served.encoding():
        outputs, _ = encoder.outputs(small, progress=False)
    codes = encoder.binarise(outputs).shortened(served.bits)
    return Encoded(codes, query_values(outputs)[:, : codes.bits], thumbnails)


def encode_embeddings(served: ServedGallery, embeddings: Sequence[Sequence[float]]) -> Encoded:
    """Encode embeddings.

    Raises:
        Problem: they are of another length, or zero.
        CheckpointError: the gallery's network takes pictures.
    """
    head = head_of(_encoder(served), "the gallery's model")
    try:
        vectors = np.array(embeddings, np.float32)
        outputs, _ = head.outputs(vectors)
    except (DataError, ValueError) as error:
        raise Problem(
            *(422, "other-embeddings", "an embedding does not fit the gallery's head"),
            f"it takes {head.dims} numbers, not all of them zero",
        ) from error
    codes = head.binarise(outputs).shortened(served.bits)
    return Encoded(codes, query_values(outputs)[:, : codes.bits], [])


def _encoder(served: ServedGallery) -> "Encoder":
    try:
        return served.encoder
    except (CheckpointError, CodeError) as error:  # which names files of the server
        raise Problem(
            *(409, "no-model", "the network that made the gallery's codes is not there"),
            "send codes, or have the service started with --model",
        ) from error


def check_thumbnail(data: bytes) -> bytes:
    """A thumbnail that somebody sent; Problem where it is none."""
    if len(data) > _THUMBNAIL:
        raise Problem(413, "too-large", f"a thumbnail has at most {_THUMBNAIL // 2**10} KiB")
    if data[:3] != b"\xff\xd8\xff":
        raise Problem(415, "not-a-picture", "a thumbnail is a JPEG")
    return data
