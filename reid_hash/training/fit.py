"""Fit a head on embeddings: nested, weighted codes of vectors that somebody else's network made.

Where identities are known, the vectors are first whitened by the scatter within identities, shrunk
towards a sphere, which on held-out identities ranked better than the vectors themselves. The first
bits are principal components, rotated within blocks so that each prefix is a code of its own (ITQ,
Gong & Lazebnik 2011); later ones, and those beyond the dimensions, are rotations of the whole
space, as many as are asked for. From there a short training at all prefixes lets codes rank, from
pairs of images of an identity, as the cosines of the whitened vectors do (`losses.distillation`).
Cross entropy of finding the other image (`refit`) is left out: added, it was worse on held-out
identities with 243 to learn from, and better with 375.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from reid_hash.models.head_encoder import Head
from reid_hash.training.refit import SLOPES
from reid_hash.utils.rotation import rotate

Floats32 = NDArray[np.float32]

STEPS = 150
"""400 steps were better at 512 bits on held-out identities, and worse at 256 and below."""
BLOCKS = (32, 64)
"""Prefixes that are rotated principal components; all later bits are rotations of the space."""

_PAIRS = 384  # a step's pairs of vectors
_RATE = 0.01  # of the matrix, times its mean size; of the bit weights it is three times the rate
_SHRINK = 1.0  # within-identity scatter + this times its mean variance
_NOISE = 0.5  # share of what sets another image apart from its identity, added to each image
_DISTIL = 0.06  # temperature of the cosines that codes shall rank by
_SAMPLE = 20_000  # vectors that blocks are rotated, and neighbours found, on
_NEIGHBOURS = 5


def fit_head(
    vectors: Floats32,
    identities: NDArray[np.int64] | None = None,
    cameras: NDArray[np.int64] | None = None,
    bits: int = 256,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Head:
    """Learn a head; the same input and seed give the same head.

    Args:
        vectors: [n, d] finite, none zero, at least 2 different ones.
        identities: [n] int64; pairs of one identity are drawn from those ≥ 0. None, or fewer than
            two identities of two vectors, for a head that keeps neighbours.
        cameras: [n] int64, so that pairs are drawn across cameras.
        bits: length of the code, any number.
        seed: of all draws.
        progress: called with 1 after each of `STEPS` steps.

    Returns:
        The head; `trained_on` and `certificate` are empty.
    """
    random = np.random.default_rng(seed)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = unit.mean(0, dtype=np.float64).astype(np.float32)
    centred = unit - mean
    groups = identity_rows(identities)
    white = np.eye(vectors.shape[1], dtype=np.float32)
    if groups:
        white = whitening(centred, groups)
    white /= np.float32(np.linalg.norm(centred @ white, axis=1).mean() + 1e-12)
    space = centred @ white
    lengths = prefix_lengths(bits)
    start = _start(space[some(len(space), _SAMPLE, random)], lengths, random)
    deviation = (space @ start.T).std(0) + 1e-6
    draw = _Pairs(space, groups, cameras, random)
    matrix, weights = _train(start / deviation[:, None], deviation, draw, lengths, progress)
    projected = space @ matrix.T
    deviation, middle = projected.std(0) + 1e-6, projected.mean(0)
    matrix = (matrix / deviation[:, None]) @ white.T
    return Head(matrix, -(middle / deviation) - matrix @ mean, weights)


def identity_rows(identities: NDArray[np.int64] | None) -> list[NDArray[np.int64]]:
    """Rows of each identity ≥ 0 that has two or more; none where fewer than two identities have."""
    if identities is None:
        return []
    order = np.argsort(identities, kind="stable")
    order = order[identities[order] >= 0]
    cuts = np.flatnonzero(np.diff(identities[order])) + 1
    groups = [rows for rows in np.split(order, cuts) if len(rows) > 1]
    return groups if len(groups) > 1 else []


def whitening(centred: Floats32, groups: list[NDArray[np.int64]]) -> Floats32:
    """[d, d] inverse square root of the shrunk scatter within identities."""
    dims = centred.shape[1]
    total, free = np.zeros((dims, dims)), 0
    for rows in groups:
        apart = (centred[rows] - centred[rows].mean(0)).astype(np.float64)
        total += apart.T @ apart
        free += len(rows) - 1
    total /= free
    size = max(float(np.trace(total)) / dims, 1e-12)
    values, directions = np.linalg.eigh(total + _SHRINK * size * np.eye(dims))
    white: Floats32 = ((directions / np.sqrt(values)) @ directions.T).astype(np.float32)
    return white


def prefix_lengths(bits: int) -> list[int]:
    """Lengths that are trained: 32, 64, 128 … and the whole."""
    shorter = [8, 16] if bits <= 32 else []
    return [*(n for n in (*shorter, *(32 << i for i in range(12))) if n < bits), bits]


def some(count: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Up to `most` of `count` row numbers, in rising order."""
    if count <= most:
        return np.arange(count)
    return np.sort(random.choice(count, most, replace=False))


def _start(space: Floats32, lengths: list[int], random: np.random.Generator) -> Floats32:
    """[bits, d] directions: rotated principal components, then rotations of the space."""
    dims = space.shape[1]
    centred = space - space.mean(0)
    components = np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, ::-1]
    parts = []
    for low, high in pairwise([0, *lengths]):
        if high <= min(dims, max(BLOCKS)):
            block = components[:, low:high].astype(np.float32)
            rotation, _ = rotate(centred @ block, 20, random)
            parts.append((block @ rotation).T)
        else:
            turns = -(-(high - low) // dims)
            whole = [np.linalg.qr(random.normal(size=(dims, dims)))[0] for _ in range(turns)]
            parts.append(np.concatenate(whole)[: high - low])
    start: Floats32 = np.concatenate(parts).astype(np.float32)
    return start


def _train(
    start: Floats32,
    deviation: Floats32,
    draw: "_Pairs",
    lengths: list[int],
    progress: Callable[[int], object] | None,
) -> tuple[Floats32, Floats32]:
    """(matrix [bits, d], bit weights [bits]) after `STEPS` steps."""
    matrix = nn.Parameter(torch.from_numpy(start.copy()))
    # a direction in which the vectors spread more tells more: weights start at its deviation
    spread = np.clip(deviation / deviation.mean(), 0.05, 5).astype(np.float64)
    raw = nn.Parameter(torch.from_numpy(np.log(np.expm1(spread)).astype(np.float32)))
    optimiser = torch.optim.Adam(
        [
            {"params": [matrix], "lr": _RATE * float(np.abs(start).mean())},
            {"params": [raw], "lr": 3 * _RATE},
        ]
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, STEPS)
    for step in range(STEPS):
        vectors = draw()
        projected = vectors @ matrix.T
        projected = (projected - projected.mean(0)) / projected.std(0).clamp_min(1e-6)
        slope = SLOPES[0] + (SLOPES[1] - SLOPES[0]) * step / STEPS
        loss = _loss(vectors, projected, functional.softplus(raw), slope, lengths)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(1)
    weights: Floats32 = functional.softplus(raw).detach().numpy()
    return matrix.detach().numpy(), weights


def _loss(
    vectors: Tensor,
    projected: Tensor,
    weights: Tensor,
    slope: float,
    lengths: list[int],
) -> Tensor:
    """The sum over prefixes, of codes among each other and of real queries to codes."""
    relaxed = torch.tanh(slope * projected)
    real = torch.tanh(projected / 2)  # distances.query_values
    signs = torch.sign(projected).detach() + relaxed - relaxed.detach()
    half = len(vectors) // 2
    unit = functional.normalize(vectors)
    cosines = unit[:half] @ unit[half:].T
    pairs = ((relaxed, relaxed, 1.0), (real, signs, 0.5), (signs, real, 0.5))
    sums: list[Tensor | float] = [0.0, 0.0, 0.0]
    total = vectors.new_zeros(())
    for low, high in pairwise([0, *lengths]):
        for i, (first, second, share) in enumerate(pairs):
            block = (first[:half, low:high] * weights[low:high]) @ second[half:, low:high].T
            sums[i] = sums[i] + block
            similarity = sums[i] / weights[:high].sum()
            total = total + share * _as_cosines(similarity, cosines)
    return total


def _as_cosines(similarity: Tensor, cosines: Tensor) -> Tensor:
    """KL divergence of the similarities, brought to the cosines' scale, from the cosines."""
    with torch.no_grad():
        found, true = similarity - similarity.mean(), cosines - cosines.mean()
        scale = (found * true).mean() / found.square().mean().clamp_min(1e-12)
    total = similarity.new_zeros(())
    for found, true in ((similarity, cosines), (similarity.T, cosines.T)):
        total = total + functional.kl_div(
            functional.log_softmax(found * scale / _DISTIL, 1),
            functional.log_softmax(true / _DISTIL, 1),
            reduction="batchmean",
            log_target=True,
        )
    return total / 2


class _Pairs:
    """Draws pairs of vectors near to each other: [2n, d], rows i and n + i are a pair.

    Two images of an identity, else a vector and one of its neighbours. Each pair is turned towards
    another one, both by the same angle, and scattered: so there are strangers without end.
    """

    def __init__(
        self,
        space: Floats32,
        groups: list[NDArray[np.int64]],
        cameras: NDArray[np.int64] | None,
        random: np.random.Generator,
    ) -> None:
        self.random, self.groups, self.cameras = random, groups, cameras
        if groups:
            self.space = space
            parts = [
                (space[rows] - space[rows].mean(0))
                * np.float32((len(rows) / (len(rows) - 1)) ** 0.5)
                for rows in groups
            ]
            self.scatter = np.concatenate(parts)
            self.count = min(_PAIRS, len(groups))
            return
        self.space = space[some(len(space), _SAMPLE, random)]
        self.near = _neighbours(self.space)
        self.count = min(_PAIRS, len(self.space))
        rows = np.arange(len(self.space))
        apart = [self.space - self.space[self.near[rows, k]] for k in range(self.near.shape[1])]
        self.scatter = np.concatenate(apart) * np.float32(0.7)

    def __call__(self) -> Tensor:
        """The pairs of a step."""
        random = self.random
        if self.groups:
            chosen = random.permutation(len(self.groups))[: self.count]
            first, second = np.array([self._pair(self.groups[i]) for i in chosen]).T
        else:
            first = random.permutation(len(self.space))[: self.count]
            second = self.near[first, random.integers(0, self.near.shape[1], self.count)]
        other = random.permutation(self.count)
        angle = (random.random((self.count, 1)) * np.pi / 2).astype(np.float32)
        both = []
        for rows in (first, second):
            drawn = np.cos(angle) * self.space[rows] + np.sin(angle) * self.space[rows[other]]
            noise = self.scatter[random.integers(0, len(self.scatter), self.count)]
            both.append(drawn + np.float32(_NOISE) * noise)
        return torch.from_numpy(np.concatenate(both))

    def _pair(self, rows: NDArray[np.int64]) -> tuple[int, int]:
        one = rows[self.random.integers(len(rows))]
        others = rows[rows != one]
        if self.cameras is not None and (across := self.cameras[others] != self.cameras[one]).any():
            others = others[across]
        return int(one), int(others[self.random.integers(len(others))])


def _neighbours(space: Floats32) -> NDArray[np.int64]:
    """[n, k] rows of the nearest other vectors, by cosine."""
    unit = functional.normalize(torch.from_numpy(space))
    found = []
    k = min(_NEIGHBOURS, len(space) - 1)
    for start in range(0, len(unit), 2048):
        near = unit[start : start + 2048] @ unit.T
        near[torch.arange(len(near)), torch.arange(start, start + len(near))] = -2
        found.append(near.topk(k, 1).indices)
    return torch.cat(found).numpy()
