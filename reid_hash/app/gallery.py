"""Images into a gallery, and a query image or file of codes into codes that fit it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.app.runs import find_model
from reid_hash.codes import Codes, load_codes
from reid_hash.data.images import find_images
from reid_hash.errors import DataError
from reid_hash.gallery.base import AnyGallery, fitting
from reid_hash.gallery.encoding import (
    blocks,
    encode,
    encode_queries,
    find_network,
    load_network,
    source_of,
)
from reid_hash.gallery.sighting import Sighting
from reid_hash.models.encoder import AnyEncoder
from reid_hash.models.torch_encoder import load_encoder

CODES = ".npz"
"""Suffix of files that hold codes in place of images."""

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
    encoder = load_encoder(file, "cpu")
    return encoder.binarise(np.zeros((0, encoder.bits))), str(file.absolute())


def gallery_encoder(
    gallery: AnyGallery, model: Path | None, dataset: str, device: str = "auto"
) -> AnyEncoder:
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
    file = None
    if model is None:
        file = find_network(gallery.place, gallery.model, gallery.model_file)
    file = file or find_model(model, dataset)
    return load_network(gallery.place, gallery.model, file, device)


def add_images(
    gallery: AnyGallery,
    encoder: AnyEncoder,
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
            gallery.add(fitting(encoded.codes, gallery.bits), encoded.sightings)
            added.sightings += len(encoded.codes)
            added.unreadable += encoded.unreadable
    return added


def add_codes(gallery: AnyGallery, file: Path, options: AddOptions) -> Added:
    """Add the codes of an .npz file, whose names become sources; see `add_images`."""
    codes, names = load_codes(file)
    if not names:
        names = [str(file)] * len(codes)
    sightings = [_described(Path(name), options) for name in names]
    gallery.add(fitting(codes, gallery.bits), sightings)
    return Added(len(codes))


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
        return Query(
            fitting(codes, gallery.bits), names or [f"{file}[{i}]" for i in range(len(codes))]
        )
    files = find_images([file])
    encoder = gallery_encoder(gallery, model, dataset, device)
    codes, values = encode_queries(encoder, files)
    codes = fitting(codes, gallery.bits)
    return Query(codes, [str(one) for one in files], values[:, : codes.bits])
