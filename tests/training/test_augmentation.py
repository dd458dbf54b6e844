"""Random changes: none where nothing is asked for, and the same however the batch is shared out."""

import numpy as np
import pytest
import torch

from reid_hash.config.schema import AugmentConfig
from reid_hash.training.augmentation import Augment, random_crop

NOTHING = {"flip": 0, "shift": 0, "zoom": 0, "colour": 0, "erase": 0}


def augment(seed=0, **changes):
    return Augment(AugmentConfig(**{**NOTHING, **changes}), seed)


@pytest.fixture
def batch():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(8, 3, 32, 16))).float()


def whole(changed, batch, step=0, **options):
    return changed(batch, step, slice(0, len(batch)), len(batch), **options)


def test_nothing_asked_for_changes_nothing(batch):
    torch.testing.assert_close(whole(augment(), batch), batch, atol=1e-4, rtol=0)


def test_mirror(batch):
    torch.testing.assert_close(whole(augment(flip=1), batch), batch.flip(3), atol=1e-4, rtol=0)
    changed = whole(augment(flip=0.5), batch)
    mirrored = torch.isclose(changed, batch.flip(3), atol=1e-4).all(dim=(1, 2, 3))
    same = torch.isclose(changed, batch, atol=1e-4).all(dim=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert mirrored.any()
    assert same.any()


def test_everything_at_once_keeps_form_and_is_finite(batch):
    strong = augment(flip=0.5, shift=0.2, zoom=0.3, colour=0.5, erase=0.5)
    changed = whole(strong, batch)
    assert changed.shape == batch.shape
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert changed.isfinite().all()
    assert not torch.isclose(changed, batch, atol=1e-2).all(dim=(1, 2, 3)).any()


@pytest.mark.parametrize("parts", [[8], [4, 4], [3, 5], [1] * 8])
def test_processes_together_do_what_one_does_alone(batch, parts):
    strong = augment(
        seed=3, flip=0.5, shift=0.1, zoom=0.2, colour=0.3, erase=0.5, low_resolution=0.5
    )
    pieces, at = [], 0
    for size in parts:
        rows = slice(at, at + size)
        pieces.append(strong(batch[rows], 5, rows, 8))
        at += size
    torch.testing.assert_close(torch.cat(pieces), whole(strong, batch, step=5))


def test_seed_and_step_alone_decide(batch):
    changes = {"flip": 0.5, "shift": 0.1, "colour": 0.3}
    first = whole(augment(seed=1, **changes), batch, step=2)
    torch.manual_seed(99)
    torch.rand(3)
    assert torch.equal(first, whole(augment(seed=1, **changes), batch, step=2))
    assert not torch.equal(first, whole(augment(seed=1, **changes), batch, step=3))
    assert not torch.equal(first, whole(augment(seed=2, **changes), batch, step=2))


def test_a_seed_of_any_size(batch):
    assert whole(augment(seed=2**40), batch, step=7).isfinite().all()


@pytest.mark.parametrize(("scale", "size"), [(1, (32, 16)), (0.5, (16, 8)), (0.7, (24, 8))])
def test_scale(batch, scale, size):
    assert whole(augment(), batch, scale=scale).shape == (8, 3, *size)


def test_shift_stays_within_its_share():
    image = torch.zeros(64, 3, 40, 40)
    image[:, :, 20, 20] = 1
    changed = whole(augment(shift=0.1), image)[:, 0]
    where = torch.stack([changed.sum(2).argmax(1), changed.sum(1).argmax(1)])
    assert (where - 20).abs().max() in (3, 4, 5)  # 10 % of 40 pixels


def test_zoom_stays_within_its_share():
    image = torch.zeros(64, 3, 40, 40)
    image[:, :, 10:30, 10:30] = 1
    sides = whole(augment(zoom=0.2), image)[:, 0, 20].sum(1)
    assert sides.min() >= 20 / 1.2 - 1
    assert sides.max() <= 20 / 0.8 + 1
    assert sides.max() - sides.min() > 4


def test_colour_changes_a_flat_image_evenly():
    changed = whole(augment(colour=0.2), torch.ones(64, 3, 8, 8))[:, :, 2:6, 2:6]
    assert changed.std(dim=(2, 3)).max() < 1e-5
    means = changed.mean(dim=(2, 3))
    assert means.std(dim=1).min() > 0  # the channels are not changed alike
    assert means.min() >= 0.8 * 0.9 - 0.3 - 1e-5
    assert means.max() <= 1.2 * 1.1 + 0.3 + 1e-5


def test_erasing_is_one_rectangle_of_the_published_size():
    erased = whole(augment(erase=1), torch.ones(200, 3, 64, 64))[:, 0] == 0
    shares = erased.float().mean(dim=(1, 2))
    assert shares.min() > 0.01
    assert shares.max() < 0.34
    assert shares.max() > 0.2
    tall, wide = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(tall * wide, erased.sum(dim=(1, 2)))
    ratio = tall / wide
    assert ratio.max() < 4
    assert ratio.min() > 1 / 4
    assert whole(augment(erase=0.5), torch.ones(200, 3, 16, 16)).amin(dim=(1, 2, 3)).sum() > 60


def test_low_resolution_takes_fine_detail_and_leaves_the_coarse():
    fine = (torch.arange(64)[:, None] + torch.arange(32)[None]) % 2 * 2.0 - 1  # a chessboard
    slope = torch.linspace(-1, 1, 64)[:, None].expand(64, 32)
    images = torch.stack([fine, slope])[:, None].expand(2, 3, 64, 32)
    for step in range(5):
        chessboard, kept = whole(augment(low_resolution=1), images, step=step)
        assert chessboard.abs().mean() < 0.7
        torch.testing.assert_close(kept, images[1], atol=0.05, rtol=0)


def test_low_resolution_is_of_a_share_of_the_images_and_changes_no_other_draw(batch):
    many = batch.repeat(25, 1, 1, 1)
    before = whole(augment(colour=0.3, erase=0.5), many)
    changed = whole(augment(colour=0.3, erase=0.5, low_resolution=0.25), many)
    same = torch.isclose(before, changed).all(dim=(1, 2, 3))
    assert 30 < (~same).sum() < 70  # of 200


def test_light_is_multiplied_and_shared_out_alike():
    images = torch.full((8, 4, 4, 3), 100, dtype=torch.uint8)
    images[:, :2] = 10
    changed = augment(light=0.2)
    bright = changed.light(images, 3, slice(0, 8), 8)
    factors = bright[:, 3, 0] / 100
    assert factors.log().abs().max() <= 0.3 + 1e-5  # exposure and channel
    assert factors.std(0).min() > 0.02  # each image its own
    torch.testing.assert_close(bright[:, 0, 0], 10 * factors)  # dark stays dark
    torch.testing.assert_close(changed.light(images[4:], 3, slice(4, 8), 8), bright[4:])
    assert not torch.equal(changed.light(images, 4, slice(0, 8), 8), bright)
    assert changed.light(images * 0 + 255, 3, slice(0, 8), 8).max() <= 255
    assert augment().light(images, 3, slice(0, 8), 8) is images


def test_a_random_crop_is_the_same_in_one_process_and_in_several():
    images = torch.arange(40 * 3 * 32 * 32, dtype=torch.float).reshape(40, 3, 32, 32)
    whole_batch = random_crop(images, 30, seed=3, step=5, rows=slice(0, 40), total=40)
    assert whole_batch.shape == (40, 3, 30, 30)
    parts = [
        random_crop(images[rows], 30, seed=3, step=5, rows=rows, total=40)
        for rows in (slice(0, 15), slice(15, 40))
    ]
    assert torch.equal(torch.cat(parts), whole_batch)
    first = whole_batch[:, 0, 0, 0].long() - images[:, 0, 0, 0].long()
    corners = {divmod(int(at), 32) for at in first}
    assert corners == {(top, left) for top in range(3) for left in range(3)}
    again = random_crop(images, 30, seed=3, step=6, rows=slice(0, 40), total=40)
    assert not torch.equal(again, whole_batch)
