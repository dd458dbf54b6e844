"""What a data set says of itself."""

import numpy as np

from reid_hash.data import load_dataset
from reid_hash.data.images import Pixels
from reid_hash.models.shipped import shipped_model
from reid_hash.nn.checkpoint import load_checkpoint


def test_a_data_set_its_images_and_a_network_say_on_one_line_what_they_are():
    data = load_dataset("walkers")
    assert repr(data) == (
        f"<Dataset walkers, single-shot: {len(data.train):,} train, {len(data.query)} query, "
        f"{len(data.gallery)} gallery images>"
    )
    people = len(np.unique(data.query.labels))
    assert repr(data.query) == f"<ImageSet: {len(data.query)} images, {people} labels, 2 cameras>"
    several = np.array([[True, False, True]])
    images = np.zeros((1, 8, 4, 3), np.uint8)
    pixels = Pixels(images, several, np.zeros(1, np.int64), ["a"])
    assert repr(pixels) == "<Pixels of 8×4: 1 images, 3 classes>"
    network = load_checkpoint(shipped_model("small").file)
    assert repr(network).startswith("<Checkpoint: 128 bits, ")
    assert "\n" not in repr(network)
