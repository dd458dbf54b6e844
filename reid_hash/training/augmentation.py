"""Random augmentation of a whole batch at once, on tensors."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from reid_hash.config.schema import AugmentConfig
from reid_hash.utils.seeds import mixed_seed


class Augment:
    """Mirror, shift, zoom, light, colour, resolution and erasing, drawn alike in all processes.

    Every process draws the changes for the whole batch and applies those for its own rows. The
    result depends only on (seed, step), not on the number of processes or on what ran before.

    Args:
        config: strength of the changes.
        seed: seed of the run.
    """

    def __init__(self, config: AugmentConfig, seed: int) -> None:
        self.config = config
        self.seed = seed

    def light(self, images: Tensor, step: int, rows: slice, total: int) -> Tensor:
        """Change the light of a batch: exposure and white balance.

        Args:
            images: [b, height, width, 3] uint8 RGB, rows `rows` of the whole batch.
            step: number of the batch.
            rows: rows of the whole batch that `images` holds.
            total: size of the whole batch.

        Returns:
            [b, height, width, 3] float in 0 … 255; `images` itself if nothing changes.
        """
        most = self.config.light
        if not most:
            return images
        # a separate generator, so that all other draws stay the same with and without this
        random = torch.Generator().manual_seed(mixed_seed(self.seed, step, 1))
        exposure = (torch.rand(total, 1, generator=random) * 2 - 1) * most
        channels = (torch.rand(total, 3, generator=random) * 2 - 1) * most / 2
        factors = torch.exp(exposure + channels)[rows].to(images.device)
        return (images * factors[:, None, None, :]).clamp(0, 255)

    def __call__(
        self, images: Tensor, step: int, rows: slice, total: int, scale: float = 1.0
    ) -> Tensor:
        """Augment a batch.

        Args:
            images: [b, 3, height, width] normalised float, rows `rows` of the whole batch.
            step: number of the batch.
            rows: rows of the whole batch that `images` holds.
            total: size of the whole batch.
            scale: factor of the result's sides, rounded to multiples of 8 pixels unless it is 1.

        Returns:
            [b, 3, height · scale, width · scale] float, channels last in memory.
        """
        random = torch.Generator().manual_seed(mixed_seed(self.seed, step))
        config = self.config

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            drawn = torch.rand(total, *shape, generator=random) * (high - low) + low
            return drawn[rows].to(images.device)

        # geometry: mirror, zoom and shift in a single bilinear look-up
        mirror = torch.where(uniform(0, 1) < config.flip, -1.0, 1.0)
        theta = torch.zeros(len(images), 2, 3, device=images.device)
        theta[:, 0, 0] = mirror * (1 + uniform(-config.zoom, config.zoom))
        theta[:, 1, 1] = 1 + uniform(-config.zoom, config.zoom)
        theta[:, :, 2] = uniform(-2 * config.shift, 2 * config.shift, 2)  # sides have length 2
        size = [side if scale == 1 else round(side * scale / 8) * 8 for side in images.shape[2:]]
        grid = F.affine_grid(theta, [len(images), 3, *size], align_corners=False)
        images = F.grid_sample(images, grid, align_corners=False)
        # colour: contrast, brightness, and each channel's gain and offset
        c = config.colour
        images = images * (1 + uniform(-c, c, 1, 1, 1)) * (1 + uniform(-c / 2, c / 2, 3, 1, 1))
        images = images + uniform(-c, c, 1, 1, 1) + uniform(-c / 2, c / 2, 3, 1, 1)
        # erasing (Zhong et al. 2020): a rectangle of 2 to 32 % of the area, aspect 0.3 to 3.3
        height, width = images.shape[2:]
        erased = uniform(0, 1) < config.erase
        area, aspect = uniform(0.02, 0.32), torch.exp(uniform(-math.log(3.3), math.log(3.3)))
        tall = (area * aspect).sqrt().clamp_max(1) * height
        wide = (area / aspect).sqrt().clamp_max(1) * width
        top = (uniform(0, 1) * (height - tall))[:, None, None]
        left = (uniform(0, 1) * (width - wide))[:, None, None]
        y = torch.arange(height, device=images.device)[None, :, None]
        x = torch.arange(width, device=images.device)[None, None, :]
        inside = (y >= top) & (y < top + tall[:, None, None])
        inside = inside & (x >= left) & (x < left + wide[:, None, None])
        inside = inside & erased[:, None, None]
        if config.low_resolution:  # drawn last, so that other configurations keep their draws
            factor = torch.rand(1, generator=random).item() * 0.6 + 0.4
            coarse = uniform(0, 1) < config.low_resolution
            images = torch.where(coarse[:, None, None, None], _coarse(images, factor), images)
        images = images.masked_fill(inside[:, None], 0.0)
        return images.contiguous(memory_format=torch.channels_last)


def random_crop(images: Tensor, side: int, seed: int, step: int, rows: slice, total: int) -> Tensor:
    """Crop a square from each image at a random position, drawn as `Augment` does.

    Args:
        images: [b, 3, height, width], rows `rows` of the whole batch.
        side: side of the squares in pixels.
        seed: seed of the run.
        step: number of the batch.
        rows: rows of the whole batch that `images` holds.
        total: size of the whole batch.

    Returns:
        [b, 3, side, side], channels last in memory.
    """
    random = torch.Generator().manual_seed(mixed_seed(seed, step, 2))
    room = torch.tensor([images.shape[2] - side, images.shape[3] - side])
    corners = (torch.rand(total, 2, generator=random) * (room + 1)).long()[rows].tolist()
    cut = [
        image[:, top : top + side, left : left + side]
        for image, (top, left) in zip(images, corners, strict=True)
    ]
    return torch.stack(cut).contiguous(memory_format=torch.channels_last)


def _coarse(images: Tensor, factor: float) -> Tensor:
    """Scale images down to `factor` of their sides, and back."""
    size = images.shape[2:]
    small = F.interpolate(images, scale_factor=factor, mode="bilinear", antialias=True)
    return F.interpolate(small, size=size, mode="bilinear")
