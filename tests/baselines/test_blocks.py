import cv2
import numpy as np
import pytest

from reid_hash.baselines.blocks import block_features, texture
from reid_hash.errors import DataError
from tests.helpers import coloured_pixels


def test_blocks_are_histograms_of_the_pixels_in_them():
    image = coloured_pixels(1, 2, 40, 16).images[0]
    features = block_features(image[None])
    assert (features.shape, features.dtype) == ((1, 19 * 3 * 58), np.float32)
    blocks = features.reshape(19, 3, 58)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    for row, column in ((0, 0), (7, 1), (18, 2)):
        place = (slice(2 * row, 2 * row + 4), slice(4 * column, 4 * column + 8))
        expected = []
        for channel in (*np.moveaxis(hsv[place], 2, 0), *np.moveaxis(lab[place], 2, 0)):
            counts = [0] * 8
            for value in channel.reshape(-1).tolist():
                counts[value // 32] += 1
            expected += [np.sqrt(count / 32) for count in counts]
        patterns = texture(image)[place].reshape(-1)
        expected += [np.sqrt((patterns == pattern).mean()) for pattern in range(10)]
        np.testing.assert_allclose(blocks[row, column], expected, rtol=1e-6)


def test_texture_counts_lighter_neighbours_that_stand_together():
    random = np.random.default_rng(0)
    image = np.repeat(random.integers(0, 256, (9, 7, 1), np.uint8), 3, axis=2)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(int)
    found = texture(image)
    circle = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
    for y in range(1, 8):
        for x in range(1, 6):
            lit = [grey[y + dy, x + dx] >= grey[y, x] for dy, dx in circle]
            changes = sum(lit[k] != lit[k - 1] for k in range(8))
            assert found[y, x] == (sum(lit) if changes <= 2 else 9)
    np.testing.assert_array_equal(texture(np.rot90(image)), np.rot90(found))


def test_blocks_of_small_images():
    with pytest.raises(DataError, match="19 × 16 pixels have no 20 × 4 cells"):
        block_features(np.zeros((1, 19, 16, 3), np.uint8))
    assert block_features(np.zeros((0, 20, 4, 3), np.uint8)).shape == (0, 3306)
