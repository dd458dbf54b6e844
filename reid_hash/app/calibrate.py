"""Thresholds for a gallery's model, learned from images or vectors: for every kind of query."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reid_hash.app.encode import head_of
from reid_hash.calibration import (
    ByIdentity,
    ByTrack,
    Calibration,
    Evidence,
    Seen,
    calibrate_queries,
    evidence,
)
from reid_hash.codes import Codes
from reid_hash.data import DATASETS, load_dataset
from reid_hash.data.dataset import ImageSet
from reid_hash.data.embeddings import Embeddings, numbered, read_embeddings
from reid_hash.data.images import decode, find_images, read_image
from reid_hash.distances import query_values
from reid_hash.errors import ConfigError, DataError
from reid_hash.gallery.base import AnyGallery
from reid_hash.models.encoder import Encoder

By = Literal["identities", "tracks"]
Names = Literal["market1501", "tracks"]

MOST = 50_000
"""Images or vectors that are looked at; drawn where there are more vectors."""

_MARKET = re.compile(r"(-1|\d+)_c(\d+)(?:s\d+_(\d+))?.*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class CalibrateOptions:
    """What `reid-hash gallery calibrate` learns from.

    Attributes:
        images: files and folders, or the name of a data set, whose test images are taken; none for
            the gallery's own sightings.
        embeddings: a file of vectors; see `data.embeddings`.
        names: what is read from image files: "market1501", identity and camera; "tracks", of
            CAMERA/TRACK/FRAME.jpg the frame, or the seconds.
        by: identities or tracks; identities where there are two, when left out.
        data: the data root of a data set; None for the usual one.
        seed: of all draws.
        skip_unreadable: leave out images that cannot be read.

    Raises:
        ConfigError: options that exclude each other.
    """

    images: Sequence[str] = ()
    embeddings: Path | None = None
    names: Names | None = None
    by: By | None = None
    data: Path | None = None
    seed: int = 0
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.images and self.embeddings is not None:
            raise ConfigError("calibrate from --images or from --embeddings, not from both")
        if self.names and not self.images:
            raise ConfigError("--names is of image files: name some with --images")

    @property
    def own(self) -> bool:
        """Whether it learns from the gallery's own sightings."""
        return not self.images and self.embeddings is None


def calibrate_gallery(
    gallery: AnyGallery,
    encoder: Encoder | None,
    lengths: Sequence[int],
    options: CalibrateOptions,
    progress: Callable[[int], object] | None = None,
) -> Calibration:
    """Learn a gallery's thresholds, and keep them in it.

    Args:
        gallery: open for writing.
        encoder: the gallery's model; not needed for its own sightings.
        lengths: code lengths.
        options: what to learn from.
        progress: called with the number of images of each batch.

    Raises:
        GalleryError: of no two images it is known that they are of two people.
        DataError: images or vectors cannot be read, or a name says nothing.
    """
    if options.own:
        return gallery.calibrate(lengths, seed=options.seed, by=options.by)
    assert encoder is not None
    if options.embeddings is not None:
        given = read_embeddings(options.embeddings, MOST, options.seed)
        outputs, _ = head_of(encoder, gallery.model_file).outputs(
            given.vectors, progress=progress or False
        )
        seen = seen_of(given)
        of = options.embeddings.name
    else:
        outputs, seen = _images(encoder, options, progress)
        of = ", ".join(options.images)
    like = gallery.codes(ids=[])[0]
    codes = Codes(
        encoder.binarise(outputs).shortened(gallery.bits).packed,
        *(like.bits, like.weights, like.model),
    )
    found = calibrate_outputs(codes, outputs, seen, lengths, options.by, options.seed, of)
    gallery.calibration = found
    return found


def calibrate_outputs(
    codes: Codes,
    outputs: NDArray[np.floating],
    seen: Seen,
    lengths: Sequence[int],
    by: By | None = None,
    seed: int = 0,
    of: str = "",
) -> Calibration:
    """Learn thresholds from what any encoder gives, without a gallery.

    Args:
        codes: n codes.
        outputs: [n, bits or more] real, what they are the signs of (`Encoder.outputs`).
        seen: what is known of the images.
        lengths: code lengths.
        by: see `CalibrateOptions`.
        seed: of the draw.
        of: where the images come from, in words.
    """
    known: Evidence
    if by == "tracks" and (seen.tracks is None or seen.times is None):
        raise DataError("--by tracks needs a track and a time of each image")
    if by == "identities" and seen.identities is None:
        raise DataError("--by identities needs the identity of each image")
    if by is None:
        known = evidence(seen, seed=seed)
    else:
        known = ByIdentity(seen, seed=seed) if by == "identities" else ByTrack(seen, seed=seed)
    values = query_values(outputs[:, : codes.bits])
    about = f"{known.about} of {of}" if of else known.about
    return calibrate_queries(codes, known, lengths, values, about=about)


def seen_of(given: Embeddings) -> Seen:
    """What a file of embeddings knows of each."""

    def column(values: NDArray[np.generic] | None) -> NDArray[np.int64] | None:
        return None if values is None else numbered(values)

    times = None if given.times is None else np.asarray(given.times, np.float64)
    return Seen(column(given.identities), column(given.cameras), column(given.tracks), times)


def _images(
    encoder: Encoder, options: CalibrateOptions, progress: Callable[[int], object] | None
) -> tuple[NDArray[np.float32], Seen]:
    if len(options.images) == 1 and options.images[0] in DATASETS:
        dataset = load_dataset(options.images[0], options.data)
        if dataset.by_class:
            raise ConfigError(f"{dataset.name} has classes, and no identities to calibrate on")
        pixels = [
            decode(part, *encoder.size, options.skip_unreadable, growing=encoder.growing)
            for part in (dataset.query, dataset.gallery)
            if len(part)
        ]
        labels = np.concatenate([part.labels for part in pixels])
        cameras = np.concatenate([part.cameras for part in pixels])
        images = np.concatenate([part.images for part in pixels])
        seen = Seen(np.where(labels > 0, labels, -1), cameras)
    else:
        files = find_images([Path(one) for one in options.images]).files
        seen = _from_names(files, options.names)
        rows = np.arange(len(files))
        read = ImageSet(lambda i: read_image(files[i]), [str(one) for one in files], rows, rows)
        found = decode(read, *encoder.size, options.skip_unreadable, growing=encoder.growing)
        images, kept = found.images, found.labels
        columns = (seen.identities, seen.cameras, seen.tracks, seen.times)
        seen = Seen(*(None if column is None else column[kept] for column in columns))  # type: ignore[arg-type]
    outputs, _ = encoder.outputs(images, progress=progress or False)
    return outputs, seen


def _from_names(files: Sequence[Path], names: Names | None) -> Seen:
    """What the names of image files say.

    Raises:
        ConfigError: nobody said how to read them.
        DataError: a name says nothing.
    """
    if names is None:
        raise ConfigError(
            "say what the names of --images mean: --names market1501 for 0002_c1s1_000451_03.jpg, "
            "--names tracks for CAMERA/TRACK/FRAME.jpg"
        )
    if names == "market1501":
        matches = [_MARKET.fullmatch(file.name) for file in files]
        for file, match in zip(files, matches, strict=True):
            if match is None:
                raise DataError(f"{file} is not named like 0002_c1s1_000451_03.jpg")
        said = np.array([[int(match[1]), int(match[2])] for match in matches if match], np.int64)
        # −1 is a bad detection, 0 anybody else: neither is one person
        return Seen(np.where(said[:, 0] > 0, said[:, 0], -1), said[:, 1])
    for file in files:
        if not _NUMBER.fullmatch(file.stem) or len(file.absolute().parts) < 4:
            raise DataError(f"{file} is not named like CAMERA/TRACK/000451.jpg, a frame or seconds")
    whole = [file.absolute() for file in files]
    cameras = np.unique([str(file.parent.parent) for file in whole], return_inverse=True)[1]
    tracks = np.unique([str(file.parent) for file in whole], return_inverse=True)[1]
    return Seen(
        cameras=cameras.reshape(-1).astype(np.int64),
        tracks=tracks.reshape(-1).astype(np.int64),
        times=np.array([float(file.stem) for file in whole]),
    )
