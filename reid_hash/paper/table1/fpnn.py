"""FPNN trained on pairs, and its distances (Li et al., CVPR 2014). The network is in `nn.fpnn`.

As in the paper, training uses pairs of one person's images from both cameras and pairs of two
persons. The share of the latter grows during training, and more and more of them are hard: pairs
that the previous epoch's network takes for one person. Images are shifted at random, with dropout.
Unlike in the paper, the optimiser is AdamW instead of SGD, and both images of a pair are mirrored.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from reid_hash.config.schema import AugmentConfig
from reid_hash.errors import CheckpointError, DataError
from reid_hash.models.torch_encoder import pick_device
from reid_hash.nn.checkpoint import load_state, read_facts, save_state
from reid_hash.nn.fpnn import FILTERS, HEIGHT, PATCHES, STRIPES, WIDTH, FilterPairingNet
from reid_hash.training.augmentation import Augment
from reid_hash.utils.seeds import mixed_seed

EPOCHS = 40
"""Epochs of a full training, in which each image of the first camera is in one positive pair."""

POSITIVES = 16
"""Positive pairs (of one person) in a batch."""

NEGATIVES = (1.0, 5.0)
"""Negative pairs (of two persons) per positive pair, in the first and in the last epoch."""

HARD, CANDIDATES = 0.25, 10
"""Hard pairs per positive pair in an epoch, and candidates examined for each hard pair."""

RATE, DECAY = 1e-3, 1e-2
"""Initial learning rate, with a cosine schedule, and weight decay."""

_SHIFT = AugmentConfig(flip=0, shift=0.05, zoom=0, colour=0, erase=0)
_IMAGES, _PAIRS = 128, 128  # at a time, without training

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Progress = Callable[[int], object]


class CameraPairs:
    """Pairs of images to train on, one image from each of two cameras.

    Args:
        labels: [n] int64, identities.
        cameras: [n] int64, of two cameras.

    Raises:
        DataError: there are not two cameras, or both see fewer than two persons.
    """

    def __init__(self, labels: Indices, cameras: Indices) -> None:
        views = np.unique(cameras)
        if len(views) != 2:
            raise DataError(
                f"training on pairs needs images of two cameras, there are {len(views)}"
            )
        self.labels = labels
        self.views = [np.flatnonzero(cameras == camera) for camera in views]
        seen = [labels[view] for view in self.views]
        both = np.intersect1d(seen[0], seen[1])
        if len(both) < 2:
            raise DataError(
                "training on pairs needs two persons or more that both cameras have seen"
            )
        self._first = self.views[0][np.isin(seen[0], both)]
        self._second = {int(person): self.views[1][seen[1] == person] for person in both}

    def same(self, random: np.random.Generator) -> tuple[Indices, Indices]:
        """Pair each first-camera image with a second-camera one of the same person, shuffled."""
        first = random.permutation(self._first)
        second = [random.choice(self._second[int(self.labels[i])]) for i in first]
        return first, np.array(second, np.int64)

    def different(self, count: int, random: np.random.Generator) -> tuple[Indices, Indices]:
        """Draw `count` pairs of two persons, with replacement."""
        first, second = (random.choice(view, count) for view in self.views)
        while (wrong := self.labels[first] == self.labels[second]).any():
            second[wrong] = random.choice(self.views[1], int(wrong.sum()))
        return first, second


class FilterPairing:
    """Matcher that decides whether two images, one from each camera, show one person.

    Args:
        epochs: epochs of training.
        device: device to compute on: "auto", "cpu", "cuda" or "mps".
    """

    def __init__(self, epochs: int = EPOCHS, device: str = "auto") -> None:
        self.epochs = epochs
        self.device = pick_device(device)
        self.net = FilterPairingNet().to(self.device)
        self._fitted = False

    def fit(
        self,
        images: NDArray[np.uint8],
        labels: Indices,
        cameras: Indices,
        seed: int = 0,
        state: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train the network.

        Args:
            images: [n, 64, 32, 3] uint8 RGB.
            labels: [n] int64, identities.
            cameras: [n] int64, of two cameras; the lower number is the first view.
            seed: seed of the initial weights and of all random choices.
            state: file that is written after each epoch. If it exists, training resumes from it, to
                the same weights as without a stop. The last state is the model.
            progress: called with 1 for each epoch.

        Raises:
            DataError: there are not two cameras, both see fewer than two persons, images have
                another size, or `state` belongs to other images.
            CheckpointError: `state` is damaged, or belongs to another training.
        """
        if images.shape[1:] != (HEIGHT, WIDTH, 3):
            size = "×".join(str(side) for side in images.shape[1:3])
            raise DataError(f"FPNN takes images of {HEIGHT}×{WIDTH} pixels, not {size}")
        pairs = CameraPairs(labels, cameras)
        torch.manual_seed(seed)
        self.net = FilterPairingNet().to(self.device)
        sample = images[:: max(1, len(images) // 1000)].astype(np.float64) / 255
        self.net.mean.copy_(torch.from_numpy(sample.mean((0, 1, 2))))
        self.net.std.copy_(torch.from_numpy(sample.std((0, 1, 2)).clip(0.01)))
        optimiser = torch.optim.AdamW(self.net.parameters(), RATE, weight_decay=DECAY)
        about = {"images": len(images), "epochs": self.epochs, "seed": seed}
        start = self._resume(state, optimiser, about)
        self._fitted = True
        for epoch in range(self.epochs):
            if epoch >= start:
                self._epoch(epoch, images, pairs, optimiser, seed)
                if state is not None:
                    facts = {"epoch": epoch + 1, **about}
                    save_state(state, {"net": self.net}, optimiser, facts)
            if progress is not None:
                progress(1)
        return self

    def _resume(
        self, state: Path | None, optimiser: torch.optim.Optimizer, about: dict[str, int]
    ) -> int:
        """Restore network and optimiser; return the number of epochs already done."""
        if state is None or not state.exists():
            return 0
        facts = read_facts(state)
        if facts.get("images") != about["images"]:
            raise DataError(
                f"{state} was trained on {facts.get('images', '?')} images, but there are "
                f"{about['images']} here; give its data, or remove it"
            )
        if any(facts.get(key) != value for key, value in about.items()):
            raise CheckpointError(f"{state} is of another training; remove it")
        return int(load_state(state, {"net": self.net}, optimiser)["epoch"])

    def _epoch(
        self,
        epoch: int,
        images: NDArray[np.uint8],
        pairs: CameraPairs,
        optimiser: torch.optim.Optimizer,
        seed: int,
    ) -> None:
        """Train one epoch, in which everything random depends on its number."""
        mixed = mixed_seed(seed, 1 + epoch)
        random, augment = np.random.default_rng(mixed), Augment(_SHIFT, mixed)
        torch.manual_seed(mixed)  # for dropout
        done = epoch / max(1, self.epochs - 1)
        a, b = pairs.same(random)
        batches = max(1, len(a) // POSITIVES)
        negatives = round(POSITIVES * (NEGATIVES[0] + done * (NEGATIVES[1] - NEGATIVES[0])))
        hard = self._hardest(images, pairs, math.ceil(HARD * len(a)), random) if epoch else None
        # in the end, half of the negatives are not hard: the network must not forget easy ones
        many_hard = round(negatives * done / 2) if hard is not None else 0
        for step, rows in enumerate(np.array_split(np.arange(len(a)), batches)):
            sets = [(a[rows], b[rows]), pairs.different(negatives - many_hard, random)]
            if hard is not None:
                drawn = random.integers(0, len(hard[0]), many_hard)
                sets.append((hard[0][drawn], hard[1][drawn]))
            target = torch.zeros(len(rows) + negatives, device=self.device)
            target[: len(rows)] = 1
            mirror = bool(random.random() < 0.5)
            views = []
            for view in range(2):
                chosen, place = np.unique(
                    np.concatenate([pair[view] for pair in sets]), return_inverse=True
                )
                batch = self._normalised(images[chosen])
                batch = augment(batch, 2 * step + view, slice(0, len(batch)), len(batch))
                found = self.net.responses(batch.flip(3) if mirror else batch, view)
                views.append(found[torch.from_numpy(place).to(self.device)])
            loss = F.binary_cross_entropy_with_logits(self.net.compare(*views), target)
            progress = (epoch + step / batches) / self.epochs
            for group in optimiser.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * progress))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def _hardest(
        self,
        images: NDArray[np.uint8],
        pairs: CameraPairs,
        count: int,
        random: np.random.Generator,
    ) -> tuple[Indices, Indices]:
        """Select the pairs of two persons that the network most takes for one person."""
        candidates = pairs.different(CANDIDATES * count, random)
        views = []
        for view, drawn in enumerate(candidates):
            chosen, place = np.unique(drawn, return_inverse=True)
            views.append((torch.from_numpy(self.responses(images[chosen], view)), place))
        (first, i), (second, j) = views
        odds = np.concatenate(
            [
                self._compare(first[i[start : start + _PAIRS]], second[j[start : start + _PAIRS]])
                for start in range(0, len(i), _PAIRS)
            ]
        )
        hardest = np.argpartition(-odds, count)[:count]
        return candidates[0][hardest], candidates[1][hardest]

    def responses(self, images: NDArray[np.uint8], view: int) -> Floats:
        """Compute the part of comparisons that is done once per image.

        Args:
            images: [n, 64, 32, 3] uint8 RGB.
            view: 0 for images of the first camera, 1 for those of the second.

        Returns:
            [n, 20, 32, 9] float32 ≥ 0: stripes, filters, patches.

        Raises:
            DataError: `fit` has not been called.
        """
        if not self._fitted:
            raise DataError("FPNN is not trained yet: call fit first")
        self.net.eval()
        out = np.empty((len(images), STRIPES, FILTERS, PATCHES), np.float32)
        with torch.inference_mode():
            for start in range(0, len(images), _IMAGES):
                rows = slice(start, start + _IMAGES)
                found = self.net.responses(self._normalised(images[rows]), view)
                out[rows] = found.cpu().numpy()
        self.net.train()
        return out

    def distances(self, first: Floats, second: Floats, progress: Progress | None = None) -> Floats:
        """Compute distances log p(different) − log p(same) of all pairs.

        Every pair runs through the network; there is nothing to look up.

        Args:
            first: [n, 20, 32, 9] from `responses`, of the first view.
            second: [m, 20, 32, 9] from `responses`, of the second view.
            progress: called with 1 for each of the n images.

        Returns:
            [n, m] float32.
        """
        out = np.empty((len(first), len(second)), np.float32)
        ours, theirs = torch.from_numpy(first), torch.from_numpy(second)
        for i in range(len(first)):
            for start in range(0, len(second), _PAIRS):
                part = theirs[start : start + _PAIRS]
                out[i, start : start + _PAIRS] = -self._compare(ours[i : i + 1], part)
            if progress is not None:
                progress(1)
        return out

    def _compare(self, first: Tensor, second: Tensor) -> Floats:
        self.net.eval()
        with torch.inference_mode():
            odds = self.net.compare(first.to(self.device), second.to(self.device))
        self.net.train()
        return np.asarray(odds.cpu().numpy(), np.float32)

    def _normalised(self, images: NDArray[np.uint8]) -> Tensor:
        return self.net.normalise(torch.from_numpy(np.ascontiguousarray(images)).to(self.device))
