"""Final processing of the bits after training: refit, weights, order.

Training sees a few dozen identities per batch, compares relaxed codes, and in the end separates its
own identities too well to learn more from them. The refit uses the trained network's outputs for
all training images, which fit into memory, so that one step compares hundreds of identities. It
adds noise, since outputs of strangers scatter more than those of training identities. This way the
hash layer learns to rank persons across cameras.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from reid_hash.config.schema import RefitConfig
from reid_hash.data.images import Pixels
from reid_hash.errors import ConfigError
from reid_hash.models.torch_encoder import network_outputs
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.nn.hashnet import HashNet
from reid_hash.nn.head import HashHead
from reid_hash.training.objective import prefix_lengths

SLOPES = (1.0, 4.0)
"""Slope of tanh at the first and at the last step, for outputs with deviation 1."""

LENGTH = 64
"""Code length for which `RefitConfig.temperature` is given."""


def freeze(net: HashNet, pixels: Pixels, device: torch.device) -> Checkpoint:
    """Refit the hash layer, then fix the weights and the order of the bits.

    Args:
        net: the trained network, changed in place: refitted, with its bits in final order.
        pixels: training images, for the refit and for "likelihood" weights.
        device: device to compute on.

    Returns:
        The checkpoint, with the network on the CPU and an empty `trained_on`.
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


def check_pairs(labels: NDArray[np.int64] | NDArray[np.bool_]) -> None:
    """Raise unless there are pairs to refit with. Called before training, not after it.

    Args:
        labels: [n] int, of the training images.

    Raises:
        ConfigError: images have several classes, or fewer than two identities have two images.
    """
    if labels.ndim != 1:
        raise ConfigError("refit.steps: images with several classes cannot be refitted with; set 0")
    if (np.unique(labels, return_counts=True)[1] > 1).sum() < 2:
        raise ConfigError("refit.steps: fewer than 2 identities have 2 images; set 0")


def refit(
    net: HashNet,
    outputs: NDArray[np.float32],
    labels: NDArray[np.int64] | NDArray[np.bool_],
    cameras: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Replace the hash layer's matrix by one that ranks better, in place; see `RefitConfig`.

    Each step draws two images of each of many identities, from different cameras if possible. Among
    all images, each should be nearest to the other image of its identity, by the weighted Hamming
    distance of relaxed codes, at every length. The loss is the cross entropy of similarities
    divided by a temperature (InfoNCE, van den Oord et al. 2018). Learned bit weights are refitted
    too, at their share of the learning rate (`train.bit_weights_rate`). The same seed gives the
    same layer.

    Args:
        net: the trained network, in evaluation mode.
        outputs: [n, bits], the network's outputs for the training images.
        labels: [n] int64; multi-label is refused.
        cameras: [n] int64.

    Returns:
        [n, bits], the refitted network's outputs for the training images.

    Raises:
        ConfigError: see `check_pairs`.
    """
    check_pairs(labels)
    config = net.config
    bits = config.model.bits
    mean, scale = outputs.mean(0), max(float(outputs.std(0).mean()), 1e-6)
    vectors = (outputs - mean) / scale
    lengths = prefix_lengths(config.refit.prefixes or config.loss.prefixes, bits)
    draw = _Draw(vectors, labels.astype(np.int64), cameras, config.refit, config.seed)
    device = next(net.weight.parameters()).device
    net.weight.cpu()
    matrix = nn.Parameter(torch.eye(bits))
    rate, weights_rate = config.refit.learning_rate, config.train.bit_weights_rate
    optimiser = torch.optim.Adam(  # no gradient if weights do not use factors
        [
            {"params": [matrix], "lr": rate},
            {"params": list(net.weight.parameters()), "lr": rate * weights_rate},
        ]
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, config.refit.steps)
    for step in range(config.refit.steps):
        projected = draw.pairs() @ matrix.T
        deviation = projected.std(0).clamp_min(1e-6)
        slope = SLOPES[0] + (SLOPES[1] - SLOPES[0]) * step / config.refit.steps
        codes = torch.tanh(slope * (projected - projected.mean(0)) / deviation)
        loss = torch.stack(
            [
                contrast(codes[:, :length], net.significance()[:length], config.refit.temperature)
                for length in lengths
            ]
        ).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    net.weight.to(device)
    with torch.no_grad():
        projected = torch.from_numpy(vectors) @ matrix.T
        deviation = projected.std(0).clamp_min(1e-6)
        rows = matrix / (deviation[:, None] * scale)
        shift = -rows @ torch.from_numpy(mean) - projected.mean(0) / deviation
        fold(net.head, rows, shift)
    refitted: NDArray[np.float32] = outputs @ rows.numpy().T + shift.numpy()
    return refitted


def contrast(codes: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Compute the cross entropy of finding the other image of each pair, from either side.

    Args:
        codes: [2n, bits] relaxed codes; rows i and n + i share an identity, all others differ.
        weights: [bits] ≥ 0, significance of each bit.
        temperature: temperature of the similarities at 64 bits. It falls with the fourth root of
            the code length, since similarities of longer codes scatter less.
    """
    first, second = codes.chunk(2)
    similarity = (first * weights) @ second.T / weights.sum()
    logits = similarity / (temperature * (LENGTH / codes.shape[1]) ** 0.25)
    right = torch.arange(len(first), device=codes.device)
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


@torch.no_grad()
def fold(head: HashHead, matrix: Tensor, shift: Tensor) -> None:
    """Make a head return `matrix` @ v + `shift` instead of v, without another layer.

    Args:
        head: head of a trained network, with batch norm as in evaluation.
        matrix: [bits, bits].
        shift: [bits].
    """
    project, norm = head.project, head.norm
    matrix, shift = matrix.to(project.weight), shift.to(project.weight)
    if isinstance(norm, nn.modules.batchnorm._BatchNorm):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        offset = norm.bias - norm.running_mean * scale
        project.weight.copy_((matrix * scale) @ project.weight)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1)
        norm.bias.copy_(matrix @ offset + shift)
    else:
        assert project.bias is not None
        project.weight.copy_(matrix @ project.weight)
        project.bias.copy_(matrix @ project.bias + shift)


class _Draw:
    """Sampler of pairs of noisy outputs."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        labels: NDArray[np.int64],
        cameras: NDArray[np.int64],
        config: RefitConfig,
        seed: int,
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.vectors, self.cameras, self.noise = vectors, cameras, config.noise
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order], prepend=labels[order[0]] - 1))
        groups = np.split(order, starts[1:])
        self.groups = [rows for rows in groups if len(rows) > 1]
        self.identities = min(config.identities, len(self.groups))
        self.scatter = vectors.copy()
        for rows in groups:
            self.scatter[rows] -= vectors[rows].mean(0)

    def pairs(self) -> Tensor:
        """Draw pairs [2n, bits]; rows i and n + i share an identity."""
        chosen = self.random.permutation(len(self.groups))[: self.identities]
        both = np.array([self._pair(self.groups[identity]) for identity in chosen]).T.ravel()
        drawn = self.vectors[both]
        if self.noise:
            others = self.random.integers(0, len(self.scatter), len(both))
            drawn = drawn + np.float32(self.noise) * self.scatter[others]
        return torch.from_numpy(drawn)

    def _pair(self, rows: NDArray[np.int64]) -> tuple[int, int]:
        one = rows[self.random.integers(len(rows))]
        others = rows[self.cameras[rows] != self.cameras[one]]
        if not len(others):
            others = rows[rows != one]
        return int(one), int(others[self.random.integers(len(others))])


def likelihood_weights(
    bits: NDArray[np.bool_],
    labels: NDArray[np.int64] | NDArray[np.bool_],
    cameras: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Compute the log-likelihood ratio of each bit agreeing, same against different identities.

    With p = P(agree | same identity, other camera) and q = P(agree | different identities), and
    assuming independent bits, a differing bit costs log(p/(1-p)) - log(q/(1-q)) more than an
    agreeing one: its weight in the naive Bayes match score.

    Args:
        bits: [n, bits] bool, codes of training images.
        labels: [n] int64; or [n, classes] bool, where "same" means a class in common.
        cameras: [n] int64. Pairs within one camera are not counted, so identities with one camera
            add nothing; if no identity has two cameras, all pairs of an identity count. Ignored if
            images have several classes.

    Returns:
        [bits] float64 ≥ 0; a bit that is uninformative or misleading has weight 0.
    """
    ones = bits.mean(0)
    differ_any = 2 * ones * (1 - ones)  # of two random images, nearly all of different persons
    if labels.ndim == 2:
        return _ratio(_differing_of_related(bits, labels), differ_any)
    groups, group = np.unique(np.stack([labels, cameras], 1), axis=0, return_inverse=True)
    counts = np.bincount(group).astype(np.float64)
    sums = np.stack([np.bincount(group, weights=column) for column in bits.T.astype(float)], 1)
    across = len(groups) > len(np.unique(groups[:, 0]))  # whether some identity has two cameras
    pairs, differing = 0.0, np.zeros(bits.shape[1])
    for identity in np.unique(groups[:, 0]):
        n, s = (a[groups[:, 0] == identity] for a in (counts, sums))
        # differing pairs among all images of the identity, minus those within one camera
        whole = s.sum(0) * (n.sum() - s.sum(0))
        within = (s * (n[:, None] - s)).sum(0)
        pairs += (n.sum() ** 2 - (n**2).sum()) / 2 if across else n.sum() * (n.sum() - 1) / 2
        differing += whole - within if across else whole
    return _ratio(differing / max(pairs, 1.0), differ_any)


def _differing_of_related(
    bits: NDArray[np.bool_], labels: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Compute the share [bits] of differing pairs with a class in common, on up to 4,000 images."""
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
    """Return indices that sort weights in descending order, stably (Zhang et al. 2015)."""
    return np.argsort(-weights, kind="stable").astype(np.int64)
