"""Table 1's methods without codes, measured: each gives the distances of all test images."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash.baselines.kissme import KISSME
from reid_hash.data.images import Pixels, decode
from reid_hash.experiments.describe import DRAWS
from reid_hash.experiments.methods_hash import features_of
from reid_hash.experiments.methods_train import Workplace
from reid_hash.experiments.reid import Row, distance_row
from reid_hash.experiments.table1_plan import Matching


def _kissme(source: Matching, place: Workplace, seed: int) -> Row:
    features = features_of(source, place)
    train = features.train_pixels
    place.say(f"fitting {source.name} to {len(train):,} training images …")
    began = time.monotonic()
    # 743 identities of CUHK03 before two cameras are more than enough pairs for 128 dimensions
    identities = train.labels.astype(np.int64)
    metric = KISSME().fit(features.train, identities, train.cameras, source.seed)
    fit_seconds = time.monotonic() - began
    began = time.monotonic()
    vectors = metric.transform(features.query)
    seconds = features.query_seconds + time.monotonic() - began
    took = quickest(lambda: euclidean(vectors))
    return matched_row(
        euclidean(vectors),
        features.query_pixels,
        place,
        seed,
        {
            "distance": "Mahalanobis",
            "features": source.features,
            "train_samples": len(train),
            "fit_seconds": round(fit_seconds, 1),
            **cost(
                4 * vectors.shape[1],
                1000 * seconds / len(vectors),
                1000 * took / len(vectors),
            ),
        },
    )


def matched_row(
    distances: NDArray[Any], pixels: Pixels, place: Workplace, seed: int, facts: Mapping[str, Any]
) -> Row:
    """The row of a method without codes: 8 bits for each byte that a person takes."""
    about = {"bits": 8 * facts["bytes"], "weighted": None, **facts}
    return distance_row(distances, place.dataset, pixels, pixels, about, DRAWS, seed)


def cost(size: int, encode_ms: float, compare_ms: float) -> dict[str, float]:
    """What a row costs: bytes a person, milliseconds a query."""
    return {
        "bytes": size,
        "encode_ms": encode_ms,
        "compare_ms": compare_ms,
        "query_ms": encode_ms + compare_ms,
    }


def euclidean(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n, n] squared distances, ≥ 0."""
    norms = (vectors * vectors).sum(axis=1)
    squared = norms[:, None] + norms - 2 * (vectors @ vectors.T)
    distances: NDArray[np.float64] = np.maximum(squared, 0, out=squared)
    return distances


def quickest(work: Callable[[], object]) -> float:
    """Seconds of the quickest of three runs: what the machine does besides only makes it longer."""
    times = []
    for _ in range(3):
        began = time.monotonic()
        work()
        times.append(time.monotonic() - began)
    return min(times)


def tested_pixels(place: Workplace, height: int, width: int) -> Pixels:
    """The test images, which are both queries and gallery under single-shot."""
    return decode(place.dataset.query, height, width, place.skip_unreadable)


Matcher = Callable[[Matching, Workplace, int], Row]
MATCHERS: dict[str, Matcher] = {"kissme": _kissme}
"""How the methods without codes are measured, by name."""
