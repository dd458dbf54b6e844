"""Image files → codes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from reid_hash.codes import Codes
from reid_hash.data.dataset import ImageSet
from reid_hash.data.images import decode, find_images, read_image


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
        paths: files; see `find_images` for what is in folders.
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
    files = find_images(paths).files
    zeros = np.zeros(len(files), np.int64)
    images = ImageSet(lambda i: read_image(files[i]), [str(f) for f in files], zeros, zeros)
    pixels = decode(images, *encoder.size, skip_unreadable)
    codes = encoder.encode(pixels.images, progress=progress or False)
    return (codes.prefix(bits) if bits else codes), pixels.names, pixels.unreadable
