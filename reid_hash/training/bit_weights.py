"""What becomes of the bits at the end of training: refitted, weighed, put in order."""

import numpy as np
import torch
from numpy.typing import NDArray

from reid_hash.data.images import Pixels
from reid_hash.models.torch_encoder import network_outputs
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.refit import refit


def likelihood_weights(
    bits: NDArray[np.bool_],
    labels: NDArray[np.int64] | NDArray[np.bool_],
    cameras: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Log-likelihood ratio of each bit agreeing, for same against different identities.

    With p = P(agree | same identity, other camera) and q = P(agree | different identities), taking
    bits as independent, a differing bit costs log(p/(1-p)) - log(q/(1-q)) more than an agreeing
    one: the weight of the naive Bayes match score.

    Args:
        bits: [n, bits] bool, of training images.
        labels: [n] int64; or [n, classes] bool, where "same" means a class in common.
        cameras: [n] int64; where no identity has two cameras, all pairs of one identity count.
            They play no part where images have several classes.

    Returns:
        [bits] float64 ≥ 0; a bit that tells nothing, or the opposite, weighs 0.
    """
    ones = bits.mean(0)
    differ_any = 2 * ones * (1 - ones)  # two random images; nearly all are of different persons
    if labels.ndim == 2:
        return _ratio(_differing_of_related(bits, labels), differ_any)
    groups, group = np.unique(np.stack([labels, cameras], 1), axis=0, return_inverse=True)
    counts = np.bincount(group).astype(np.float64)
    sums = np.stack([np.bincount(group, weights=column) for column in bits.T.astype(float)], 1)
    pairs, differing = 0.0, np.zeros(bits.shape[1])
    for identity in np.unique(groups[:, 0]):
        n, s = (a[groups[:, 0] == identity] for a in (counts, sums))
        # differing pairs among all images of the identity, less those within one camera
        whole = s.sum(0) * (n.sum() - s.sum(0))
        within = (s * (n[:, None] - s)).sum(0)
        across = len(n) > 1
        pairs += (n.sum() ** 2 - (n**2).sum()) / 2 if across else n.sum() * (n.sum() - 1) / 2
        differing += whole - within if across else whole
    return _ratio(differing / max(pairs, 1.0), differ_any)


def _differing_of_related(
    bits: NDArray[np.bool_], labels: NDArray[np.generic]
) -> NDArray[np.float64]:
    """[bits] share of the pairs with a class in common that differ, among up to 4,000 images."""
    some = np.linspace(0, len(bits) - 1, min(len(bits), 4000)).astype(np.int64)
    has, values = labels[some].astype(np.float32), bits[some].astype(np.float32)
    related = (has @ has.T > 0).astype(np.float32)
    np.fill_diagonal(related, 0)
    differing = 2 * (values * (related @ (1 - values))).sum(0, dtype=np.float64)
    return np.asarray(differing / max(float(related.sum(dtype=np.float64)), 1.0))


def _ratio(
    differ_same: NDArray[np.float64], differ_any: NDArray[np.float64]
) -> NDArray[np.float64]:
    same = np.clip(differ_same, 1e-3, 1 - 1e-3)
    other = np.clip(differ_any, 1e-3, 1 - 1e-3)
    ratio = np.log((1 - same) / same) - np.log((1 - other) / other)
    weights: NDArray[np.float64] = np.maximum(ratio, 0.0)
    return weights


def order_by_weight(weights: NDArray[np.floating]) -> NDArray[np.int64]:
    """Indices that sort weights to fall; equal ones keep their order (Zhang et al. 2015)."""
    return np.argsort(-weights, kind="stable").astype(np.int64)


def freeze(net: HashNet, pixels: Pixels, device: torch.device) -> Checkpoint:
    """Refit the hash layer, fix the weights and the order of the bits; see the configuration.

    Args:
        net: the trained network; it is refitted, and its bits put in their final order, in place.
        pixels: the training images, for the refit and for "likelihood" weights.
        device: where to compute.

    Returns:
        The checkpoint, the network on the CPU; `trained_on` is empty.
    """
    config = net.config.model
    net.eval()
    if net.config.refit.steps or config.weights == "likelihood":
        outputs, _ = network_outputs(net, pixels.images, device, flip=config.flip_average)
    if net.config.refit.steps:
        outputs = refit(net, outputs, pixels.labels, pixels.cameras)
    weights = net.significance().detach().double().cpu().numpy()
    if config.weights == "likelihood":
        weights = likelihood_weights(outputs > 0, pixels.labels, pixels.cameras)
    order = np.arange(config.bits)
    if config.order == "weight":
        order = order_by_weight(weights)
        net.reorder(torch.from_numpy(order).to(device))
    return Checkpoint(net.cpu(), weights[order].astype(np.float32), order)
