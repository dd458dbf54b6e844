"""Evaluate re-identification: rank the gallery for each query and compute the CMC curve."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_hash import distances as distance_functions
from reid_hash.data.dataset import Dataset
from reid_hash.data.images import Pixels
from reid_hash.data.labels import relevance
from reid_hash.distances import hamming, hamming_blocks, weighted, weighted_blocks
from reid_hash.evaluation import describe
from reid_hash.evaluation.encoded import Embedded, Encoded, check_lengths
from reid_hash.evaluation.open_set import OpenSetDraws
from reid_hash.metrics import (
    RANKS,
    rank_codes,
    single_shot,
    summarise,
    tie_groups,
    valid_mask,
)
from reid_hash.metrics import rerank as k_reciprocal_rerank
from reid_hash.report.plots import Curve

CURVE = tuple(range(1, 51))
"""Ranks of a plotted CMC curve."""


@dataclass(frozen=True)
class Row:
    """One row of a result.

    Attributes:
        figures: `rank1` …, `map`, `map_trapezoid`, `minp` as fractions, with `…_std` if there are
            draws; together with `bits` and `weighted`, the flat record of `--json`.
        curve: match rate at each rank of `CURVE`.
        curve_std: standard deviation of `curve` over the draws, if there are draws.
    """

    figures: Mapping[str, Any]
    curve: NDArray[np.float64] = field(repr=False)
    curve_std: NDArray[np.float64] | None = field(default=None, repr=False)


def evaluate(
    encoded: Encoded,
    dataset: Dataset,
    lengths: Sequence[int],
    *,
    weightings: Iterable[bool] = (True, False),
    asymmetric: bool = False,
    embedding: bool = False,
    rerank: bool = False,
    draws: int = describe.DRAWS,
    seed: int = 0,
    open_set: bool = False,
) -> Iterator[Row]:
    """Evaluate codes at several lengths.

    Args:
        encoded: codes of the query and the gallery.
        dataset: data set, which determines camera rule and protocol.
        lengths: code lengths; each is a prefix of the full code.
        weightings: weighted (True) and plain (False) Hamming distance, in this order.
        asymmetric: add a row per length that ranks by `distances.asymmetric`. It is never
            re-ranked, since queries (floats) and gallery (codes) share no common distance.
        embedding: add a row for the float embedding, ranked by cosine. Its `bits` are 32 per
            number, its `method` is "float embedding".
        rerank: apply k-reciprocal re-ranking (Zhong et al. 2017) to every row.
        draws: number of gallery draws in a single-shot protocol.
        seed: seed of the draws.
        open_set: add `tpir_at_fpir_1`, see `open_set_line`.

    Yields:
        A row for each length and weighting; no weighted row for a length whose weights are all 0.
    """
    check_lengths(lengths, encoded.query.bits)
    weightings = tuple(weightings)
    if dataset.trials:
        options = {"asymmetric": asymmetric, "embedding": embedding, "rerank": rerank}
        of_trials = [
            evaluate(
                encoded.of_trial(trial),
                dataset.of_trial(trial),
                lengths,
                weightings=weightings,
                draws=draws,
                seed=seed,
                open_set=open_set,
                **options,
            )
            for trial in dataset.trials
        ]
        yield from (_mean_row(rows) for rows in zip(*of_trials, strict=True))
        return
    q, g = encoded.query_pixels, encoded.gallery_pixels
    strangers = OpenSetDraws(dataset, q, g, draws, seed) if open_set else None
    ranked = partial(_from_distances, encoded, dataset, draws, seed, strangers)
    for bits in lengths:
        query, gallery = encoded.query.prefix(bits), encoded.gallery.prefix(bits)
        told_apart = bool(gallery.weights.any())  # weights that are all 0 rank nothing
        for by_weight in weightings:
            if by_weight and not told_apart:
                continue
            about = {"method": "codes", "bits": bits, "weighted": by_weight}
            if dataset.single_shot or rerank:
                distance = weighted if by_weight else hamming
                yield ranked(distance, query, gallery, about, rerank)
            else:
                if strangers:
                    blocks = weighted_blocks if by_weight else hamming_blocks
                    about |= strangers.figures(blocks(query, gallery))
                groups = rank_codes(
                    query,
                    gallery,
                    q.labels,
                    g.labels,
                    q.cameras,
                    g.cameras,
                    dataset.camera_rule,
                    weighted=by_weight,
                )
                yield _row(about, summarise(groups, CURVE))
        if asymmetric and told_apart and not rerank and encoded.query_values is not None:
            about = {"method": "codes", "bits": bits, "weighted": True, "asymmetric": True}
            values = encoded.query_values[:, :bits]
            yield ranked(distance_functions.asymmetric, values, gallery, about, False)
    if embedding:
        yield _float_row(encoded.embedded, dataset, rerank, draws, seed, strangers)


def evaluate_floats(
    embedded: Embedded,
    dataset: Dataset,
    *,
    rerank: bool = False,
    draws: int = describe.DRAWS,
    seed: int = 0,
    open_set: bool = False,
) -> Row:
    """Evaluate a float embedding by cosine.

    Args:
        embedded: embeddings of the query and the gallery.
        dataset: data set, which determines camera rule and protocol.
        rerank: apply k-reciprocal re-ranking, as in `evaluate`.
        draws: number of gallery draws in a single-shot protocol.
        seed: seed of the draws.
        open_set: add `tpir_at_fpir_1`, as in `evaluate`.

    Returns:
        A row whose `bits` are 32 per number, and whose `method` is "float embedding".
    """
    if dataset.trials:
        return _mean_row(
            [
                evaluate_floats(
                    embedded.of_trial(trial),
                    dataset.of_trial(trial),
                    rerank=rerank,
                    draws=draws,
                    seed=seed,
                    open_set=open_set,
                )
                for trial in dataset.trials
            ]
        )
    q, g = embedded.query_pixels, embedded.gallery_pixels
    strangers = OpenSetDraws(dataset, q, g, draws, seed) if open_set else None
    return _float_row(embedded, dataset, rerank, draws, seed, strangers)


def _float_row(
    embedded: Embedded,
    dataset: Dataset,
    rerank: bool,
    draws: int,
    seed: int,
    strangers: OpenSetDraws | None,
) -> Row:
    about = {
        "method": "float embedding",
        "bits": 32 * embedded.query.shape[1],
        "weighted": None,
    }
    query, gallery = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
        for vectors in (embedded.query, embedded.gallery)
    )
    return _from_distances(
        *(embedded, dataset, draws, seed, strangers),
        *(_cosine, query, gallery, about, rerank),
    )


def _mean_row(rows: Sequence[Row]) -> Row:
    """Average the rows of several trials, with deviations."""
    figures = {key: value for key, value in rows[0].figures.items() if not key.endswith("_std")}
    for key in list(figures):
        if key.startswith(("rank", "map", "minp", "tpir")):
            values = np.array([row.figures[key] for row in rows])
            figures[key], figures[f"{key}_std"] = float(values.mean()), float(values.std())
    curves = np.stack([row.curve for row in rows])
    return Row(figures, curves.mean(0), curves.std(0))


def _cosine(query: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 - query @ gallery.T


def _from_distances(
    images: Encoded | Embedded,
    dataset: Dataset,
    draws: int,
    seed: int,
    strangers: OpenSetDraws | None,
    distance: Callable[..., NDArray[Any]],
    query: Any,
    gallery: Any,
    about: Mapping[str, Any],
    rerank: bool,
) -> Row:
    distances = distance(query, gallery)
    if rerank:
        distances = k_reciprocal_rerank(
            distance(query, query), distances, distance(gallery, gallery)
        )
    if strangers:
        about = {**about, **strangers.figures([(slice(0, len(distances)), distances)])}
    return distance_row(
        distances, dataset, images.query_pixels, images.gallery_pixels, about, draws, seed
    )


def distance_row(
    distances: NDArray[Any],
    dataset: Dataset,
    q: Pixels,
    g: Pixels,
    about: Mapping[str, Any],
    draws: int = describe.DRAWS,
    seed: int = 0,
) -> Row:
    """Make a row from distances of any kind.

    Args:
        distances: [Q, G] real, smaller is nearer.
        dataset: data set, which determines camera rule and protocol.
        q: query images, for their labels and cameras.
        g: gallery images, for their labels and cameras.
        about: first entries of the row's record: `method`, `bits`, `weighted`.
        draws: number of gallery draws in a single-shot protocol.
        seed: seed of the draws.
    """
    if dataset.single_shot:
        drawn = single_shot(
            distances,
            q.labels,
            g.labels,
            q.cameras,
            g.cameras,
            draws=draws,
            seed=seed,
            ranks=CURVE,
        )
        mean = {name: float(values.mean()) for name, values in drawn.items()}
        return _row(about, mean, {name: float(values.std()) for name, values in drawn.items()})
    relevant = relevance(q.labels, g.labels)
    valid = valid_mask(dataset.camera_rule, q.labels, g.labels, q.cameras, g.cameras)
    return _row(about, summarise(tie_groups(distances, relevant, valid), CURVE))


def _row(
    about: Mapping[str, Any], mean: Mapping[str, float], std: Mapping[str, float] | None = None
) -> Row:
    figures: dict[str, Any] = dict(about)
    for name in [*(f"rank{rank}" for rank in RANKS), "map", "map_trapezoid", "minp"]:
        figures[name] = mean[name]
        if std is not None:
            figures[f"{name}_std"] = std[name]
    for name in ("queries", "queries_without_match"):
        figures[name] = int(mean[name])
    curve = np.array([mean[f"rank{rank}"] for rank in CURVE])
    curve_std = None if std is None else np.array([std[f"rank{rank}"] for rank in CURVE])
    return Row(figures, curve, curve_std)


def curves(rows: Sequence[Row]) -> list[Curve]:
    """Convert rows to CMC curves for `cmc_plot`."""
    ranks = np.array(CURVE)
    return [
        Curve(
            describe.row_name(row.figures),
            ranks,
            row.curve,
            row.curve_std,
            bits=row.figures["bits"] if row.figures["method"] == "codes" else None,
            weighted=bool(row.figures["weighted"]),
            asymmetric=bool(row.figures.get("asymmetric")),
        )
        for row in rows
    ]
