"""Losses of the deep methods that the paper compares with: DSRH, and relative distances."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid_hash.config.schema import LossConfig
from reid_hash.training.losses import all_triplets_hinge, hinges, squared_distances

UNIT_MARGIN = 1.0
"""Margin between squared distances of vectors of length 1, which lie in 0 … 4."""


def semantic_ranking_terms(
    codes: Tensor, labels: Tensor, config: LossConfig, margin: float
) -> dict[str, Tensor]:
    """The terms of DSRH (Zhao et al., CVPR 2015), each times its weight.

    The hinge weighted by ranks (`ranking_hinge`), the balance ½ |mean_q h(q)|² over the batch, and
    the quantisation mean of (|h| − 1)².

    Args:
        codes: [B, bits] real in (−1, 1), without bit weights.
        labels: [B] int, or [B, classes] of 0 and 1.
        config: the weights of the terms.
        margin: of squared distances, as for DRSCH; a quarter of it is bits that differ.
    """
    terms = {}
    if config.ranking:
        terms["ranking"] = config.ranking * ranking_hinge(codes, labels, margin / 4)
    if config.balance:
        terms["balance"] = config.balance * codes.mean(0).square().sum() / 2
    if config.quantisation:
        terms["quantisation"] = config.quantisation * (codes.abs() - 1).square().mean()
    return terms


def shared_labels(labels: Tensor) -> Tensor:
    """[B, B] int64: how many labels two images share; DSRH's level of relevance r."""
    if labels.ndim == 1:
        return (labels[:, None] == labels).long()
    return (labels.float() @ labels.float().T).round().long()


def ranking_hinge(codes: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Mean over all (q, i, j) with r_i > r_j of ω(r_i, r_j) max(0, d(q, i) − d(q, j) + margin).

    d(q, i) = (K − h_q·h_i) / 2, the Hamming distance where codes are ±1. ω is the gain that NDCG
    loses when i and j change places: (2^r_i − 2^r_j) / Z_q, with Z_q the discounted gain of the
    best order of q's list, Σ_p (2^r_p − 1) / log2(1 + p). The list is the batch without q. Each
    pair of levels costs O(B² log B).

    Args:
        codes: [B, K] real in (−1, 1).
        labels: [B] int, or [B, classes] of 0 and 1.
        margin: in bits.

    Returns:
        A scalar; 0 where no image has another that is more relevant than a third.
    """
    count = len(codes)
    distances = (codes.shape[1] - codes @ codes.T) / 2
    others = ~torch.eye(count, dtype=torch.bool, device=codes.device)
    relevance = shared_labels(labels)
    best = torch.where(others, relevance, 0).sort(dim=1, descending=True).values
    ranks = torch.arange(1, count + 1, device=codes.device)
    ideal = ((2.0**best - 1) / torch.log2(1.0 + ranks)).sum(1)
    total, triplets = distances.sum() * 0, 0
    levels = sorted(set(relevance[others].tolist()))
    for low_place, low in enumerate(levels):
        negative = others & (relevance == low)
        for high in levels[low_place + 1 :]:
            positive = others & (relevance == high)
            gain = (2.0**high - 2.0**low) / ideal.clamp_min(1e-12)
            total = total + (gain * hinges(distances, positive, negative, margin)).sum()
            triplets += int((positive.sum(1) * negative.sum(1)).sum())
    return total / max(triplets, 1)


def relative_distance(vectors: Tensor, labels: Tensor) -> Tensor:
    """Mean over all triplets of max(0, |f_i − f_j|² − |f_i − f_k|² + 1), f of length 1.

    Deep feature learning with relative distance comparison (Ding et al., Pattern Recognition
    2015): i and j are of one person, k is not. All triplets of the batch are taken, where the paper
    draws some; the gradient is gathered per image in both.

    Args:
        vectors: [B, d] real; they are divided by their lengths here.
        labels: [B] int, or [B, classes] of 0 and 1.
    """
    return all_triplets_hinge(squared_distances(F.normalize(vectors)), labels, UNIT_MARGIN)
