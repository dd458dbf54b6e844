"""Encode a data set: the input to every evaluation of a network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.codes import Codes
from reid_hash.data.dataset import Dataset, Trial
from reid_hash.data.images import Pixels, decode
from reid_hash.data.labels import relevance
from reid_hash.data.listing import without_match
from reid_hash.distances import query_values
from reid_hash.errors import ConfigError, DataError
from reid_hash.models.encoder import Encoder
from reid_hash.report.grid import RankingRow


@dataclass(frozen=True, eq=False)
class Embedded:
    """Query and gallery of a data set as float embeddings.

    Attributes:
        query: [n, features] float32, embeddings of the query images.
        gallery: [n, features] float32, embeddings of the gallery images.
        query_pixels: the decoded query images.
        gallery_pixels: the decoded gallery images.
    """

    query: NDArray[np.float32]
    gallery: NDArray[np.float32]
    query_pixels: Pixels
    gallery_pixels: Pixels

    def of_trial(self, trial: Trial) -> "Embedded":
        """Select the images of one trial of a data set."""
        q, g = _rows_of_trial(trial, self.query_pixels, self.gallery_pixels)
        pixels = self.query_pixels.subset(q), self.gallery_pixels.subset(g)
        return Embedded(self.query[q], self.gallery[g], *pixels)

    @property
    def unreadable(self) -> list[str]:
        """List the images that were left out, with the reason; each once."""
        both = self.query_pixels.unreadable + self.gallery_pixels.unreadable
        return list(dict.fromkeys(both))


def _rows_of_trial(
    trial: Trial, query: Pixels, gallery: Pixels
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of the query and gallery images of a trial."""
    q = np.array([name in trial.query for name in query.names], np.bool_)
    return q, np.array([name in trial.gallery for name in gallery.names], np.bool_)


@dataclass(frozen=True, eq=False)
class Encoded:
    """Query and gallery of a data set as codes.

    Attributes:
        query: codes of the query images.
        gallery: codes of the gallery images.
        query_pixels: the decoded query images.
        gallery_pixels: the decoded gallery images.
        query_embedding: [n, features] float32, float embeddings of the query images.
        gallery_embedding: [n, features] float32, float embeddings of the gallery images.
        query_values: [n, bits] float32 in (-1, 1), asymmetric queries; None if not requested.
    """

    query: Codes
    gallery: Codes
    query_pixels: Pixels
    gallery_pixels: Pixels
    query_embedding: NDArray[np.float32]
    gallery_embedding: NDArray[np.float32]
    query_values: NDArray[np.float32] | None = None

    def reweighted(self, weights: ArrayLike) -> "Encoded":
        """Return the same bits with other weights; see `Codes.reweighted`."""
        query, gallery = self.query.reweighted(weights), self.gallery.reweighted(weights)
        return replace(self, query=query, gallery=gallery)

    def of_trial(self, trial: Trial) -> "Encoded":
        """Select the images of one trial of a data set."""
        q, g = _rows_of_trial(trial, self.query_pixels, self.gallery_pixels)
        return Encoded(
            self.query[q],
            self.gallery[g],
            self.query_pixels.subset(q),
            self.gallery_pixels.subset(g),
            self.query_embedding[q],
            self.gallery_embedding[g],
            None if self.query_values is None else self.query_values[q],
        )

    @property
    def embedded(self) -> Embedded:
        """Return the float embeddings alone."""
        pixels = self.query_pixels, self.gallery_pixels
        return Embedded(self.query_embedding, self.gallery_embedding, *pixels)

    @property
    def unreadable(self) -> list[str]:
        """List the images that were left out, with the reason; each once."""
        return self.embedded.unreadable


def embed_dataset(
    encoder: Encoder,
    dataset: Dataset,
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Embedded:
    """Embed the query and gallery images with an encoder that has no codes.

    Args:
        encoder: the network.
        dataset: data set with `query` and `gallery`; if both are the same, it is embedded once.
        skip_unreadable: see `decode`.
        progress: called with the number of images in each embedded batch.
    """
    query_pixels = decode(dataset.query, *encoder.size, skip_unreadable, growing=encoder.growing)
    _, query = encoder.outputs(query_pixels.images, progress=progress or False)
    if dataset.gallery is dataset.query:
        return Embedded(query, query, query_pixels, query_pixels)
    gallery_pixels = decode(
        dataset.gallery, *encoder.size, skip_unreadable, growing=encoder.growing
    )
    _, gallery = encoder.outputs(gallery_pixels.images, progress=progress or False)
    return Embedded(query, gallery, query_pixels, gallery_pixels)


def encode_dataset(
    encoder: Encoder,
    dataset: Dataset,
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
    train_pixels: Pixels | None = None,
) -> Encoded:
    """Decode and encode the query and gallery images; if both are the same set, once.

    Args:
        encoder: the network.
        dataset: data set with `query` and `gallery`.
        skip_unreadable: see `decode`.
        progress: called with the number of images in each encoded batch.
        train_pixels: decoded training images, if available; reused if they are also the gallery.
    """
    height, width = encoder.size
    query_pixels = decode(dataset.query, height, width, skip_unreadable, growing=encoder.growing)
    outputs, embedding = encoder.outputs(query_pixels.images, progress=progress or False)
    query, values = encoder.binarise(outputs), query_values(outputs)
    if dataset.gallery is dataset.query:
        return Encoded(query, query, query_pixels, query_pixels, embedding, embedding, values)
    if dataset.gallery is dataset.train and train_pixels is not None:
        gallery_pixels = train_pixels
    else:
        gallery_pixels = decode(
            dataset.gallery, height, width, skip_unreadable, growing=encoder.growing
        )
    outputs, gallery_embedding = encoder.outputs(gallery_pixels.images, progress=progress or False)
    gallery = encoder.binarise(outputs)
    return Encoded(
        query, gallery, query_pixels, gallery_pixels, embedding, gallery_embedding, values
    )


def check_matches(dataset: Dataset, open_set: bool = False) -> None:
    """Refuse a data set in which nothing can be found, before any work on it.

    Args:
        dataset: the data set to check.
        open_set: whether open-set figures are wanted, which need two identities.

    Raises:
        DataError: there is no query or no gallery, or no query has a match under the camera rule.
        ConfigError: the queries are their own gallery, and the camera rule lets each find itself.
    """
    if dataset.trials:
        for trial in dataset.trials:
            check_matches(dataset.of_trial(trial), open_set)
        return
    query, gallery = dataset.query, dataset.gallery
    where = f"{dataset.name}, {dataset.protocol}"
    if not len(query) or not len(gallery):
        kind = "database" if dataset.by_class else "gallery"
        raise DataError(f"{where}: there is no query or no {kind}")
    if dataset.by_class:
        if query.labels.ndim == 2:
            found = (query.labels.any(0) & gallery.labels.any(0)).any()
        else:
            found = np.isin(query.labels, gallery.labels).any()
        if not found:
            raise DataError(f"{where}: no query has an image of its class in the database")
        return
    if dataset.camera_rule == "none":
        if gallery is query:
            raise ConfigError(
                f"{where}: queries and gallery are the same images, so that with the camera rule "
                "none each would find itself; leave the rule out"
            )
        matched = np.isin(query.labels, gallery.labels)
    else:
        matched = ~without_match(query, gallery)
    if not matched.any():
        if np.isin(query.labels, gallery.labels).any() and gallery is not query:
            raise DataError(
                f"{where}: no query has a gallery image of its identity from another camera; to "
                "count those of its own camera too, choose --camera-rule none"
            )
        raise DataError(
            f"{where}: no query has a gallery image of its identity"
            + (" from another camera" if gallery is query else "")
            + "; check how the images are named, or choose another --protocol"
        )
    if open_set and len(np.unique(query.labels[matched])) < 2:
        raise DataError(
            f"{where}: one identity alone can be found, and open-set figures need strangers too; "
            "leave out --open-set"
        )


def check_lengths(lengths: Sequence[int], bits: int) -> None:
    """Raise ConfigError if a length is not in 1 … bits."""
    for length in lengths:
        if not 1 <= length <= bits:
            raise ConfigError(
                f"--bits {length}: the model's codes have {bits} bits; choose 1 to {bits}"
            )


def ranking_row(
    encoded: Encoded,
    i: int,
    distances: NDArray[np.generic],
    top: int,
    valid: NDArray[np.bool_] | None = None,
) -> RankingRow:
    """Select the nearest images of a query.

    Equally distant images come in a random order, the same for every query. In the order of the
    gallery, which is that of class folders, ties would favour a class.

    Args:
        encoded: queries and gallery.
        i: index of the query.
        distances: [G] distance to each gallery image.
        top: number of images.
        valid: [G], False for images to leave out. Default: all are valid.
    """
    query, gallery = encoded.query_pixels, encoded.gallery_pixels
    tie = np.random.default_rng(0).permutation(len(gallery))
    order = np.lexsort((tie, distances))
    if valid is not None:
        order = order[valid[order]]
    order = order[:top]
    return RankingRow(
        query=query.images[i],
        query_name=query.names[i],
        images=[gallery.images[j] for j in order],
        names=[gallery.names[j] for j in order],
        matches=relevance(query.labels[[i]], gallery.labels[order])[0].tolist(),
        distances=[float(d) for d in np.asarray(distances, np.float64)[order]],
    )
