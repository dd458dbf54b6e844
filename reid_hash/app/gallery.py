"""Images and files of codes into a gallery, and the network that makes its codes."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from reid_hash.app.encode import head_of
from reid_hash.app.runs import find_model
from reid_hash.codes import Codes, load_codes
from reid_hash.data.embeddings import embedding_blocks
from reid_hash.data.images import find_images
from reid_hash.errors import DataError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.encoding import blocks, encode, find_network, load_network, source_of
from reid_hash.gallery.sighting import Sighting
from reid_hash.models.encoder import Encoder
from reid_hash.models.load import load_model

_log = logging.getLogger(__name__)

CODES = ".npz"
"""Suffix of files that hold codes in place of images."""

_VECTORS = 10_000  # added in one transaction

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
    file = None
    if model is None:
        file = find_network(gallery.place, gallery.model, gallery.model_file)
    if file is None:
        file = find_model(model, dataset, runs)
    else:
        _log.info("model: %s, for the gallery's codes", file)
    return load_network(gallery.place, gallery.model, file, device)


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
    for block in blocks(len(files)):
        rows = list(range(len(files))[block])
        if options.source is None:
            wanted = [sightings[i].source for i in rows]
            there = {sighting.source for sighting in gallery.sightings(sources=wanted)}
            added.known += sum(source in there for source in wanted)
            rows = [i for i in rows if sightings[i].source not in there]
        if rows:
            encoded = encode(
                encoder,
                [files[i] for i in rows],
                [sightings[i] for i in rows],
                options.thumbnails,
                options.skip_unreadable,
                progress,
            )
            gallery.add(encoded.codes.shortened(gallery.bits), encoded.sightings)
            added.sightings += len(encoded.codes)
            added.unreadable += encoded.unreadable
    return added


def add_codes(gallery: AnyGallery, file: Path, options: AddOptions) -> Added:
    """Add the codes of an .npz file, whose names become sources; see `add_images`."""
    codes, names = load_codes(file)
    if not names:
        names = [str(file)] * len(codes)
    sightings = [_described(Path(name), options) for name in names]
    gallery.add(codes.shortened(gallery.bits), sightings)
    return Added(len(codes))


def add_embeddings(
    gallery: AnyGallery,
    encoder: Encoder,
    file: Path,
    options: AddOptions,
    progress: Callable[[int], object] | None = None,
) -> Added:
    """Add the vectors of a file, a block a transaction.

    Names become sources (the file's name and the row where there are none), cameras and identities
    are noted where the file has them. Identities below 0 are unknown.

    Args:
        gallery: open for writing.
        encoder: the gallery's head.
        file: see `data.embeddings`.
        options: what is noted with each; a camera or source that is given counts.
        progress: called with the number of vectors of each block.

    Raises:
        CheckpointError: the gallery's model takes images.
        DataError: the vectors cannot be read or encoded; the blocks before are kept.
    """
    head = head_of(encoder, gallery.model_file)
    added = Added()
    for block in embedding_blocks(file, _VECTORS):
        codes = head.encode(block.vectors, progress=progress or False).shortened(gallery.bits)
        sightings = []
        for i in range(len(block)):
            row = added.sightings + i
            name = f"{file.name}[{row}]" if block.names is None else str(block.names[i])
            sighting = _described(Path(name), options)
            if block.cameras is not None and not options.camera:
                sighting = replace(sighting, camera=str(block.cameras[i]))
            if block.identities is not None and not str(block.identities[i]).startswith("-"):
                sighting = replace(sighting, name=str(block.identities[i]))
            sightings.append(sighting)
        gallery.add(codes, sightings)
        added.sightings += len(block)
    return added


def _described(file: Path, options: AddOptions) -> Sighting:
    source = source_of(file, options.source)
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
