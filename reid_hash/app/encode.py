"""Image files → codes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.codes import Codes
from reid_hash.data.dataset import ImageSet
from reid_hash.data.embeddings import embedding_blocks
from reid_hash.data.images import decode, find_images, read_image
from reid_hash.errors import CheckpointError
from reid_hash.models.encoder import Encoder
from reid_hash.models.head_encoder import HeadEncoder


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
    model: Path,
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
        (codes, names; the file's name and the row where it has no names).
    """
    from reid_hash.models.load import load_model

    head = head_of(load_model(model), model)
    packed: list[NDArray[np.uint8]] = []
    names: list[str] = []
    length = bits or head.bits
    codes = head.binarise(np.zeros((0, head.bits)))
    for block in embedding_blocks(path):
        packed.append(head.encode(block.vectors, progress=progress or False).prefix(length).packed)
        start = len(names)
        given = range(start, start + len(block)) if block.names is None else block.names
        names += [f"{path.name}[{one}]" if block.names is None else str(one) for one in given]
    cut = codes.prefix(length)
    return Codes(np.concatenate(packed), cut.bits, cut.weights, cut.model), names


def encode_files(
    paths: Sequence[Path],
    model: Path,
    bits: int | None = None,
    device: str = "auto",
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
) -> tuple[Codes, list[str], tuple[str, ...]]:
    """Encode image files.

    Args:
        paths: files and folders.
        model: a checkpoint or an ONNX file.
        bits: length the codes are cut to; the model's own where it is None.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        progress: called with the number of images of each encoded batch.

    Returns:
        (codes, names, why each unreadable image was left out).
    """
    from reid_hash.models.load import load_model  # torch takes seconds to import

    encoder = load_model(model, device)
    files = find_images(paths)
    zeros = np.zeros(len(files), np.int64)
    images = ImageSet(lambda i: read_image(files[i]), [str(f) for f in files], zeros, zeros)
    pixels = decode(images, *encoder.size, skip_unreadable)
    codes = encoder.encode(pixels.images, progress=progress or False)
    return (codes.prefix(bits) if bits else codes), pixels.names, pixels.unreadable
