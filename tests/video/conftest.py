from pathlib import Path

import pytest

from reid_hash.data.walkers import write_video
from reid_hash.nn.checkpoint import load_checkpoint
from reid_hash.training.loop import train
from tests.helpers import coloured_pixels, tiny_config

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """A short two-camera video of walkers with its truth."""
    folder = tmp_path_factory.mktemp("film")
    return write_video(folder, identities=4, seconds=7, fps=8, size=(384, 216))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A network that was trained for a second: the file of its checkpoint."""
    folder = tmp_path_factory.mktemp("model")
    train(tiny_config("train.epochs=2"), coloured_pixels(), folder, device="cpu")
    assert load_checkpoint(folder / "model.safetensors").fingerprint
    return folder / "model.safetensors"
