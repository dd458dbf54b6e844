"""Losses of DSCH and DRSCH (Zhang et al. 2015) and those of today's recipe.

All take a whole batch and cost O(B²) memory; none loops over triplets.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def squared_distances(vectors: Tensor) -> Tensor:
    """[B, d] → [B, B] squared Euclidean distances, ≥ 0.

    On weighted codes w∘r with r = ±1 this is 4 · sum of w_k² over differing bits.
    """
    norms = vectors.square().sum(1)
    distances = norms[:, None] + norms[None, :] - 2 * vectors @ vectors.T
    return distances.clamp_min(0)


def same_label(labels: Tensor) -> Tensor:
    """Which images of a batch belong together.

    Args:
        labels: [B] int, the class of each image; or [B, classes] of 0 and 1, the classes that
            each image has, any number of them.

    Returns:
        [B, B] bool: the same class, or at least one class in common.
    """
    if labels.ndim == 1:
        return labels[:, None] == labels[None, :]
    return labels.float() @ labels.float().T > 0


def classification(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy, or for several classes an image that of each class by itself, summed.

    Args:
        logits: [B, classes] real.
        labels: [B] int, or [B, classes] of 0 and 1.
        smoothing: share of the target that is spread evenly over all classes; with several
            classes an image, over yes and no.
    """
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    targets = labels.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(logits)


def with_margin(logits: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Logits of which those of the right classes are lowered by `margin` (CosFace, eq. 4).

    Args:
        logits: [B, classes] real.
        labels: [B] int, or [B, classes] of 0 and 1.
        margin: on the scale of the logits.
    """
    right = labels if labels.ndim == 2 else F.one_hot(labels, logits.shape[1])
    return logits - margin * right.to(logits.dtype)


def all_triplets_hinge(distances: Tensor, labels: Tensor, margin: float | Tensor) -> Tensor:
    """Mean of max(0, D_ij - D_ik + margin) over all triplets: i and j alike, k different, j ≠ i.

    The hinge is linear in the distances of the active triplets, so value and gradient follow from
    how many active triplets each distance takes part in. Those counts come from sorting each
    anchor's distances: O(B² log B) time, O(B²) memory, exact.

    Args:
        distances: [B, B] real, differentiable.
        labels: [B] int, or [B, classes] (see `same_label`).
        margin: C of the paper, in units of the distances.

    Returns:
        The mean over all triplets, a scalar; 0 where the batch has none.

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
    """[B] sums of max(0, D_ij - D_ik + margin) over j and k of the masks [B, B], for each i."""
    with torch.no_grad():
        # distances of one side sorted, the other side's thresholds looked up in them
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
    """Mean over anchors of log(1 + exp(farthest positive - nearest negative)).

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
    """S [B, B]: 1 for a label in common, `different` otherwise (the authors' code)."""
    same = same_label(labels)
    return torch.where(same, 1.0, different)


def appearance_similarity(images: Tensor, neighbours: int = 5) -> Tensor:
    """S [B, B]: 1 where one image is among the k nearest of the other, 0 otherwise, symmetric.

    Nearness is that of the images themselves, scaled down to 8×4 pixels, as the paper's "images
    of similar appearance should have similar codes" has it.

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
    """tr(R L Rᵀ) / B with L = D - S, D = diag(sum of S's rows): DRSCH's regulariser.

    Equal to the sum of S_ij |r_i - r_j|² / (2 B): similar images are drawn together. (The authors'
    released code has the opposite sign.)

    Args:
        codes: [B, bits] real, weighted or not: the rows are the paper's columns of R.
        similarity: [B, B] symmetric, ≥ 0.
    """
    degrees = similarity.sum(1)
    trace = (degrees * codes.square().sum(1)).sum() - (codes * (similarity @ codes)).sum()
    return trace / len(codes)


def distillation(codes: Tensor, embedding: Tensor, temperature: float) -> Tensor:
    """How far the codes' similarities are from those of the float embedding, which stays fixed.

    Each image of the batch gives a distribution over the others, the softmax of their cosines to it
    divided by the temperature. The loss is the mean divergence KL(embedding's ‖ codes') (Fang et
    al., "SEED", 2021, with the batch in place of a queue). Cosines of codes are 1 - 2/b times the
    Hamming distance, so that what is fitted is what ranks.

    Args:
        codes: [B, bits] real, weighted or not.
        embedding: [B, d] real; gets no gradient.
        temperature: of both.
    """
    itself = torch.eye(len(codes), dtype=torch.bool, device=codes.device)

    def similarities(vectors: Tensor) -> Tensor:
        unit = F.normalize(vectors)
        cosines = (unit @ unit.T)[~itself].view(len(vectors), -1)
        return F.log_softmax(cosines / temperature, dim=1)

    target = similarities(embedding.detach())
    return F.kl_div(similarities(codes), target, reduction="batchmean", log_target=True)


def margin_at(progress: float, margins: tuple[float, float], bits: int) -> float:
    """Margin C: grows linearly from margins[0] to margins[1], which hold at 64 bits, times bits/64.

    Args:
        progress: share of the training that is done, 0 … 1.
        margins: at the start and at the end (5 → 13 in the authors' code).
        bits: length of the code; distances grow with it, and so does the margin.
    """
    start, end = margins
    return (start + (end - start) * progress) * bits / 64
