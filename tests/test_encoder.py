"""Encoders refuse images that their network was not made for."""

import numpy as np
import pytest

from reid_hash.encoder import load_encoder
from reid_hash.shipped import shipped_model


def test_images_of_another_shape_or_type_are_refused():
    encoder = load_encoder(shipped_model("small").file, "cpu")
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
