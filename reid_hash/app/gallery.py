"""Images into a gallery, and a query image or file of codes into codes that fit it."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.app.encode import find_images
from reid_hash.app.runs import find_model
from reid_hash.codes import Codes, load_codes
from reid_hash.data.dataset import Image, ImageSet
from reid_hash.data.images import decode, read_image, resize
from reid_hash.distances import query_values
from reid_hash.errors import CheckpointError, CodeError, DataError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Sighting
from reid_hash.models.encoder import Encoder
from reid_hash.models.load import load_model
from reid_hash.models.shipped import shipped_models
from reid_hash.utils.files import is_elsewhere, is_trustworthy

CODES = ".npz"
"""Suffix of files that hold codes in place of images."""

_BLOCK = 512  # images a transaction: what an interrupted run has to do again at most
_THUMBNAIL = (128, 64)  # height and width at most, in pixels: some 3 KB
_MARKET = re.compile(r"(-1|\d+)_c(\d+)(?:s\d+_(\d+))?.*")


@dataclass(frozen=True)
class AddOptions:
    """What is noted with images that are added.

    Attributes:
        camera: name of the camera.
        time: seconds since 1970, UTC; None for the time of adding.
        source: what they come from; None for each file's own path.
        names: "market1501": identity, camera and frame are read from the files' names.
        thumbnails: keep a small JPEG of each.
        skip_unreadable: leave out images that cannot be read.
    """

    camera: str = ""
    time: float | None = None
    source: str | None = None
    names: str | None = None
    thumbnails: bool = True
    skip_unreadable: bool = False


@dataclass
class Added:
    """What became of the files.

    Attributes:
        sightings: how many were added.
        known: how many were not, because a sighting with that file as its source is there.
        unreadable: why each unreadable image was left out.
    """

    sightings: int = 0
    known: int = 0
    unreadable: list[str] = field(default_factory=list)


class Query(NamedTuple):
    """What is searched for.

    Attributes:
        codes: of the gallery's length and model.
        names: one a code.
        values: [n, bits] float32 in (-1, 1), of which the codes are the signs (`query_values`);
            None where codes are all there is.
    """

    codes: Codes
    names: list[str]
    values: NDArray[np.float32] | None = None


def checkpoint_codes(model: Path | None, dataset: str) -> tuple[Codes, str]:
    """What a gallery for a model's codes is made of; see `find_model`.

    Returns:
        (no code, but with the model's length, weights and fingerprint, the checkpoint's file).
    """
    file = find_model(model, dataset)
    encoder = load_model(file, "cpu")
    return encoder.binarise(np.zeros((0, encoder.bits))), str(file.absolute())


def gallery_encoder(
    gallery: AnyGallery, model: Path | None, dataset: str, device: str = "auto"
) -> Encoder:
    """The network that makes a gallery's codes.

    Args:
        gallery: an open one.
        model: a checkpoint, an ONNX file, or the folder of a run; None for the shipped model that
            made the codes, else the file that the gallery says it was made with if that is still
            there, else the newest run of `dataset`.
        dataset: name of the data set.
        device: where to compute.

    Raises:
        CodeError: it is another network.
        CheckpointError: there is none, or the gallery names something that is not opened.
    """
    file = _model_of(gallery, dataset) if model is None else find_model(model, dataset)
    encoder = load_model(file, device)
    if encoder.fingerprint != gallery.model:
        raise CodeError(
            f"{file} is model {encoder.fingerprint}, but gallery {gallery.place} holds codes of "
            f"model {gallery.model}; name that one with --model"
        )
    return encoder


def _model_of(gallery: AnyGallery, dataset: str) -> Path:
    """The file of the network that made a gallery's codes, where nobody names one.

    A gallery may be a copy from elsewhere, so that the file it names is only a hint: what might
    block or reach another machine is not opened.
    """
    for one in shipped_models():
        if one.facts["fingerprint"] == gallery.model:
            return one.file
    noted = gallery.model_file
    if noted and is_trustworthy(noted):
        return Path(noted)
    if noted and (is_elsewhere(noted) or os.path.lexists(noted)):
        raise CheckpointError(
            f"gallery {gallery.place} names {noted} as its model, which is not opened: it is not a "
            "file on this machine that belongs to you or to root; name the model with --model"
        )
    return find_model(None, dataset)


def fit(gallery: AnyGallery, codes: Codes) -> Codes:
    """Codes at a gallery's length, where it keeps only their first bits."""
    return codes.prefix(gallery.bits) if codes.bits > gallery.bits else codes


def add_images(
    gallery: AnyGallery,
    encoder: Encoder,
    paths: Sequence[Path],
    options: AddOptions,
    progress: Callable[[int], object] | None = None,
) -> Added:
    """Encode image files and add them, some hundred a transaction.

    Files that are a sighting's source already are passed over, unless `options.source` is given:
    an interrupted run can be started again.

    Args:
        gallery: open for writing.
        encoder: the gallery's network.
        paths: files and folders.
        options: what is noted with each.
        progress: called with the number of images of each encoded batch.

    Raises:
        DataError: an image cannot be read, or a name says nothing; the blocks before are kept.
    """
    files = find_images(paths)
    sightings = [_described(file, options) for file in files]  # names are read before any work
    added = Added()
    for start in range(0, len(files), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(files)))
        if options.source is None:
            wanted = [sightings[i].source for i in rows]
            there = {sighting.source for sighting in gallery.sightings(sources=wanted)}
            added.known += sum(source in there for source in wanted)
            rows = [i for i in rows if sightings[i].source not in there]  # type: ignore[assignment]
        if rows:
            _add_block(gallery, encoder, files, sightings, rows, options, added, progress)
    return added


def _add_block(
    gallery: AnyGallery,
    encoder: Encoder,
    files: Sequence[Path],
    sightings: Sequence[Sighting],
    rows: Sequence[int],
    options: AddOptions,
    added: Added,
    progress: Callable[[int], object] | None,
) -> None:
    small: dict[int, bytes] = {}

    def read(i: int) -> Image:
        image = read_image(files[rows[i]])
        if options.thumbnails:
            small[rows[i]] = thumbnail(image)
        return image

    zeros = np.zeros(len(rows), np.int64)
    names = [str(files[i]) for i in rows]
    numbers = np.array(rows, np.int64)  # as labels: which of them could be read
    pixels = decode(ImageSet(read, names, numbers, zeros), *encoder.size, options.skip_unreadable)
    codes = fit(gallery, encoder.encode(pixels.images, progress=progress or False))
    gallery.add(codes, [replace(sightings[i], thumbnail=small.get(i)) for i in pixels.labels])
    added.sightings += len(codes)
    added.unreadable += pixels.unreadable


def add_codes(gallery: AnyGallery, file: Path, options: AddOptions) -> Added:
    """Add the codes of an .npz file, whose names become sources; see `add_images`."""
    codes, names = load_codes(file)
    if not names:
        names = [str(file)] * len(codes)
    sightings = [_described(Path(name), options) for name in names]
    gallery.add(fit(gallery, codes), sightings)
    return Added(len(codes))


def _described(file: Path, options: AddOptions) -> Sighting:
    # a file's name need not be UTF-8, but what is stored must be text
    source = os.fsencode(file).decode("utf-8", "replace")
    if options.source is not None:
        source = options.source
    if options.names != "market1501":
        return Sighting(options.camera, options.time, source)
    match = _MARKET.fullmatch(file.name)
    if match is None:
        raise DataError(f"{file} is not named like 0002_c1s1_000451_03.jpg; leave out --names")
    identity, camera, frame = match.groups()
    return Sighting(
        options.camera or camera,
        options.time,
        source,
        frame=None if frame is None else int(frame),
        # −1 is a bad detection, 0 anybody else: neither is one person
        name=identity if int(identity) > 0 else None,
    )


def thumbnail(image: Image) -> bytes:
    """A small JPEG of an image, of its own proportions.

    Args:
        image: [height, width, 3] uint8 RGB.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _THUMBNAIL[0] / height, _THUMBNAIL[1] / width)
    small = resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
    _, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return bytes(data)


def read_query(
    gallery: AnyGallery, file: Path, model: Path | None, dataset: str, device: str = "auto"
) -> Query:
    """Codes and values of an image file, or of all of a folder; or the codes of an .npz file.

    Args:
        gallery: to be searched.
        file: image, folder or codes.
        model: see `gallery_encoder`; not needed for codes.
        dataset: likewise.
        device: where to compute.
    """
    if file.suffix.lower() == CODES:
        codes, names = load_codes(file)
        return Query(fit(gallery, codes), names or [f"{file}[{i}]" for i in range(len(codes))])
    files = find_images([file])
    encoder = gallery_encoder(gallery, model, dataset, device)
    zeros = np.zeros(len(files), np.int64)
    names = [str(one) for one in files]
    pixels = decode(ImageSet(lambda i: read_image(files[i]), names, zeros, zeros), *encoder.size)
    outputs, _ = encoder.outputs(pixels.images, progress=False)
    codes = fit(gallery, encoder.binarise(outputs))
    return Query(codes, names, query_values(outputs[:, : codes.bits]))
