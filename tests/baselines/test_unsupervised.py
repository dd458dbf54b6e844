"""LSH, spectral hashing and ITQ."""

import numpy as np
import pytest

from reid_hash.baselines import ITQ, LSH, SpectralHash
from reid_hash.baselines.pca import principal_components
from reid_hash.baselines.spectral import smallest_modes
from reid_hash.utils.rotation import rotate


def gaussian(samples=500, dims=10, seed=0):
    random = np.random.default_rng(seed)
    scale = np.geomspace(6, 0.2, dims)
    mixing = np.linalg.qr(random.normal(size=(dims, dims)))[0]
    return ((random.normal(size=(samples, dims)) * scale) @ mixing + 2).astype(np.float32)


def test_lsh_bits_differ_as_often_as_the_angle_says():
    features = gaussian(40)
    labels = np.zeros(40, int)
    bits = LSH(20_000).fit(features, labels).encode(features).unpack()
    centred = features - features.mean(0)
    cosine = (centred @ centred.T) / np.outer(*2 * [np.linalg.norm(centred, axis=1)])
    differ = (bits[:, None] != bits).mean(2)
    np.testing.assert_allclose(differ, np.arccos(cosine.clip(-1, 1)) / np.pi, atol=0.02)


def test_lsh_shorter_codes_are_the_first_bits():
    features = gaussian()
    labels = np.zeros(500, int)
    long, short = (LSH(bits).fit(features, labels, 5).encode(features) for bits in (40, 13))
    np.testing.assert_array_equal(long.unpack()[:, :13], short.unpack())


def test_principal_components_are_those_of_the_covariance():
    features = gaussian()
    mean, directions, variances = principal_components(features, 4)
    covariance = np.cov(features.T.astype(float), bias=True)
    np.testing.assert_allclose(mean, features.mean(0), rtol=1e-5)
    np.testing.assert_allclose(directions.T @ directions, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(covariance @ directions, directions * variances, atol=1e-4)
    assert (np.diff(variances) <= 0).all()
    np.testing.assert_allclose(variances.sum() > 0.7 * np.trace(covariance), True)


def test_spectral_hashing_is_the_paper_step_by_step():
    train, new = gaussian(), gaussian(50, seed=1)
    bits = 6
    # (1) principal components
    mean, directions, _ = principal_components(train, bits)
    projected = (train - mean) @ directions
    low, high = projected.min(0), projected.max(0)
    # (2) the smallest eigenvalues over directions and modes, for any epsilon
    eigenvalues = {
        (direction, mode): 1
        - np.exp(-(0.1**2) / 2 * (mode * np.pi / (high[direction] - low[direction])) ** 2)
        for direction in range(bits)
        for mode in range(1, bits + 1)
    }
    chosen = sorted(eigenvalues, key=eigenvalues.get)[:bits]
    # (3) the signs of the eigenfunctions
    expected = np.empty((50, bits))
    for i, x in enumerate((new - mean) @ directions):
        for k, (d, mode) in enumerate(chosen):
            expected[i, k] = np.sin(np.pi / 2 + mode * np.pi * (x[d] - low[d]) / (high[d] - low[d]))
    function = SpectralHash(bits).fit(train, np.zeros(500, int))
    assert [tuple(mode) for mode in function.modes.tolist()] == chosen
    assert max(mode for _, mode in chosen) > 1  # the long direction has several bits
    np.testing.assert_allclose(function.outputs(new), expected, atol=1e-5)


def test_modes_of_directions_without_extent_come_last():
    assert smallest_modes(np.array([1.0, 0.0]), 2).tolist() == [[0, 1], [0, 2]]


def unit_components(features, bits):
    """V of the ITQ paper: components of centred features of unit norm."""
    centred = features - features.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    mean, directions, _ = principal_components(centred, bits)
    return (centred - mean) @ directions


def quantisation_error(rotated):
    return np.square(np.sign(rotated) - rotated).sum()


@pytest.mark.parametrize("seed", range(3))
def test_the_quantisation_error_of_itq_never_rises(seed):
    features = gaussian(400, 12)
    components = unit_components(features, 6)
    labels = np.zeros(400, int)
    rotated = {
        n: ITQ(6, n).fit(features, labels, seed).outputs(features) for n in (1, 2, 3, 5, 10, 50)
    }
    errors = [quantisation_error(values) for values in rotated.values()]
    assert (np.diff(errors) <= 1e-3).all()
    assert errors[0] > errors[-1] + 1
    # it is the same components, rotated
    np.testing.assert_allclose(rotated[50] @ rotated[50].T, components @ components.T, atol=1e-4)
    history = ITQ(6, 50).fit(features, labels, seed).history
    assert (np.diff(history) <= 1e-6).all()
    # it is of the signs before the turn: the next signs lower it once more
    errors = np.array(errors) / 2400
    assert (errors[:3] <= history[:3] + 1e-6).all()
    assert (history[1:3] <= errors[:2] + 1e-6).all()
    assert history[49] == pytest.approx(errors[-1], rel=1e-3)


def test_a_turn_of_itq_finds_the_best_of_many_rotations():
    components = unit_components(gaussian(200, 5), 3).astype(np.float32)
    first, _ = rotate(components, 1, np.random.default_rng(0))
    second, _ = rotate(components, 2, np.random.default_rng(0))
    codes = np.sign(components @ first)
    best = np.square(codes - components @ second).sum()
    random = np.random.default_rng(1)
    for width in (0.01, 0.1, 1.0):
        for _ in range(200):
            near = np.linalg.qr(second + width * random.normal(size=(3, 3)))
            rotation = near[0] * np.sign(np.diag(near[1]))
            assert np.square(codes - components @ rotation).sum() >= best - 1e-4


@pytest.mark.parametrize("bits", [1, 12])
def test_itq_of_one_and_of_all_dimensions(bits):
    features = gaussian(100, 12)
    outputs = ITQ(bits).fit(features, np.zeros(100, int)).outputs(features)
    components = unit_components(features, bits)
    np.testing.assert_allclose(outputs @ outputs.T, components @ components.T, atol=1e-4)
