import numpy as np
import pytest

from reid_hash.baselines.esdc import BAND, PENALTY, WIDTH, DenseSalience, matches, similarities
from reid_hash.baselines.patches import COLUMNS, DIMS, ROWS, dense_patches
from reid_hash.errors import DataError
from tests.helpers import coloured_pixels


@pytest.fixture(scope="module")
def images():
    return coloured_pixels(4, 2, 128, 48, noise=30).images


def test_patches_have_two_parts_of_length_one(images):
    patches = dense_patches(images[0])
    assert (patches.shape, patches.dtype) == ((30, 10, 672), np.float32)
    np.testing.assert_allclose(np.linalg.norm(patches[..., :288], axis=2), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(patches[..., 288:], axis=2), 1, rtol=1e-5)
    # of one colour: all pixels in one bin of each channel and scale, no gradient
    plain = dense_patches(np.full((64, 24, 3), 90, np.uint8))
    assert ((plain > 0).sum(axis=2) == 9).all()


def test_gradients_of_upright_and_level_edges_differ():
    image = np.zeros((128, 48, 3), np.uint8)
    image[:, 24:] = 255
    edge = dense_patches(image)[15, 4, 288:].reshape(16, 3, 8)
    assert edge[:, 0].sum(axis=0).argmax() in (0, 7)  # the lightness rises to the right
    turned = dense_patches(np.ascontiguousarray(image.transpose(1, 0, 2)))[14, 4, 288:]
    assert turned.reshape(16, 3, 8)[:, 0].sum(axis=0).argmax() in (1, 2)  # downwards


def test_matching_and_salience_are_the_loop(images):
    learner = DenseSalience(references=3).fit(images[:3], seed=0)
    a, b = learner.describe(images[3:5]), learner.describe(images[5:])
    similarity = similarities(a, b)
    assert similarity.shape == (2, 3)

    def nearest(patch, m, patches):
        """(squared distance, row, column) of the nearest patch within the band."""
        found = (np.inf, 0, 0)
        for row in range(max(0, m - BAND), min(ROWS, m + BAND + 1)):
            for column in range(COLUMNS):
                squared = float(np.square(patch - patches[row, column]).sum())
                found = min(found, (squared, row, column))
        return found

    for m, n in ((0, 0), (13, 4), (29, 9)):
        to_references = sorted(
            nearest(a[0][0, m, n], m, reference)[0] for reference in learner._patches
        )
        assert a[1][0, m, n] == pytest.approx(np.sqrt(to_references[1]), abs=1e-3)

    total = 0.0
    for m in range(ROWS):
        for n in range(COLUMNS):
            squared, row, column = nearest(a[0][0, m, n], m, b[0][1])
            own, theirs = float(a[1][0, m, n]), float(b[1][1, row, column])
            total += (
                own * np.exp(-squared / (2 * WIDTH**2)) * theirs / (PENALTY + abs(own - theirs))
            )
    assert similarity[0, 1] == pytest.approx(total, rel=1e-3)


def test_a_match_is_looked_for_within_the_band_only():
    a = np.zeros((1, ROWS, COLUMNS, 4), np.float32)
    b = np.zeros((1, ROWS, COLUMNS, 4), np.float32)
    a[0, 10, 3, 0] = 1
    for row, expected in ((10 + BAND, 1.0), (10 + BAND + 1, 0.0)):
        b[:] = 0
        b[0, row, 7, 0] = 1
        products, _ = matches(a, b, None, 10)
        assert products[0, 3, 0] == expected


def test_progress_and_errors(images):
    learner = DenseSalience(references=2)
    with pytest.raises(DataError, match="not fitted yet"):
        learner.describe(images)
    with pytest.raises(DataError, match="there are none"):
        learner.fit(images[:0])
    steps = []
    patches, _ = learner.fit(images).describe(images[:1], steps.append)
    assert (len(steps), patches.shape) == (ROWS, (1, ROWS, COLUMNS, DIMS))
