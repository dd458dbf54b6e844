"""Search: an image, a folder of images or a file of codes in, the nearest sightings out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.app.encode import head_of
from reid_hash.app.gallery import CODES, gallery_encoder
from reid_hash.app.runs import USUAL_DATASET
from reid_hash.codes import Codes, load_codes
from reid_hash.data.embeddings import read_embeddings
from reid_hash.data.images import find_images
from reid_hash.data.listing import counted
from reid_hash.distances import query_values
from reid_hash.errors import ConfigError
from reid_hash.gallery.answers import answers
from reid_hash.gallery.base import AnyGallery
from reid_hash.gallery.encoding import encode_queries
from reid_hash.gallery.open import Place, open_gallery
from reid_hash.gallery.sighting import Answer, Filter
from reid_hash.models.foreign.network import Network

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchOptions:
    """What `reid-hash search` takes.

    Attributes:
        query: an image, a folder of images, or a file of codes (.npz); None with `embedding`.
        gallery: where it is.
        embedding: vectors to search for, in place of `query`: .npy ([d] or [n, d]), .npz, .parquet.
        bits: how many bits are compared; None for all.
        unweighted: by plain Hamming distance.
        asymmetric: the query keeps its real values.
        track: all images of the query are of one person, whose mean of real values is searched for.
        top: how many sightings to find.
        far: share of strangers that may be taken for somebody, 0 to 1; says who is a stranger, by
            the gallery's calibration. None to say nothing.
        cameras: only of these cameras; none for all.
        sources: only from these sources; none for all.
        since: not before this time, seconds since 1970, UTC.
        until: before this time, likewise.
        model: see `gallery_encoder`.
        dataset: likewise.
        device: where to compute.
        runs: folder of all runs; None where there are none.

    Raises:
        ConfigError: options that exclude each other.
    """

    query: Path | None
    gallery: Place
    embedding: Path | None = None
    bits: int | None = None
    unweighted: bool = False
    asymmetric: bool = False
    track: bool = False
    top: int = 10
    far: float | None = None
    cameras: Sequence[str] = ()
    sources: Sequence[str] = ()
    since: float | None = None
    until: float | None = None
    model: Path | Network | None = None
    dataset: str = USUAL_DATASET
    device: str = "auto"
    runs: Path | None = None

    def __post_init__(self) -> None:
        if self.asymmetric and self.unweighted:
            raise ConfigError("--asymmetric distances are weighted: leave out --unweighted")
        if self.track and self.unweighted:
            raise ConfigError("--track distances are weighted: leave out --unweighted")

    @property
    def filter(self) -> Filter:
        """Which sightings are searched."""
        where: Filter = {}
        if self.cameras:
            where["cameras"] = self.cameras
        if self.sources:
            where["sources"] = self.sources
        if self.since is not None:
            where["since"] = self.since
        if self.until is not None:
            where["until"] = self.until
        return where


class Query(NamedTuple):
    """What is searched for.

    Attributes:
        codes: of the gallery's length and model.
        names: one a code.
        values: [n, bits] float32 in (-1, 1), of which the codes are the signs (`query_values`);
            None where codes are all there is.
        note: what was left out of a folder; "" for nothing.
    """

    codes: Codes
    names: list[str]
    values: NDArray[np.float32] | None = None
    note: str = ""


def search(options: SearchOptions) -> tuple[dict[str, Any], list[Answer]]:
    """Find the sightings of a gallery that are nearest to a query.

    Returns:
        (what was searched and how, an answer for each image or code of the query).

    Raises:
        ReidHashError: the gallery, the query or the model is missing or does not fit.
    """
    with open_gallery(options.gallery, read_only=True) as gallery:
        _log.info("gallery: %s, %s sightings", gallery.place, f"{len(gallery):,}")
        asked = read_query(
            *(gallery, options.query, options.model, options.dataset),
            *(options.device, options.runs, options.embedding),
        )
        looked_for: Codes | NDArray[np.floating] = asked.codes
        names = asked.names
        if options.asymmetric or options.track:
            if asked.values is None:
                option = "--track" if options.track else "--asymmetric"
                raise ConfigError(f"{option}: {options.query} holds codes alone; name an image")
            looked_for = asked.values
        if options.track:
            looked_for = np.asarray(looked_for).mean(0, keepdims=True)
            names = [f"{options.embedding or options.query}, {counted(len(names), 'image')}"]
        found = answers(
            *(gallery, looked_for, names, options.top, options.bits),
            *(not options.unweighted, options.far, options.filter, options.track),
        )
        about = {
            "gallery": gallery.place,
            "model": gallery.model,
            "bits": options.bits or gallery.bits,
            "weighted": not options.unweighted,
            "asymmetric": options.asymmetric or options.track,
            "track": options.track,
            "far": options.far,
            "notes": [asked.note] if asked.note else [],
        }
    return about, found


def read_query(
    gallery: AnyGallery,
    file: Path | None,
    model: Path | Network | None,
    dataset: str,
    device: str = "auto",
    runs: Path | None = None,
    embedding: Path | None = None,
) -> Query:
    """Codes and values of an image file, or of all of a folder; or the codes of an .npz file.

    Args:
        gallery: to be searched.
        file: image, folder or codes.
        model: see `gallery_encoder`; not needed for codes.
        dataset: likewise.
        device: where to compute.
        runs: likewise.
        embedding: a file of vectors, in place of `file`.
    """
    if embedding is not None:
        encoder = gallery_encoder(gallery, model, dataset, device, runs)
        vectors = read_embeddings(embedding)
        outputs, _ = head_of(encoder, gallery.model_file).outputs(vectors.vectors)
        codes = encoder.binarise(outputs).shortened(gallery.bits)
        return Query(codes, vectors.named(str(embedding)), query_values(outputs)[:, : codes.bits])
    if file is None:
        raise ConfigError("name an image, a folder or codes to search for, or --embedding")
    if file.suffix.lower() == CODES:
        codes, names = load_codes(file)
        return Query(
            codes.shortened(gallery.bits), names or [f"{file}[{i}]" for i in range(len(codes))]
        )
    files, note = find_images([file])
    encoder = gallery_encoder(gallery, model, dataset, device, runs)
    codes, values = encode_queries(encoder, files)
    codes = codes.shortened(gallery.bits)
    return Query(codes, [str(one) for one in files], values[:, : codes.bits], note)
