"""Images and files of codes into a gallery, and the network that makes its codes."""

import itertools
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.app.encode import head_of
from reid_hash.app.runs import find_model
from reid_hash.codes import Codes, load_codes
from reid_hash.data.embeddings import embedding_blocks
from reid_hash.data.images import find_images, read_bytes
from reid_hash.distances import hamming
from reid_hash.errors import DataError, NoImageError
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.encoding import (
    blocks,
    digest,
    encode,
    find_network,
    load_network,
    mark_of,
    source_of,
)
from reid_hash.gallery.sighting import Sighting
from reid_hash.models.encoder import Encoder
from reid_hash.models.foreign.network import Network
from reid_hash.models.load import open_model

_log = logging.getLogger(__name__)

CODES = ".npz"
"""Suffix of files that hold codes in place of images."""

_DEEPEST = 6  # folders and file of a relative path that an older version may have been given
_SAME = 64  # two encodings of one image may differ in one bit of so many
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
        known: how many files were passed over: the newest sighting of the file has its content,
            or the file was named before.
        changed: how many of `sightings` are of files with an earlier sighting of other content.
        unreadable: why each unreadable image was left out.
    """

    sightings: int = 0
    known: int = 0
    changed: int = 0
    unreadable: list[str] = field(default_factory=list)


def checkpoint_codes(
    model: Path | Network | None, dataset: str, runs: Path | None = None
) -> tuple[Codes, str]:
    """What a gallery for a model's codes is made of; see `find_model`.

    Returns:
        (no code, but with the model's length, weights and fingerprint, what the gallery notes as
        its model).
    """

    file = find_model(model, dataset, runs)
    encoder = open_model(file, "cpu")
    return encoder.binarise(np.zeros((0, encoder.bits))), noted_model(file)


def noted_model(model: Path | Network) -> str:
    """What a gallery notes as its model, so that it is found again."""
    if isinstance(model, Network):
        return model.absolute().noted()
    return str(model.absolute())


def gallery_encoder(
    gallery: AnyGallery,
    model: Path | Network | None,
    dataset: str,
    device: str = "auto",
    runs: Path | None = None,
) -> Encoder:
    """The network that makes a gallery's codes.

    Args:
        gallery: an open one.
        model: a checkpoint, an ONNX file, the folder of a run, or a network that was not trained
            here; None for the shipped model that made the codes, else the file that the gallery
            says it was made with if that is still there, else the newest run of `dataset`.
        dataset: name of the data set.
        device: where to compute.
        runs: folder of all runs; None to look at none.

    Raises:
        CodeError: it is another network.
        CheckpointError: there is none, or the gallery names something that is not opened.
    """
    file: Path | Network | None = None
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

    A file is one sighting, by whatever path and however often it is named. One that is a sighting's
    source already is passed over unless its content has changed, so that an interrupted run can be
    started again. Content is compared by a digest kept in the thumbnail; where there is none, by
    code. With `options.source`, the gallery is not searched for the files.

    Args:
        gallery: open for writing.
        encoder: the gallery's network.
        paths: files and folders.
        options: what is noted with each.
        progress: called with the number of images of each encoded batch.

    Raises:
        DataError: an image cannot be read, or a name says nothing; the blocks before are kept.
    """
    named = find_images(paths).files
    # by the real path, which is the source where none is given
    files = list({source_of(file): file for file in reversed(named)}.values())[::-1]
    sightings = [_described(file, options) for file in files]  # names are read before any work
    added = Added(known=len(named) - len(files))
    for block in blocks(len(files)):
        rows = list(range(len(files))[block])
        if options.source is None:
            there = _newest(gallery, [files[i] for i in rows], [sightings[i].source for i in rows])
            same = {i for i in rows if _shows(there.get(sightings[i].source), files[i])}
            added.known += len(same)
            rows = [i for i in rows if i not in same]
        if not rows:
            continue
        try:
            encoded = encode(
                encoder,
                [files[i] for i in rows],
                [sightings[i] for i in rows],
                options.thumbnails,
                options.skip_unreadable,
                progress,
            )
        except NoImageError as error:
            if len(rows) == len(named):
                raise
            added.unreadable += error.reasons  # the other files are there, or to come
            continue
        codes, found = encoded.codes.shortened(gallery.bits), encoded.sightings
        if options.source is None:
            before = [there.get(one.source) for one in found]
            new = ~_encoded_before(gallery, codes, before)
            added.known += int((~new).sum())
            kept = np.flatnonzero(new).tolist()
            added.changed += sum(before[i] is not None for i in kept)
            codes, found = codes[new], [found[i] for i in kept]
        if len(codes):
            gallery.add(codes, found)
        added.sightings += len(codes)
        added.unreadable += encoded.unreadable
    return added


def _newest(
    gallery: AnyGallery, files: Sequence[Path], sources: Sequence[str]
) -> dict[str, Sighting]:
    """For each file that is a sighting's source, find the sighting that was added last.

    Args:
        gallery: open.
        files: as they were named: older galleries have such paths as sources.
        sources: [n] their real paths.

    Returns:
        Source → sighting, with its thumbnail.
    """
    names = [(source, *_older_sources(file)) for source, file in zip(sources, files, strict=True)]
    last: dict[str, int] = {}
    for one in gallery.sightings(sources=sorted(set(itertools.chain(*names)))):
        last[one.source] = max(last.get(one.source, 0), one.id or 0)
    newest = {own[0]: max(last.get(name, 0) for name in own) for own in names}
    ids = sorted({number for number in newest.values() if number})
    if not ids:
        return {}
    found = {one.id: one for one in gallery.sightings(ids=ids, thumbnails=True)}
    return {source: found[number] for source, number in newest.items() if number in found}


def _older_sources(file: Path) -> set[str]:
    """Sources that an older version gave a file: its path as it may have been typed, from here or
    from a folder above the file."""
    real = Path(os.path.realpath(file))
    typed: set[str | Path] = {file, os.path.abspath(file), os.path.relpath(real)}
    parts = real.parts[1:]
    typed |= {Path(*parts[-n:]) for n in range(1, min(len(parts), _DEEPEST) + 1)}
    return {os.fsencode(path).decode("utf-8", "replace") for path in typed}


def _shows(sighting: Sighting | None, file: Path) -> bool:
    """Whether a sighting's thumbnail says that it was made from a file's present content."""
    mark = None if sighting is None else mark_of(sighting.thumbnail)
    if mark is None:
        return False
    try:
        return mark == digest(read_bytes(file))
    except DataError:
        return False  # encoding it will say why


def _encoded_before(
    gallery: AnyGallery, codes: Codes, before: Sequence[Sighting | None]
) -> NDArray[np.bool_]:
    """Compare new codes with those of sightings without a digest in their thumbnail.

    Another processor, or another batch, may flip a bit whose output is near zero.

    Args:
        gallery: open.
        codes: n of them.
        before: [n] the newest sighting of each one's file, or None.

    Returns:
        [n] bool, whether the code is that sighting's.
    """
    silent = {i: one for i, one in enumerate(before) if one and mark_of(one.thumbnail) is None}
    known = np.zeros(len(codes), bool)
    if silent:
        stored, ids = gallery.codes(ids=[one.id or 0 for one in silent.values()])
        row = {number: j for j, number in enumerate(ids.tolist())}
        for i, one in silent.items():
            j = row.get(one.id or 0)
            if j is not None:
                apart = int(hamming(codes[[i]], stored[[j]])[0, 0])
                known[i] = apart <= codes.bits // _SAME
    return known


def add_codes(gallery: AnyGallery, file: Path, options: AddOptions) -> Added:
    """Add the codes of an .npz file, whose names become sources; see `add_images`."""
    codes, names = load_codes(file)
    if not names:
        names = [source_of(file)] * len(codes)
    sightings = [_described(Path(name), options, options.source or name) for name in names]
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

    Names become sources (the file's name and the row where there are none); cameras, identities,
    times and tracks that are numbers are noted where the file has them. Identities below 0 are
    unknown. A vector is passed over where
    the newest sighting of its source has its code, so that an interrupted run can be started again,
    unless `options.source` is given.

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
    added, row = Added(), 0
    for block in embedding_blocks(file, _VECTORS):
        codes = head.encode(block.vectors, progress=progress or False).shortened(gallery.bits)
        sightings = []
        numbers = block.tracks is not None and block.tracks.dtype.kind in "iu"
        tracks = block.tracks if numbers else None  # a gallery counts tracks
        for i, name in enumerate(block.named(file.name, row)):
            sighting = _described(Path(name), options, options.source or name)
            if block.cameras is not None and not options.camera:
                sighting = replace(sighting, camera=str(block.cameras[i]))
            if block.identities is not None and _is_known(block.identities[i]):
                sighting = replace(sighting, name=str(block.identities[i]))
            if block.times is not None and options.time is None and np.isfinite(block.times[i]):
                sighting = replace(sighting, time=float(block.times[i]))
            if tracks is not None and tracks[i] >= 0:
                sighting = replace(sighting, track=int(tracks[i]))
            sightings.append(sighting)
        row += len(block)
        if options.source is None:
            there: dict[str, Sighting] = {}
            for one in gallery.sightings(sources=[sighting.source for sighting in sightings]):
                newest = there.setdefault(one.source, one)
                if (one.id or 0) > (newest.id or 0):
                    there[one.source] = one
            new = ~_encoded_before(gallery, codes, [there.get(one.source) for one in sightings])
            added.known += int((~new).sum())
            kept = np.flatnonzero(new).tolist()
            added.changed += sum(sightings[i].source in there for i in kept)
            codes, sightings = codes[new], [sightings[i] for i in kept]
        if len(codes):
            gallery.add(codes, sightings)
        added.sightings += len(codes)
    return added


def _is_known(identity: object) -> bool:
    """Whether a file of embeddings says who it is: not -1, NaN or nothing."""
    return not str(identity).startswith("-") and str(identity) not in ("", "nan")


def _described(file: Path, options: AddOptions, source: str | None = None) -> Sighting:
    source = source_of(file, options.source if source is None else source)
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
