"""Anybody's embeddings → a head with its certificate."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.app.encode import embed_files
from reid_hash.data import DATASETS, load_dataset
from reid_hash.data.embeddings import Embeddings, checked_vectors, numbered
from reid_hash.data.images import decode, find_images
from reid_hash.errors import ConfigError, DataError
from reid_hash.models.foreign.network import Network
from reid_hash.models.head_encoder import Head, HeadEncoder
from reid_hash.models.load import open_model

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
"""Code lengths of the certificate, up to the head's own."""

MOST = 200_000
"""Vectors that a head learns from; drawn where there are more."""

_HELD_OUT = 0.25  # share of the identities, or vectors, that the certificate is measured on
_MOST_BITS = 16_384


def fit(
    embeddings: ArrayLike,
    identities: ArrayLike | None = None,
    cameras: ArrayLike | None = None,
    bits: int = 256,
    *,
    seed: int = 0,
    certificate: bool = True,
    progress: Callable[[int], object] | None = None,
) -> HeadEncoder:
    """Fit codes to anybody's embeddings.

    The certificate comes from a head that was fitted without a quarter of the identities (without
    identities: of the vectors); the head that is returned is fitted on all.

    Args:
        embeddings: [n, d] real, finite, none zero; at most `MOST` of them are learned from.
        identities: [n] int or str, of whom each is; negative numbers are unknown. Left out, codes
            keep the vectors' neighbours.
        cameras: [n] int or str; codes then learn to find an identity in other cameras.
        bits: length of the codes, any number; any prefix of a code is one.
        seed: of all draws.
        certificate: measure one.
        progress: called with 1 after each step of the training; there are `steps(certificate)`.

    Returns:
        An encoder whose `encode` takes vectors [n, d]; `save` writes it, `load_model` opens it.

    Raises:
        DataError: embeddings that are NaN, zero or no matrix; too few; identities or cameras of
            another number.
        ConfigError: bits out of range.

    Example:
        head = reid_hash.fit(embeddings, identities, bits=256)
        codes = head.encode(embeddings)
        head.save("head.safetensors")
    """
    columns = (None if column is None else np.asarray(column) for column in (identities, cameras))
    given = Embeddings(np.asanyarray(embeddings), *columns)
    return fit_embeddings(given, bits, seed, certificate, progress)


def embed_for_fit(
    images: Sequence[str],
    model: Path | Network,
    data: Path | None = None,
    device: str = "auto",
    skip_unreadable: bool = False,
    progress: Callable[[int], object] | None = None,
) -> tuple[Embeddings, list[str]]:
    """The floats that a network makes of images, to fit a head on.

    Args:
        images: files and folders; or the name of a data set, whose training images are taken with
            their identities and cameras.
        model: the network.
        data: the data root of a data set; None for the usual one.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        progress: called with the number of images of each batch.

    Returns:
        (embeddings, what a person must know of them).

    Raises:
        ConfigError: the data set has no training images.
    """
    if list(images[1:]) or images[0] not in DATASETS:
        found = find_images([Path(one) for one in images])
        made = embed_files(found.files, model, device, skip_unreadable, progress)
        notes = [found.note] if found.note else []
        if made.unreadable:
            notes += [f"{len(made.unreadable)} images left out:", *made.unreadable]
        return made.embeddings, notes
    # all identities: the certificate holds some out by itself
    protocol = "train-only" if images[0] == "market1501" else None
    dataset = load_dataset(images[0], data, protocol=protocol)
    if not len(dataset.train):
        raise ConfigError(f"{dataset.name} has no training images here to fit a head on")
    encoder = open_model(model, device)
    pixels = decode(dataset.train, *encoder.size, skip_unreadable, growing=encoder.growing)
    _, vectors = encoder.outputs(pixels.images, progress=progress or False)
    labels = pixels.labels if pixels.labels.ndim == 1 else None
    cameras = None if dataset.by_class else pixels.cameras
    return Embeddings(vectors, labels, cameras), [*dataset.notes, *pixels.unreadable]


def steps(certificate: bool = True) -> int:
    """How many steps of training a fit has."""
    from reid_hash.training.fit import STEPS

    return STEPS * (2 if certificate else 1)


def fit_embeddings(
    given: Embeddings,
    bits: int = 256,
    seed: int = 0,
    certificate: bool = True,
    progress: Callable[[int], object] | None = None,
) -> HeadEncoder:
    """Fit a head on embeddings in memory, or mapped; see `fit`."""
    from reid_hash.training.fit import fit_head, identity_rows  # torch takes seconds to import

    if not 1 <= bits <= _MOST_BITS:
        raise ConfigError(f"--bits {bits}: choose 1 to {_MOST_BITS:,}")
    if len(given) > MOST:
        random = np.random.default_rng(seed)
        given = given.take(np.sort(random.choice(len(given), MOST, replace=False)))
    vectors = checked_vectors(given.vectors)
    if len(vectors) < 2 or (vectors == vectors[0]).all():
        raise DataError("a head is fitted on at least 2 embeddings that are not the same")
    labels = None if given.identities is None else numbered(given.identities)
    cameras = None if given.cameras is None else numbered(given.cameras)
    groups = identity_rows(labels)
    if not groups:
        labels = cameras = None
    trained_on: dict[str, Any] = {
        "embeddings": len(vectors),
        "dims": vectors.shape[1],
        "identities": len(groups) if groups else None,
        "cameras": None if cameras is None else len(np.unique(cameras)),
        "seed": seed,
    }
    certified: dict[str, Any] = {}
    if certificate:
        certified = _certificate(vectors, labels, cameras, bits, seed, progress)
    head = fit_head(vectors, labels, cameras, bits, seed, progress)
    return HeadEncoder(Head(head.matrix, head.shift, head.bit_weights, trained_on, certified))


def _certificate(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64] | None,
    cameras: NDArray[np.int64] | None,
    bits: int,
    seed: int,
    progress: Callable[[int], object] | None,
) -> dict[str, Any]:
    """Fit a head without a part of the vectors, and measure it on that part."""
    from reid_hash.evaluation.certificate import certify, held_out
    from reid_hash.training.fit import fit_head, identity_rows

    random = np.random.default_rng(seed)
    if labels is None:
        units, of = np.arange(len(vectors)), np.arange(len(vectors))
        about = "vectors"
    else:
        units, of = np.unique(labels[labels >= 0]), labels
        about = "identities"
    out_units = random.permutation(units)[: max(1, round(_HELD_OUT * len(units)))]
    out = np.isin(of, out_units)
    rest = ~out
    about = f"{len(out_units):,} of {len(units):,} {about} held out"
    lengths = sorted({*(length for length in LENGTHS if length < bits), bits})

    def part(column: NDArray[np.int64] | None, rows: NDArray[np.bool_]) -> Any:
        return None if column is None else column[rows]

    if rest.sum() < 2 or (labels is not None and not identity_rows(labels[rest])):
        text = (
            f"cannot tell what codes lose: {len(units)} {about.split()[3]} are too few to hold out"
        )
        return {"about": about, "enough": False, "rows": [], "sentences": [text]}
    head = fit_head(vectors[rest], part(labels, rest), part(cameras, rest), bits, seed, progress)
    test = held_out(vectors[out], part(labels, out), part(cameras, out), seed)
    return certify(head, vectors[rest], test, lengths, about, seed)
