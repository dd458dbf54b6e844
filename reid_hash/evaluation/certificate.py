"""The certificate of a fit: what codes lose against floats, on identities held out of the fit.

The head is compared, at the same number of bytes, with signs of a random rotation, ITQ learned for
each length separately, FAISS's product quantisation and RaBitQ, and 8-bit integers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash import distances
from reid_hash.baselines.itq import ITQ
from reid_hash.codes import Codes
from reid_hash.metrics import average_precision, cmc, tie_groups, valid_mask
from reid_hash.models.head_encoder import Head

FEWEST = 30
"""Fewest queried identities, or neighbour queries, for which figures are reported."""

_QUERIES, _GALLERY = 1_000, 8_000  # at most; a certificate then takes half a minute
_LEARN = 10_000  # vectors that the compared methods learn from
_NEAREST = 10  # without identities, this many nearest vectors by the floats count as relevant
_DRAWS = 1_000  # of the bootstrap
_RABITQ = 8  # bytes of factors that RaBitQ stores in addition to a vector's bits

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Vectors that a head was not fitted on, searched among each other.

    Attributes:
        gallery: [g, d] float32, unit length.
        queries: [q] gallery rows that are queries.
        relevant: [q, g] bool.
        valid: [q, g] bool, False for vectors left out of a query's list.
        groups: [q] int64, identity of each query, the unit of the bootstrap.
        labelled: True if relevance follows identities, False if it follows the floats' neighbours.
    """

    gallery: Floats
    queries: NDArray[np.int64]
    relevant: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    groups: NDArray[np.int64]
    labelled: bool


def held_out(
    vectors: Floats,
    identities: NDArray[np.int64] | None,
    cameras: NDArray[np.int64] | None,
    seed: int = 0,
) -> HeldOut:
    """Choose queries: one of each identity and camera, or random ones without identities.

    With cameras, Market-1501's rule applies: a query ignores its own identity in its own camera.
    Without cameras, a query ignores itself.
    """
    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(len(vectors))[:_GALLERY])
    if identities is not None and len(rows) < len(vectors):
        # whole identities, as many as fit within the limit
        order = random.permutation(np.unique(identities))
        sizes = np.cumsum([np.count_nonzero(identities == one) for one in order])
        rows = np.flatnonzero(np.isin(identities, order[: max(1, int((sizes <= _GALLERY).sum()))]))
    gallery = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    if identities is None:
        queries = np.sort(random.permutation(len(rows))[:_QUERIES])
        valid = np.ones((len(queries), len(rows)), np.bool_)
        valid[np.arange(len(queries)), queries] = False
        cosines = np.where(valid, gallery[queries] @ gallery.T, -2)
        nearest = min(_NEAREST, len(rows) - 1)
        least = -np.partition(-cosines, nearest - 1, axis=1)[:, nearest - 1]
        return HeldOut(
            gallery, queries, cosines >= least[:, None], valid, np.arange(len(queries)), False
        )
    labels = identities[rows]
    views = np.arange(len(rows)) if cameras is None else cameras[rows]
    shuffled = random.permutation(len(rows))
    one_each = np.stack([labels, views if cameras is not None else 0 * views], 1)[shuffled]
    first = shuffled[np.unique(one_each, axis=0, return_index=True)[1]]
    queries = np.sort(random.permutation(first)[:_QUERIES])
    valid = valid_mask("market", labels[queries], labels, views[queries], views)
    relevant = (labels[queries][:, None] == labels) & valid
    found = relevant.any(1)
    return HeldOut(
        gallery, queries[found], relevant[found], valid[found], labels[queries][found], True
    )


def certify(
    head: Head,
    learned: Floats,
    test: HeldOut,
    lengths: Sequence[int],
    about: str,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Measure a head and the methods that it is compared with.

    Args:
        head: a head fitted without the held-out vectors.
        learned: [n, d] float32, vectors that it was fitted on; the other methods learn from them.
        test: the held-out vectors.
        lengths: code lengths.
        about: description of what was held out.
        seed: seed of the bootstrap and of the other methods.
        progress: called with 1 after each method.

    Returns:
        `about`, `enough` (whether there are enough queries for meaningful figures), `groups`,
        `queries`, `labelled`, `sentences` and `rows`. A row has `method`, `bits`, `bytes`,
        `asymmetric`, `rank1`, `map` and, except for the floats, `rank1_loss` and
        `rank1_loss_interval` (95 %), as fractions.
    """
    groups = len(np.unique(test.groups))
    result: dict[str, Any] = {
        "about": about,
        "labelled": test.labelled,
        "groups": groups,
        "queries": len(test.queries),
        "enough": groups >= FEWEST,
        "rows": [],
        "sentences": [],
    }
    if not result["enough"]:
        what = "held-out identities have a match" if test.labelled else "vectors are held out"
        result["sentences"] = [
            f"cannot tell what codes lose: {groups} {what}, and it takes {FEWEST}"
        ]
        return result
    sample = learned[np.random.default_rng(seed).permutation(len(learned))[:_LEARN]]
    sample = sample / np.linalg.norm(sample, axis=1, keepdims=True)
    dims = test.gallery.shape[1]
    bootstrap = _Bootstrap(test.groups, seed)
    floats = _scores(test, 1 - test.gallery[test.queries] @ test.gallery.T)
    result["rows"].append(_row("floats", 32 * dims, True, floats, None, bootstrap))
    for method, bits, asymmetric, distance in _methods(head, sample, test, lengths, seed):
        scores = _scores(test, distance)
        result["rows"].append(_row(method, bits, asymmetric, scores, floats, bootstrap))
        if progress is not None:
            progress(1)
    rows = result["rows"]
    result["sentences"] = [_sentence(rows, bits, test.labelled) for bits in lengths]
    return result


def _sentence(rows: Sequence[Mapping[str, Any]], bits: int, labelled: bool) -> str:
    """Put the loss into words: "128 bits lose 1.9 (1.1 to 2.8) points of rank-1; …"."""
    parts = []
    for asymmetric in (False, True):
        (row,) = (
            row
            for row in rows
            if (row["method"], row["bits"], row["asymmetric"]) == ("head", bits, asymmetric)
        )
        low, high = row["rank1_loss_interval"]
        loss = row["rank1_loss"]
        if high - low > 0.2:
            parts.append(f"an interval of {100 * (high - low):.0f} points, which tells nothing")
        elif loss >= 0:
            parts.append(f"lose {100 * loss:.1f} ({100 * low:.1f} to {100 * high:.1f}) points")
        else:
            parts.append(f"gain {-100 * loss:.1f} ({-100 * high:.1f} to {-100 * low:.1f}) points")
    of = "rank-1" if labelled else "the floats' nearest"
    return f"{bits} bits {parts[0]} of {of}; asymmetric, they {parts[1]}"


def _row(
    method: str,
    bits: int,
    asymmetric: bool,
    scores: NDArray[np.float64],
    floats: NDArray[np.float64] | None,
    bootstrap: "_Bootstrap",
) -> dict[str, Any]:
    rank1, mean_ap = scores.mean(0).tolist()
    row = {
        "method": method,
        "bits": bits,
        "bytes": -(-bits // 8),
        "asymmetric": asymmetric,
        "rank1": rank1,
        "rank1_interval": bootstrap(scores[:, 0]),
        "map": mean_ap,
    }
    if floats is not None:
        lost = (floats - scores)[:, 0]
        row |= {"rank1_loss": float(lost.mean()), "rank1_loss_interval": bootstrap(lost)}
    return row


class _Bootstrap:
    """95 % bootstrap interval of a mean over queries, resampling identities."""

    def __init__(self, groups: NDArray[np.int64], seed: int) -> None:
        _, self.group = np.unique(groups, return_inverse=True)
        count = int(self.group.max()) + 1
        random = np.random.default_rng(seed)
        self.times = random.multinomial(count, np.full(count, 1 / count), _DRAWS).astype(float)
        self.sizes = self.times @ np.bincount(self.group)

    def __call__(self, values: NDArray[np.float64]) -> list[float]:
        means = self.times @ np.bincount(self.group, weights=values) / self.sizes
        return [float(bound) for bound in np.quantile(means, (0.025, 0.975))]


def _scores(test: HeldOut, distance: NDArray[Any]) -> NDArray[np.float64]:
    """Compute rank-1 and average precision of each query: [q, 2]."""
    groups = tie_groups(distance, test.relevant, test.valid)
    return np.stack([cmc(groups, [1])[:, 0], average_precision(groups)], 1)


def _methods(
    head: Head, sample: Floats, test: HeldOut, lengths: Sequence[int], seed: int
) -> Iterator[tuple[str, int, bool, NDArray[Any]]]:
    """Yield (method, bits, asymmetric, distances [q, g])."""
    dims = sample.shape[1]
    outputs = head.outputs(test.gallery)
    for bits in lengths:
        yield from _by_code("head", outputs[:, :bits], head.bit_weights[:bits], test)
        yield from _by_code("sign", _signs(sample, test.gallery, bits, seed), None, test)
        if bits <= min(dims, len(sample) - 1):
            itq = ITQ(bits).fit(sample, np.zeros(len(sample), np.int64), seed)
            values = itq.outputs(test.gallery)
            yield from _by_code("itq", values / itq.outputs(sample).std(), None, test)
        if bits % 8 == 0:
            yield from _product_quantised(sample, test, bits // 8)
            yield from _rabitq(sample, test, bits // 8)
    scale = np.abs(sample).max(0).clip(1e-12) / 127
    rounded = np.clip(np.round(test.gallery / scale), -127, 127) * scale
    yield "int8", 8 * dims, False, _euclidean(rounded[test.queries], rounded)


def _by_code(
    method: str, outputs: Floats, weights: Floats | None, test: HeldOut
) -> Iterator[tuple[str, int, bool, NDArray[Any]]]:
    bits = outputs.shape[1]
    if weights is not None and not weights.any():
        weights = None
    codes = Codes.from_outputs(outputs, weights)
    yield method, bits, False, distances.weighted(codes[test.queries], codes)
    values = distances.query_values(outputs[test.queries])
    yield method, bits, True, distances.asymmetric(values, codes)


def _signs(sample: Floats, vectors: Floats, bits: int, seed: int) -> Floats:
    random = np.random.default_rng(seed)
    dims = sample.shape[1]
    turns = [np.linalg.qr(random.normal(size=(dims, dims)))[0] for _ in range(-(-bits // dims))]
    directions = np.concatenate(turns, 1)[:, :bits].astype(np.float32)
    mean = sample.mean(0)
    values: Floats = (vectors - mean) @ directions / ((sample - mean) @ directions).std()
    return values


def _product_quantised(
    sample: Floats, test: HeldOut, size: int
) -> Iterator[tuple[str, int, bool, NDArray[Any]]]:
    import faiss

    if len(sample) < 256:  # a byte's centroids
        return
    width = -(-sample.shape[1] // size) * size

    def padded(vectors: Floats) -> Floats:
        return np.pad(vectors, ((0, 0), (0, width - vectors.shape[1])))

    quantiser = faiss.ProductQuantizer(width, size, 8)
    quantiser.cp.min_points_per_centroid = 1
    quantiser.cp.max_points_per_centroid = 40  # FAISS's 256 take minutes and gain nothing here
    quantiser.train(padded(sample))
    gallery = padded(test.gallery)
    decoded = quantiser.decode(quantiser.compute_codes(gallery))
    yield "pq", 8 * size, False, _euclidean(decoded[test.queries], decoded)
    yield "pq", 8 * size, True, _euclidean(gallery[test.queries], decoded)


def _rabitq(
    sample: Floats, test: HeldOut, size: int
) -> Iterator[tuple[str, int, bool, NDArray[Any]]]:
    import faiss

    dims = min(8 * (size - _RABITQ), sample.shape[1])
    if dims < 8:
        return
    mean = sample.mean(0)
    components = np.linalg.eigh(np.cov((sample - mean).T))[1][:, ::-1][:, :dims]
    learned, gallery = (
        np.ascontiguousarray((vectors - mean) @ components, np.float32)
        for vectors in (sample, test.gallery)
    )
    index = faiss.IndexRaBitQ(dims, faiss.METRIC_L2)
    index.train(learned)
    index.add(gallery)
    found, ids = index.search(gallery[test.queries], len(gallery))
    every = np.empty_like(found)
    np.put_along_axis(every, ids, found, 1)
    yield "rabitq", 8 * size, True, every


def _euclidean(query: Floats, gallery: Floats) -> NDArray[Any]:
    squares = np.square(query).sum(1)[:, None] + np.square(gallery).sum(1)
    found: NDArray[Any] = squares - 2 * query @ gallery.T
    return found
