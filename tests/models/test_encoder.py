"""Encoders: what they refuse, and that a code does not depend on what is encoded beside it."""

import numpy as np
import pytest

from reid_hash.models.load import load_model
from reid_hash.models.shipped import shipped_model
from reid_hash.models.torch_encoder import network_outputs


def test_images_of_another_shape_or_type_are_refused():
    encoder = load_model(shipped_model("small").file, "cpu")
    height, width = encoder.size
    for images in (
        np.zeros((2, height + 1, width, 3), np.uint8),
        np.zeros((2, height, width, 1), np.uint8),
        np.zeros((height, width, 3), np.uint8),
        np.zeros((2, height, width, 3), np.float32),
    ):
        with pytest.raises(ValueError, match=rf"uint8 \[n, {height}, {width}, 3\]"):
            encoder.encode(images)
    assert len(encoder.encode(np.zeros((2, height, width, 3), np.uint8))) == 2


def test_a_code_does_not_depend_on_how_many_are_made_at_once():
    encoder = load_model(shipped_model("small").file, "cpu")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, *encoder.size, 3), np.uint8)
    outputs, embedding = encoder.outputs(images)
    for count in (
        1,
        2,
        3,
        4,
    ):  # few go together with their mirror images
        some = encoder.outputs(images[:count])
        np.testing.assert_allclose(some[0], outputs[:count], atol=1e-4)
        np.testing.assert_allclose(some[1], embedding[:count], atol=1e-4)
    net = encoder.checkpoint.net
    assert not net.training
    net.train()
    again, _ = network_outputs(net, images)  # as training calls it
    assert net.training
    np.testing.assert_allclose(again, outputs, atol=1e-4)
