"""Losses of DSCH and DRSCH (Zhang et al. 2015), of the current recipe, and of other methods.

All take a whole batch and O(B²) memory; none loops over triplets.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid_hash.config.schema import LossConfig

UNIT_MARGIN = 1.0
"""Margin between squared distances of unit vectors, which are in 0 … 4."""


def squared_distances(vectors: Tensor) -> Tensor:
    """Compute squared Euclidean distances ≥ 0, [B, d] → [B, B].

    For weighted codes w∘r with r = ±1 they are 4 · the sum of w_k² over differing bits.
    """
    norms = vectors.square().sum(1)
    distances = norms[:, None] + norms[None, :] - 2 * vectors @ vectors.T
    return distances.clamp_min(0)


def same_label(labels: Tensor) -> Tensor:
    """Mark the pairs of a batch that belong together.

    Args:
        labels: [B] int, one class per image; or [B, classes] of 0 and 1, any number of classes
            per image.

    Returns:
        [B, B] bool: the same class, or at least one class in common.
    """
    if labels.ndim == 1:
        return labels[:, None] == labels[None, :]
    return labels.float() @ labels.float().T > 0


def classification(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Compute mean cross entropy; with several classes per image, the sum over binary ones.

    Args:
        logits: [B, classes] real.
        labels: [B] int, or [B, classes] of 0 and 1.
        smoothing: share of the target that is spread evenly over all classes or, with several
            classes per image, over yes and no.
    """
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    targets = labels.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(logits)


def with_margin(logits: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Lower the logits of the right classes by `margin` (CosFace, eq. 4).

    Args:
        logits: [B, classes] real.
        labels: [B] int, or [B, classes] of 0 and 1.
        margin: margin on the scale of the logits.
    """
    right = labels if labels.ndim == 2 else F.one_hot(labels, logits.shape[1])
    return logits - margin * right.to(logits.dtype)


def all_triplets_hinge(distances: Tensor, labels: Tensor, margin: float | Tensor) -> Tensor:
    """Average max(0, D_ij - D_ik + margin) over all triplets: j ≠ i is like i, k is different.

    The hinge is linear in the distances of the active triplets, so value and gradient follow from
    the number of active triplets that contain each distance. Sorting each anchor's distances gives
    these counts exactly, in O(B² log B) time and O(B²) memory.

    Args:
        distances: [B, B] real, differentiable.
        labels: [B] int, or [B, classes] (see `same_label`).
        margin: C in the paper, in units of the distances.

    Returns:
        A scalar, the mean over all triplets; 0 if the batch has none.

    Example:
        >>> d = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 1.5], [3.0, 1.5, 0.0]])
        >>> all_triplets_hinge(d, torch.tensor([0, 0, 1]), 1.0)  # (0 + 0.5) / 2
        tensor(0.2500)
    """
    same = same_label(labels)
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    negative = ~same
    triplets = (positive.sum(1) * negative.sum(1)).sum()
    return hinges(distances, positive, negative, margin).sum() / triplets.clamp_min(1)


def hinges(distances: Tensor, positive: Tensor, negative: Tensor, margin: float | Tensor) -> Tensor:
    """Sum max(0, D_ij - D_ik + margin) over j and k of the masks [B, B] for each i: [B]."""
    with torch.no_grad():
        # sort one side's distances and look the other side's thresholds up in them
        reach = distances + margin
        negatives = distances.masked_fill(~negative, torch.inf).sort(dim=1).values
        positives = reach.masked_fill(~positive, torch.inf).sort(dim=1).values
        negatives_within = torch.searchsorted(negatives, reach.contiguous())
        positives_within = torch.searchsorted(positives, distances.contiguous(), right=True)
        positives_beyond = positive.sum(1, keepdim=True) - positives_within
        times = torch.where(positive, negatives_within, 0) - torch.where(
            negative, positives_beyond, 0
        )
        active = torch.where(positive, negatives_within, 0).sum(1)
    return (distances * times).sum(1) + margin * active


def batch_hard_soft_margin(distances: Tensor, labels: Tensor) -> Tensor:
    """Average log(1 + exp(farthest positive - nearest negative)) over anchors.

    Batch-hard triplets with a soft margin (Hermans et al. 2017).

    Args:
        distances: [B, B] real.
        labels: [B] int, or [B, classes] (see `same_label`).
    """
    same = same_label(labels)
    farthest = distances.masked_fill(~same, -torch.inf).amax(1)
    nearest = distances.masked_fill(same, torch.inf).amin(1)
    loss = F.softplus(farthest - nearest)
    usable = torch.isfinite(nearest)
    return torch.where(usable, loss, 0).sum() / usable.sum().clamp_min(1)


def label_similarity(labels: Tensor, different: float = 0.001) -> Tensor:
    """Make S [B, B]: 1 for a label in common, else `different` (as in the authors' code)."""
    same = same_label(labels)
    return torch.where(same, 1.0, different)


def appearance_similarity(images: Tensor, neighbours: int = 5) -> Tensor:
    """Make S [B, B], symmetric: 1 if one image is among the k nearest of the other, else 0.

    Nearness is measured on the images, scaled down to 8×4 pixels, following the paper's "images of
    similar appearance should have similar codes".

    Args:
        images: [B, channels, height, width] real.
        neighbours: k.
    """
    with torch.no_grad():
        small = F.adaptive_avg_pool2d(images.float(), (8, 4)).flatten(1)
        distances = squared_distances(small)
        distances.fill_diagonal_(torch.inf)
        nearest = distances.topk(min(neighbours, len(images) - 1), dim=1, largest=False).indices
        similarity = torch.zeros_like(distances).scatter_(1, nearest, 1.0)
        return torch.maximum(similarity, similarity.T)


def laplacian_regulariser(codes: Tensor, similarity: Tensor) -> Tensor:
    """Compute DRSCH's regulariser tr(R L Rᵀ) / B with L = D - S, D = diag(sum of S's rows).

    It equals the sum of S_ij |r_i - r_j|² / (2 B), so it draws similar images together. (The
    authors' released code has the opposite sign.)

    Args:
        codes: [B, bits] real, weighted or not; the rows are the columns of R in the paper.
        similarity: [B, B] symmetric, ≥ 0.
    """
    degrees = similarity.sum(1)
    trace = (degrees * codes.square().sum(1)).sum() - (codes * (similarity @ codes)).sum()
    return trace / len(codes)


def distillation(codes: Tensor, embedding: Tensor, temperature: float) -> Tensor:
    """Compute how far the codes' similarities are from those of the (fixed) float embedding.

    Each image of the batch defines a distribution over the others: the softmax of their cosines to
    it, divided by the temperature. The loss is the mean divergence KL(embedding ‖ codes) (Fang et
    al., "SEED", 2021, with the batch instead of a queue). The cosine of codes is 1 - 2/b times the
    Hamming distance, so training fits what ranks.

    Args:
        codes: [B, bits] real, weighted or not.
        embedding: [B, d] real; gets no gradient.
        temperature: temperature of both distributions.
    """
    itself = torch.eye(len(codes), dtype=torch.bool, device=codes.device)

    def similarities(vectors: Tensor) -> Tensor:
        unit = F.normalize(vectors)
        cosines = (unit @ unit.T)[~itself].view(len(vectors), -1)
        return F.log_softmax(cosines / temperature, dim=1)

    target = similarities(embedding.detach())
    return F.kl_div(similarities(codes), target, reduction="batchmean", log_target=True)


def margin_at(progress: float, margins: tuple[float, float], bits: int) -> float:
    """Compute margin C: linear from margins[0] to margins[1], times bits / 64.

    Args:
        progress: completed share of the training, 0 … 1.
        margins: margins at the start and at the end, for 64 bits (5 → 13 in the authors' code).
        bits: code length, to which distances and so the margin are proportional.
    """
    start, end = margins
    return (start + (end - start) * progress) * bits / 64


def semantic_ranking_terms(
    codes: Tensor, labels: Tensor, config: LossConfig, margin: float
) -> dict[str, Tensor]:
    """Compute the terms of DSRH (Zhao et al., CVPR 2015), each times its weight.

    These are the rank-weighted hinge (`ranking_hinge`), the balance ½ |mean_q h(q)|² over the
    batch, and the quantisation, the mean of (|h| − 1)².

    Args:
        codes: [B, bits] real in (−1, 1), without bit weights.
        labels: [B] int, or [B, classes] of 0 and 1.
        config: weights of the terms.
        margin: margin of squared distances, as for DRSCH; a quarter of it is in differing bits.
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
    """Count the labels that two images share, DSRH's relevance level r: [B, B] int64."""
    if labels.ndim == 1:
        return (labels[:, None] == labels).long()
    return (labels.float() @ labels.float().T).round().long()


def ranking_hinge(codes: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Average ω(r_i, r_j) max(0, d(q, i) − d(q, j) + margin) over all (q, i, j) with r_i > r_j.

    d(q, i) = (K − h_q·h_i) / 2, the Hamming distance if codes are ±1. ω is the NDCG gain lost by
    swapping i and j: (2^r_i − 2^r_j) / Z_q, with Z_q the discounted gain of the best order of q's
    list, Σ_p (2^r_p − 1) / log2(1 + p). The list is the batch without q. Each pair of levels costs
    O(B² log B).

    Args:
        codes: [B, K] real in (−1, 1).
        labels: [B] int, or [B, classes] of 0 and 1.
        margin: margin in bits.

    Returns:
        A scalar; 0 if no image has another that is more relevant than a third.
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
    """Average max(0, |f_i − f_j|² − |f_i − f_k|² + 1) over all triplets, with f of length 1.

    "Deep feature learning with relative distance comparison" (Ding et al., Pattern Recognition
    2015): i and j are of one person, k is not. Uses all triplets of the batch, where the paper
    draws some; both accumulate the gradient per image.

    Args:
        vectors: [B, d] real; normalised here.
        labels: [B] int, or [B, classes] of 0 and 1.
    """
    return all_triplets_hinge(squared_distances(F.normalize(vectors)), labels, UNIT_MARGIN)
