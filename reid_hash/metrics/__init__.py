"""Ranking metrics that are exact under ties, for codes and for any other distances.

Build `TieGroups` with `rank_codes` from packed codes or with `tie_groups` from a distance matrix,
then compute any metric from them:

    >>> import numpy as np
    >>> groups = tie_groups([[1.0, 1.0, 2.0]], np.array([[True, False, True]]))
    >>> float(average_precision(groups)[0])
    0.7083333333333333
"""

from reid_hash.errors import MetricError
from reid_hash.metrics.cutoff import RECALLS, average_precision_at, precision_at_recall
from reid_hash.metrics.gains import Gains, gain, ndcg_at
from reid_hash.metrics.lookup import Ball, ball, precision_within_radius
from reid_hash.metrics.open_set import OpenSet, open_set_draws, tpir_at_fpir
from reid_hash.metrics.packed.rank import rank_code_blocks, rank_codes
from reid_hash.metrics.ranking import (
    RANKS,
    average_precision,
    average_precision_trapezoid,
    cmc,
    inverse_negative_penalty,
    precision_at,
    recall_at,
    summarise,
)
from reid_hash.metrics.rerank import rerank
from reid_hash.metrics.retrieval_benchmark import RETURNED, RetrievalResult, retrieval
from reid_hash.metrics.rules import CAMERA_RULES, check_camera_rule, valid_mask
from reid_hash.metrics.single_shot import single_shot
from reid_hash.metrics.ties import TieGroups, tie_groups

__all__ = [
    "CAMERA_RULES",
    "RANKS",
    "RECALLS",
    "RETURNED",
    "Ball",
    "Gains",
    "MetricError",
    "OpenSet",
    "RetrievalResult",
    "TieGroups",
    "average_precision",
    "average_precision_at",
    "average_precision_trapezoid",
    "ball",
    "check_camera_rule",
    "cmc",
    "gain",
    "inverse_negative_penalty",
    "ndcg_at",
    "open_set_draws",
    "precision_at",
    "precision_at_recall",
    "precision_within_radius",
    "rank_code_blocks",
    "rank_codes",
    "recall_at",
    "rerank",
    "retrieval",
    "single_shot",
    "summarise",
    "tie_groups",
    "tpir_at_fpir",
    "valid_mask",
]
