"""Image files → codes, or floats."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.data.dataset import ImageSet
from reid_hash.data.embeddings import Embeddings, embedding_blocks
from reid_hash.data.images import Pixels, decode, find_images, read_image
from reid_hash.errors import CheckpointError
from reid_hash.models.encoder import Encoder
from reid_hash.models.foreign.network import Network
from reid_hash.models.head_encoder import HeadEncoder
from reid_hash.utils.files import replacing

MOST_NAMED = 1_000_000
"""Rows up to which vectors without names are called by their row: ten million such names take ten
times the memory of their codes, and say no more than the order does."""


class EmbeddedFiles(NamedTuple):
    """Floats of image files.

    Attributes:
        embeddings: [n, features] float32, as the network gives them, with the files' names.
        unreadable: why each unreadable image was left out.
        fingerprint: of the network.
    """

    embeddings: Embeddings
    unreadable: tuple[str, ...]
    fingerprint: str


def embed_files(
    paths: Sequence[Path],
    model: Path | Network,
    device: str = "auto",
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
) -> EmbeddedFiles:
    """Make the float embeddings of image files; see `encode_files` for what it takes."""
    from reid_hash.models.load import open_model  # torch takes seconds to import

    encoder = open_model(model, device)
    pixels = _pixels(paths, encoder, skip_unreadable)
    _, vectors = encoder.outputs(pixels.images, progress=progress or False)
    embeddings = Embeddings(vectors, names=np.array(pixels.names, np.str_))
    return EmbeddedFiles(embeddings, pixels.unreadable, encoder.fingerprint)


def save_embeddings(path: Path, made: EmbeddedFiles) -> None:
    """Write embeddings for `reid-hash fit` and others to read.

    Args:
        path: .npy for the matrix alone; else .npz with `embeddings` [n, features] float32, `names`
            [n] and `model`, the network's fingerprint.
        made: what is written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix.lower() == ".npy":
            np.save(file, made.embeddings.vectors)
        else:
            found, model = made.embeddings, np.str_(made.fingerprint)
            np.savez(file, embeddings=found.vectors, names=np.asarray(found.names), model=model)


def head_of(encoder: Encoder, model: object = "") -> HeadEncoder:
    """The encoder, if it takes vectors; CheckpointError where it takes images."""
    if isinstance(encoder, HeadEncoder):
        return encoder
    raise CheckpointError(
        f"{model or 'the model'} takes images, not embeddings; name a head that `reid-hash fit` "
        "wrote with --model"
    )


def encode_embeddings(
    path: Path,
    model: Path | Network,
    bits: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[Codes, list[str]]:
    """Encode a file of embeddings, a block at a time.

    Args:
        path: .npy, .npz or .parquet; see `data.embeddings`.
        model: a head.
        bits: length the codes are cut to; the head's own where it is None.
        progress: called with the number of vectors of each block.

    Returns:
        (codes, names; the file's name and the row where it has no names, or none at all where
        there are more than `MOST_NAMED` rows without one).
    """
    from reid_hash.models.load import open_model

    head = head_of(open_model(model), model)
    packed: list[NDArray[np.uint8]] = []
    names: list[str] = []
    rows = 0
    length = bits or head.bits
    codes = head.binarise(np.zeros((0, head.bits)))
    for block in embedding_blocks(path):
        packed.append(head.encode(block.vectors, progress=progress or False).prefix(length).packed)
        rows += len(block)
        if block.names is not None or rows <= MOST_NAMED:
            names += block.named(path.name, rows - len(block))
    if len(names) < rows:
        names = []
    cut = codes.prefix(length)
    return Codes(np.concatenate(packed), cut.bits, cut.weights, cut.model), names


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
