import numpy as np
import pytest
import torch

from reid_hash.baselines.features import hog_features, is_grey, network_features, pixel_features
from reid_hash.errors import DataError
from reid_hash.nn.hashnet import HashNet
from tests.helpers import coloured_pixels, tiny_config


def test_pixels_are_numbers_from_0_to_1_and_grey_ones_count_once():
    images = coloured_pixels(2, 4, 16, 8).images
    features = pixel_features(images)
    assert (features.shape, features.dtype) == ((8, 16 * 8 * 3), np.float32)
    np.testing.assert_allclose(features, images.reshape(8, -1) / 255, rtol=1e-6)
    assert not is_grey(images)
    grey = np.repeat(images[..., :1], 3, axis=3)
    assert is_grey(grey)
    np.testing.assert_allclose(pixel_features(grey, grey=True), pixel_features(grey)[:, ::3])


@pytest.mark.parametrize(("shape", "length"), [((28, 28), 324), ((30, 29), 324), ((64, 32), 756)])
def test_hog_has_36_numbers_a_block(shape, length):
    images = coloured_pixels(2, 2, 64, 64).images[:, : shape[0], : shape[1]]
    features = hog_features(images)
    assert (features.shape, features.dtype) == ((4, length), np.float32)
    assert features.min() >= 0
    assert 0 < features.max() <= 1


def test_hog_tells_upright_from_level_stripes_in_any_light():
    stripes = np.tile(np.array([0, 0, 0, 0, 255, 255, 255, 255], np.uint8), 4)
    upright = np.repeat(np.tile(stripes, (32, 1))[..., None], 3, axis=2)
    level = upright.transpose(1, 0, 2)
    features = hog_features(np.stack([upright, level, upright // 2 + 60]))
    assert features[0] @ features[2] > 0.99 * features[0] @ features[0]
    assert features[0] @ features[1] < 0.1 * features[0] @ features[0]


def test_hog_of_images_that_are_too_small():
    with pytest.raises(DataError, match="no 2 × 2 cells of 8 pixels"):
        hog_features(np.zeros((1, 12, 32, 3), np.uint8), cell=8)


@pytest.mark.parametrize("standardise", ["true", "false"])
@pytest.mark.parametrize("flip", [True, False])
def test_network_features_are_what_the_backbone_gives(flip, standardise):
    torch.manual_seed(0)
    settings = (f"model.flip_average={str(flip).lower()}", f"model.standardise={standardise}")
    net = HashNet(tiny_config(*settings))
    images = coloured_pixels(3, 4).images
    counted = []
    features = network_features(net, images, batch=5, progress=counted.append)
    assert (features.shape, features.dtype) == ((12, 512), np.float32)
    assert counted == [5, 5, 2]
    net.eval()
    with torch.no_grad():
        pixels = net.normalise(torch.from_numpy(images))
        expected = net(pixels).features
        if flip:
            expected = (expected + net(pixels.flip(3)).features) / 2
    np.testing.assert_allclose(features, expected.numpy(), rtol=1e-4, atol=1e-5)
