"""Images and files of codes into a gallery, and the network that makes its codes."""

import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from reid_hash.app.encode import find_images
from reid_hash.app.runs import find_model
from reid_hash.codes import Codes, load_codes
from reid_hash.data.dataset import Image, ImageSet
from reid_hash.data.images import decode, read_image, thumbnail
from reid_hash.errors import CheckpointError, CodeError, DataError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.sighting import Sighting
from reid_hash.models.encoder import Encoder
from reid_hash.models.load import load_model
from reid_hash.models.shipped import shipped_models
from reid_hash.utils.files import is_elsewhere, is_trustworthy

_log = logging.getLogger(__name__)

CODES = ".npz"
"""Suffix of files that hold codes in place of images."""

_BLOCK = 512  # images a transaction: what an interrupted run has to do again at most
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


def checkpoint_codes(
    model: Path | None, dataset: str, runs: Path | None = None
) -> tuple[Codes, str]:
    """What a gallery for a model's codes is made of; see `find_model`.

    Returns:
        (no code, but with the model's length, weights and fingerprint, the checkpoint's file).
    """

    file = find_model(model, dataset, runs)
    encoder = load_model(file, "cpu")
    return encoder.binarise(np.zeros((0, encoder.bits))), str(file.absolute())


def gallery_encoder(
    gallery: AnyGallery,
    model: Path | None,
    dataset: str,
    device: str = "auto",
    runs: Path | None = None,
) -> Encoder:
    """The network that makes a gallery's codes.

    Args:
        gallery: an open one.
        model: a checkpoint, an ONNX file, or the folder of a run; None for the shipped model that
            made the codes, else the file that the gallery says it was made with if that is still
            there, else the newest run of `dataset`.
        dataset: name of the data set.
        device: where to compute.
        runs: folder of all runs; None to look at none.

    Raises:
        CodeError: it is another network.
        CheckpointError: there is none, or the gallery names something that is not opened.
    """

    file = _model_of(gallery, dataset, runs) if model is None else find_model(model, dataset, runs)
    encoder = load_model(file, device)
    if encoder.fingerprint != gallery.model:
        raise CodeError(
            f"{file} is model {encoder.fingerprint}, but gallery {gallery.place} holds codes of "
            f"model {gallery.model}; name that one with --model"
        )
    return encoder


def _model_of(gallery: AnyGallery, dataset: str, runs: Path | None) -> Path:
    """The file of the network that made a gallery's codes, where nobody names one.

    A gallery may be a copy from elsewhere, so that the file it names is only a hint: what might
    block or reach another machine is not opened.
    """
    for one in shipped_models():
        if one.facts["fingerprint"] == gallery.model:
            _log.info("model: %s, which made the gallery's codes", one.file)
            return one.file
    noted = gallery.model_file
    if noted and is_trustworthy(noted):
        _log.info("model: %s, which the gallery names", noted)
        return Path(noted)
    if noted and (is_elsewhere(noted) or os.path.lexists(noted)):
        raise CheckpointError(
            f"gallery {gallery.place} names {noted} as its model, which is not opened: it is not a "
            "file on this machine that belongs to you or to root; name the model with --model"
        )
    return find_model(None, dataset, runs)


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
    codes = encoder.encode(pixels.images, progress=progress or False).shortened(gallery.bits)
    gallery.add(codes, [replace(sightings[i], thumbnail=small.get(i)) for i in pixels.labels])
    added.sightings += len(codes)
    added.unreadable += pixels.unreadable


def add_codes(gallery: AnyGallery, file: Path, options: AddOptions) -> Added:
    """Add the codes of an .npz file, whose names become sources; see `add_images`."""
    codes, names = load_codes(file)
    if not names:
        names = [str(file)] * len(codes)
    sightings = [_described(Path(name), options) for name in names]
    gallery.add(codes.shortened(gallery.bits), sightings)
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
