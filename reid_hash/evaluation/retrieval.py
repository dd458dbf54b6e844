"""Evaluate image retrieval: rank the database for each query; precision, recall, mAP."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reid_hash.data.dataset import Dataset
from reid_hash.evaluation.encoded import Encoded, check_lengths
from reid_hash.metrics.retrieval_benchmark import RETURNED, RetrievalResult, retrieval

TOP = 500
"""Number of returned images in the paper's precision."""

DEEPER = (1000, 5000)
"""Further numbers of returned images that papers report, if the database has as many."""

RADIUS = 2
"""Radius of a hash look-up in bits, as in the paper."""


@dataclass(frozen=True)
class RetrievalRow:
    """One row of a result.

    Attributes:
        figures: the flat record of `--json`: `method`, `bits`, `weighted`, and as fractions
            `map`, `precision_at_500`, `recall_at_500`, `ndcg_at_500`, `map_at_500`,
            `precision_radius_2`, `empty_ball_share`; also at the numbers in `DEEPER`.
        curves: the whole result, with the precision curves.
    """

    figures: Mapping[str, Any]
    curves: RetrievalResult = field(repr=False)


def evaluate_retrieval(
    encoded: Encoded,
    dataset: Dataset,
    lengths: Sequence[int],
    *,
    weightings: Iterable[bool] = (True, False),
    method: str = "codes",
    returned: Sequence[int] = RETURNED,
) -> Iterator[RetrievalRow]:
    """Evaluate codes at several lengths; every tied distance counts as its expected value.

    Args:
        encoded: codes of the query and the database.
        dataset: the data set; every database image counts.
        lengths: code lengths; each is a prefix of the full code.
        weightings: weighted (True) and plain (False) Hamming distance, in this order.
        method: name of the rows.
        returned: numbers of returned images for the precision curve.

    Yields:
        A row for each length and weighting; no weighted row for a length whose weights are all 0.

    Raises:
        ConfigError: a length exceeds the codes'.
    """
    check_lengths(lengths, encoded.query.bits)
    database = len(dataset.gallery)
    at = [TOP, *(k for k in DEEPER if k <= database)]
    for bits in lengths:
        query, gallery = encoded.query.prefix(bits), encoded.gallery.prefix(bits)
        for weighted in tuple(weightings):
            if weighted and not gallery.weights.any():  # all-zero weights rank nothing
                continue
            result = retrieval(
                query,
                gallery,
                encoded.query_pixels.labels,
                encoded.gallery_pixels.labels,
                weighted=weighted,
                at=at,
                radius=RADIUS,
                returned=[n for n in returned if n <= database] or [database],
            )
            about = {"method": method, "bits": bits, "weighted": weighted}
            yield RetrievalRow({**about, **_figures(result)}, result)


def shortage_notes(dataset: Dataset) -> list[str]:
    """Return a note if the database has fewer images than a figure is defined on, else none."""
    database = len(dataset.gallery)
    if database >= TOP:
        return []
    return [
        f"the database has {database:,} images: precision, recall, mAP and NDCG at {TOP} are of "
        f"these, and precision counts the {TOP - database:,} that are lacking as wrong, so that it "
        f"cannot exceed {database / TOP:.3g}"
    ]


def _figures(result: RetrievalResult) -> dict[str, Any]:
    figures: dict[str, Any] = {"map": result.map}
    for name in ("precision_at", "map_at", "recall_at", "ndcg_at"):
        for k, value in getattr(result, name).items():
            figures[f"{name}_{k}"] = value
    figures[f"precision_radius_{result.radius}"] = result.precision_radius
    figures["empty_ball_share"] = result.empty_ball_share
    figures["queries"] = result.queries
    figures["queries_without_match"] = result.queries_without_match
    return figures
