import numpy as np
import pytest

from reid_hash.errors import ConfigError
from reid_hash.training.sampler import BalancedSampler

LABELS = np.repeat(np.arange(10), 8)
CAMERAS = np.tile([1, 1, 1, 1, 1, 1, 2, 2], 10)  # camera 2 is rarer


def test_a_batch_has_p_identities_with_k_images_each():
    sampler = BalancedSampler(LABELS, CAMERAS, 4, 4, seed=0)
    batches = list(sampler.epoch(0))
    assert len(batches) == len(sampler) == 80 // 16
    for batch in batches:
        labels = LABELS[batch].reshape(4, 4)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0])) == 4


def test_cameras_take_turns():
    for batch in BalancedSampler(LABELS, CAMERAS, 4, 4, seed=0).epoch(0):
        cameras = CAMERAS[batch].reshape(4, 4)
        assert ((cameras == 1).sum(1) == 2).all()
        assert all(len(set(row)) == 4 for row in batch.reshape(4, 4))  # no image twice


def test_identities_are_drawn_equally_often():
    sampler = BalancedSampler(LABELS, CAMERAS, 4, 2, seed=1)
    drawn = np.concatenate([LABELS[b].reshape(4, 2)[:, 0] for b in sampler.epoch(3)])
    counts = np.bincount(drawn, minlength=10)
    assert counts.max() - counts.min() <= 1


def test_an_epoch_depends_on_seed_and_number_alone():
    def epoch(seed, number):
        return np.stack(list(BalancedSampler(LABELS, CAMERAS, 4, 4, seed).epoch(number)))

    sampler = BalancedSampler(LABELS, CAMERAS, 4, 4, 0)
    list(sampler.epoch(0))  # what ran before does not matter
    np.testing.assert_array_equal(np.stack(list(sampler.epoch(5))), epoch(0, 5))
    assert (epoch(0, 5) != epoch(0, 6)).any()
    assert (epoch(0, 5) != epoch(1, 5)).any()


def test_few_images_come_twice_rather_than_not_at_all():
    sampler = BalancedSampler(np.array([0, 1, 1]), np.array([1, 1, 2]), 2, 4, seed=0)
    (batch,) = sampler.epoch(0)
    assert sorted(batch.reshape(2, 4)[(batch.reshape(2, 4) == 0).any(1)][0]) == [0, 0, 0, 0]


def test_more_identities_asked_than_there_are():
    sampler = BalancedSampler(LABELS, CAMERAS, 64, 4, seed=0)
    assert sampler.identities == 10
    assert all(len(batch) == 40 for batch in sampler.epoch(0))


@pytest.mark.parametrize("p", [1, 3, 7])
def test_no_identity_twice_in_a_batch(p):
    for batch in BalancedSampler(LABELS, CAMERAS, p, 2, seed=0).epoch(0):
        assert len(set(LABELS[batch])) == p


def test_images_with_several_classes_are_drawn_for_any_of_them():
    random = np.random.default_rng(0)
    has = random.random((60, 5)) < 0.4
    has[:, 4] = False  # a class that no image has is never drawn
    has[has.sum(1) == 0, 0] = True
    sampler = BalancedSampler(has, np.zeros(60, int), 4, 3, seed=0)
    batches = list(sampler.epoch(0))
    assert len(batches) == len(sampler) == 60 // 12
    for batch in batches:
        shared = has[batch].reshape(4, 3, 5).all(1)  # [identity drawn, class]
        assert shared.any(1).all()


def test_shares_decide_how_many_identities_of_each_source_are_in_a_batch():
    sources = (LABELS >= 7).astype(np.int64)
    sampler = BalancedSampler(LABELS, CAMERAS, 5, 2, 0, sources, (3, 1.9))
    for batch in sampler.epoch(0):
        assert np.bincount(sources[batch[::2]]).tolist() == [3, 2]
    drawn = np.concatenate([LABELS[b][::2] for b in sampler.epoch(1)])
    for of in (drawn[drawn < 7], drawn[drawn >= 7] - 7):
        counts = np.bincount(of)
        assert counts.max() - counts.min() <= 1


def test_shares_that_do_not_fit():
    sources = (LABELS >= 7).astype(np.int64)
    with pytest.raises(ConfigError, match="3 numbers for 2 data sets"):
        BalancedSampler(LABELS, CAMERAS, 5, 2, 0, sources, (1, 1, 1))
    with pytest.raises(ConfigError, match="without an identity in a batch of 5"):
        BalancedSampler(LABELS, CAMERAS, 5, 2, 0, sources, (100, 1))
