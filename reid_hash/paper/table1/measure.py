"""Figures of table 1's rows; those measured before are read from their folders."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from reid_hash.baselines import KISSME
from reid_hash.baselines.esdc import DenseSalience, similarities
from reid_hash.baselines.patches import ROWS
from reid_hash.data.images import Pixels, decode
from reid_hash.distances import hamming, weighted
from reid_hash.evaluation.describe import DRAWS
from reid_hash.evaluation.encoded import Encoded
from reid_hash.evaluation.reid import CURVE, Row, distance_row, evaluate
from reid_hash.models.run_files import STATE_FILE
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.nn.fpnn import HEIGHT, WIDTH
from reid_hash.paper.methods.hash_functions import features_of, fitted
from reid_hash.paper.methods.kept import Key, kept_rows, key_of
from reid_hash.paper.methods.networks import Workplace, trained
from reid_hash.paper.methods.sources import Hashing, Network, epochs_of
from reid_hash.paper.table1.fpnn import EPOCHS, FilterPairing
from reid_hash.paper.table1.plan import Matching, RowSource, RowSpec
from reid_hash.utils.progress import counting

FAR = float(np.finfo(np.float32).max)
"""Distance of images of one camera, which are never compared; metrics need finite numbers."""


def measured(specs: Sequence[RowSpec], place: Workplace, seed: int) -> list[tuple[RowSpec, Row]]:
    """Measure rows; missing networks and functions are trained or fitted first.

    Args:
        specs: the rows.
        place: the data.
        seed: seed of the gallery draws.

    Returns:
        The figures of each row, by weighted and by plain distance if they differ. They include
        `bytes` per person, `encode_ms` and `compare_ms` (milliseconds for a query's code or
        descriptor, and for its distances to the whole gallery), and `query_ms`, their sum.
    """
    lengths: dict[RowSource, list[int]] = {}
    for spec in specs:
        lengths.setdefault(spec.source, []).append(spec.bits)
    rows = []
    found: dict[RowSource, dict[Key, Row]] = {}
    for spec in specs:
        source = spec.source
        if source not in found:
            found[source] = _of_source(source, lengths[source], place, seed)
        rows += [
            (spec, Row({**row.figures, **epochs_of(source)}, row.curve, row.curve_std))
            for (bits, _), row in found[source].items()
            if bits == spec.bits
        ]
    return rows


def _of_source(
    source: RowSource, lengths: Sequence[int], place: Workplace, seed: int
) -> dict[Key, Row]:
    network = source if isinstance(source, Network) else source.network
    checkpoint = network and trained(network, place)

    def measure(missing: Sequence[int]) -> list[Row]:
        if isinstance(source, Hashing):
            encoded, facts = fitted(source, place)
            return _code_rows(encoded, missing, (False,), place, seed, facts)
        if not isinstance(source, Network):
            return [_MATCHERS[source.method](source, place, seed)]
        assert isinstance(checkpoint, Checkpoint)
        if missing == [0]:
            return [_embedding_row(checkpoint, place, seed)]
        return _network_rows(checkpoint, missing, place, seed)

    key = key_of(
        place,
        train=len(place.dataset.train),
        draws=DRAWS,
        seed=seed,
        ranks=list(CURVE),
        network=checkpoint.fingerprint if checkpoint else "",
    )
    return kept_rows(Row, source.folder, key, lengths, measure)


def _network_rows(
    checkpoint: Checkpoint, lengths: Sequence[int], place: Workplace, seed: int
) -> list[Row]:
    encoder = TorchEncoder(checkpoint, place.device)
    pixels = _tested_pixels(place, *encoder.size)
    place.say("encoding the test images …")
    with counting(place.console, "encoding", len(pixels)) as progress:
        began = time.monotonic()
        outputs, embedding = encoder.outputs(pixels.images, progress=progress or False)
        codes = encoder.binarise(outputs)
        seconds = time.monotonic() - began
    encoded = Encoded(codes, codes, pixels, pixels, embedding, embedding)
    both = checkpoint.net.config.model.weights != "none"
    encode_ms = 1000 * seconds / len(pixels)
    weightings = (True, False) if both else (False,)
    return _code_rows(encoded, lengths, weightings, place, seed, {"encode_ms": encode_ms})


def _code_rows(
    encoded: Encoded,
    lengths: Sequence[int],
    weightings: Sequence[bool],
    place: Workplace,
    seed: int,
    facts: Mapping[str, Any],
) -> list[Row]:
    rows = []
    for row in evaluate(encoded, place.dataset, lengths, weightings=weightings, seed=seed):
        bits = row.figures["bits"]
        codes = encoded.query.prefix(bits)
        distance = weighted if row.figures["weighted"] else hamming
        took = _quickest(lambda codes=codes, distance=distance: distance(codes, codes))  # type: ignore[misc]
        figures = {
            **{key: value for key, value in row.figures.items() if key != "method"},
            **facts,
            **_cost(-(-bits // 8), facts["encode_ms"], 1000 * took / len(codes)),
        }
        rows.append(Row(figures, row.curve, row.curve_std))
    return rows


def _kissme(source: Matching, place: Workplace, seed: int) -> Row:
    features = features_of(source, place)
    train = features.train_pixels
    place.say(f"fitting {source.name} to {len(train):,} training images …")
    began = time.monotonic()
    # 743 identities of CUHK03 in two cameras give more than enough pairs for 128 dimensions
    identities = train.labels.astype(np.int64)
    metric = KISSME().fit(features.train, identities, train.cameras, source.seed)
    fit_seconds = time.monotonic() - began
    began = time.monotonic()
    vectors = metric.transform(features.query)
    seconds = features.query_seconds + time.monotonic() - began
    took = _quickest(lambda: cdist(vectors, vectors, "sqeuclidean"))
    return _matched_row(
        cdist(vectors, vectors, "sqeuclidean"),
        features.query_pixels,
        place,
        seed,
        {
            "distance": "Mahalanobis",
            "features": source.features,
            "train_samples": len(train),
            "fit_seconds": round(fit_seconds, 1),
            **_cost(
                4 * vectors.shape[1],
                1000 * seconds / len(vectors),
                1000 * took / len(vectors),
            ),
        },
    )


def _embedding_row(checkpoint: Checkpoint, place: Workplace, seed: int) -> Row:
    """Measure a network whose unit-length outputs are compared by distance."""
    encoder = TorchEncoder(checkpoint, place.device)
    pixels = _tested_pixels(place, *encoder.size)
    began = time.monotonic()
    outputs, _ = encoder.outputs(pixels.images, progress=False)
    lengths = np.linalg.norm(outputs, axis=1, keepdims=True).clip(1e-12)
    vectors = (outputs / lengths).astype(np.float64)
    seconds = time.monotonic() - began
    took = _quickest(lambda: cdist(vectors, vectors, "sqeuclidean"))
    size, n = 4 * vectors.shape[1], len(vectors)
    facts = {"distance": "Euclidean", **_cost(size, 1000 * seconds / n, 1000 * took / n)}
    return _matched_row(cdist(vectors, vectors, "sqeuclidean"), pixels, place, seed, facts)


def _matched_row(
    distances: NDArray[Any], pixels: Pixels, place: Workplace, seed: int, facts: Mapping[str, Any]
) -> Row:
    """Make the row of a method without codes; its bits are 8 per byte of a descriptor."""
    about = {"bits": 8 * facts["bytes"], "weighted": None, **facts}
    return distance_row(distances, place.dataset, pixels, pixels, about, DRAWS, seed)


def _cost(size: int, encode_ms: float, compare_ms: float) -> dict[str, float]:
    """Return the costs of a row: bytes per person, milliseconds per query."""
    return {
        "bytes": size,
        "encode_ms": encode_ms,
        "compare_ms": compare_ms,
        "query_ms": encode_ms + compare_ms,
    }


def _quickest(work: Callable[[], object]) -> float:
    """Time three runs and return the fastest in seconds; other load only makes runs slower."""
    times = []
    for _ in range(3):
        began = time.monotonic()
        work()
        times.append(time.monotonic() - began)
    return min(times)


def _tested_pixels(place: Workplace, height: int, width: int) -> Pixels:
    """Decode the test images, which are both queries and gallery under single-shot."""
    return decode(place.dataset.query, height, width, place.skip_unreadable)


def _esdc(source: Matching, place: Workplace, seed: int) -> Row:
    height, width = source.data.height, source.data.width
    pixels = _tested_pixels(place, height, width)
    train = place.train_pixels(height, width)
    learner = DenseSalience().fit(train.images, source.seed)
    with counting(place.console, "eSDC: salience, rows of patches", ROWS) as progress:
        began = time.monotonic()
        patches, salience = learner.describe(pixels.images, progress)
        encoding = time.monotonic() - began
    # queries are only compared with other cameras; with two cameras, each pair is compared once
    distances = np.full((len(pixels), len(pixels)), FAR, np.float32)
    began, compared = time.monotonic(), 0
    for camera in np.unique(pixels.cameras)[:-1]:
        one, other = pixels.cameras == camera, pixels.cameras > camera
        compared += int(one.sum()) * int(other.sum())
        with counting(place.console, "eSDC: matching, rows of patches", ROWS) as progress:
            alike = similarities(
                (patches[one], salience[one]), (patches[other], salience[other]), progress
            )
        distances[np.ix_(one, other)] = -alike
        distances[np.ix_(other, one)] = -alike.T
    a_pair = 1000 * (time.monotonic() - began) / max(compared, 1)
    n = len(pixels)
    size = patches[0].nbytes + salience[0].nbytes
    facts = {"distance": "patches", **_cost(size, 1000 * encoding / n, a_pair * n)}
    return _matched_row(distances, pixels, place, seed, facts)


def _fpnn(source: Matching, place: Workplace, seed: int) -> Row:
    pixels = _tested_pixels(place, HEIGHT, WIDTH)
    train = place.train_pixels(HEIGHT, WIDTH)
    learner = FilterPairing(source.epochs, place.device)
    place.say(f"training FPNN, {source.epochs} epochs …")
    with counting(place.console, "FPNN: epochs", source.epochs) as progress:
        identities = train.labels.astype(np.int64)
        state = source.folder / STATE_FILE
        learner.fit(train.images, identities, train.cameras, source.seed, state, progress)
    # the first view is the camera with the lower number, as in training
    one = pixels.cameras == pixels.cameras.min()
    began = time.monotonic()
    first = learner.responses(pixels.images[one], 0)
    second = learner.responses(pixels.images[~one], 1)
    encoding, n = time.monotonic() - began, len(pixels)
    distances = np.full((n, n), FAR, np.float32)
    began = time.monotonic()
    with counting(place.console, "FPNN: comparing, test images", len(first)) as progress:
        apart = learner.distances(first, second, progress)
    a_pair = 1000 * (time.monotonic() - began) / max(apart.size, 1)
    distances[np.ix_(one, ~one)] = apart
    distances[np.ix_(~one, one)] = apart.T
    facts = {
        "distance": "network",
        "epochs": source.epochs,
        "full_epochs": EPOCHS,
        **_cost(first[0].nbytes, 1000 * encoding / n, a_pair * n),
    }
    return _matched_row(distances, pixels, place, seed, facts)


_MATCHERS: dict[str, Callable[[Matching, Workplace, int], Row]] = {
    "kissme": _kissme,
    "fpnn": _fpnn,
    "esdc": _esdc,
}
"""Functions that measure the methods without codes, by name."""
