"""Image files → codes, or floats."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.data.dataset import ImageSet
from reid_hash.data.images import Pixels, decode, find_images, read_image
from reid_hash.models.foreign.network import Network
from reid_hash.utils.files import replacing

if TYPE_CHECKING:
    from reid_hash.models.encoder import Encoder


class Embeddings(NamedTuple):
    """Floats of image files.

    Attributes:
        vectors: [n, features] float32, as the network gives them.
        names: of the n files.
        unreadable: why each unreadable image was left out.
        fingerprint: of the network.
    """

    vectors: NDArray[np.float32]
    names: list[str]
    unreadable: tuple[str, ...]
    fingerprint: str


def embed_files(
    paths: Sequence[Path],
    model: Path | Network,
    device: str = "auto",
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Embeddings:
    """Make the float embeddings of image files; see `encode_files` for what it takes."""
    from reid_hash.models.load import open_model  # torch takes seconds to import

    encoder = open_model(model, device)
    pixels = _pixels(paths, encoder, skip_unreadable)
    _, vectors = encoder.outputs(pixels.images, progress=progress or False)
    return Embeddings(vectors, pixels.names, pixels.unreadable, encoder.fingerprint)


def save_embeddings(path: Path, made: Embeddings) -> None:
    """Write embeddings for `reid-hash fit` and others to read.

    Args:
        path: .npy for the matrix alone; else .npz with `embeddings` [n, features] float32, `names`
            [n] and `model`, the network's fingerprint.
        made: what is written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix.lower() == ".npy":
            np.save(file, made.vectors)
        else:
            names = np.array(made.names, np.str_)
            np.savez(file, embeddings=made.vectors, names=names, model=np.str_(made.fingerprint))


def encode_files(
    paths: Sequence[Path],
    model: Path | Network,
    bits: int | None = None,
    device: str = "auto",
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
) -> tuple[Codes, list[str], tuple[str, ...]]:
    """Encode image files.

    Args:
        paths: files and folders; see `find_images` for what is in folders.
        model: a checkpoint, an ONNX file, or a network that was not trained here.
        bits: length the codes are cut to; the model's own where it is None.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        progress: called with the number of images of each encoded batch.

    Returns:
        (codes, names, why each unreadable image was left out).
    """
    from reid_hash.models.load import open_model  # torch takes seconds to import

    encoder = open_model(model, device)
    encoder.binarise(np.zeros((0, encoder.bits)))  # one without codes says so before any work
    pixels = _pixels(paths, encoder, skip_unreadable)
    codes = encoder.encode(pixels.images, progress=progress or False)
    return (codes.prefix(bits) if bits else codes), pixels.names, pixels.unreadable


def _pixels(paths: Sequence[Path], encoder: "Encoder", skip_unreadable: bool) -> Pixels:
    files = find_images(paths).files
    zeros = np.zeros(len(files), np.int64)
    images = ImageSet(lambda i: read_image(files[i]), [str(f) for f in files], zeros, zeros)
    return decode(images, *encoder.size, skip_unreadable, growing=encoder.growing)
