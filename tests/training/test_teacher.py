"""Codes that follow a teacher's similarities."""

import numpy as np
import pytest
import torch

from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.run_files import MODEL_FILE, TEACHER_FILE
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.training import loop
from reid_hash.training.loop import Stopped, train
from reid_hash.training.teacher import teacher_embeddings
from tests.helpers import coloured_pixels, tiny_config
from tests.training.test_loop import StopAt

ALONE = ("loss.triplet=0", "loss.regulariser=0", "loss.distillation=1")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The file of a network that knows the colours of `coloured_pixels`."""
    folder = tmp_path_factory.mktemp("teacher")
    settings = tiny_config("train.epochs=8", "train.learning_rate=0.002", "augment.erase=0.1")
    train(settings, coloured_pixels(identities=24, seed=0), folder, device="cpu")
    return folder / MODEL_FILE


def agreement(checkpoint, teacher, pixels):
    """Correlation of the cosines of codes with those of the teacher's embeddings."""
    codes = np.sign(TorchEncoder(checkpoint, "cpu").outputs(pixels.images)[0])
    _, floats = TorchEncoder.load(teacher, "cpu").outputs(pixels.images)
    pairs = np.triu_indices(len(pixels), 1)
    return np.corrcoef(np.corrcoef(codes)[pairs], np.corrcoef(floats)[pairs])[0, 1]


def test_codes_follow_the_teacher_on_images_that_neither_saw(tmp_path, teacher):
    pixels, unseen = coloured_pixels(identities=24, seed=0), coloured_pixels(identities=12, seed=1)
    # labels that say nothing: what is learned is the teacher's
    pixels.labels[:] = np.random.default_rng(0).permutation(pixels.labels)
    settings = (*ALONE, f"loss.teacher={teacher}", "train.epochs=15", "augment.erase=0")
    taught, untaught = (
        train(tiny_config(*settings, rate), pixels, tmp_path / rate, device="cpu")
        for rate in ("train.learning_rate=0.002", "train.learning_rate=1e-9")
    )
    assert agreement(taught, teacher, unseen) > agreement(untaught, teacher, unseen) + 0.1


def test_the_embeddings_are_made_once_and_kept_while_a_run_may_go_on(
    tmp_path, teacher, monkeypatch
):
    pixels = coloured_pixels()
    config = tiny_config("train.evaluate_every=1", *ALONE, f"loss.teacher={teacher}")
    whole = train(config, pixels, tmp_path / "whole", device="cpu")
    with pytest.raises(Stopped):
        train(config, pixels, tmp_path / "cut", device="cpu", evaluate=StopAt(2))
    assert (tmp_path / "cut" / TEACHER_FILE).is_file()
    monkeypatch.setattr("reid_hash.training.teacher.load_model", None)  # not asked again
    resumed = train(config, pixels, tmp_path / "cut", device="cpu", resume=True)
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)
    assert not (tmp_path / "cut" / TEACHER_FILE).exists()


def test_embeddings_have_mean_0_and_keep_the_teachers_order(tmp_path, teacher):
    pixels = coloured_pixels()
    config = tiny_config(*ALONE, f"loss.teacher={teacher}")
    found = teacher_embeddings(config, pixels, tmp_path, "cpu")
    _, own = TorchEncoder.load(teacher, "cpu").outputs(pixels.images)
    np.testing.assert_allclose(found, own - own.mean(0), atol=0.01)
    (tmp_path / TEACHER_FILE).write_bytes(b"cut off")
    again = teacher_embeddings(config, pixels, tmp_path, "cpu")
    torch.testing.assert_close(again, found)


def test_a_teacher_without_a_say_or_without_a_file_is_refused(tmp_path, teacher):
    pixels = coloured_pixels()
    with pytest.raises(ConfigError, match=r"set loss\.distillation to its weight"):
        train(tiny_config(f"loss.teacher={teacher}"), pixels, tmp_path, device="cpu")
    with pytest.raises(CheckpointError, match="no such file"):
        train(tiny_config(*ALONE, "loss.teacher=none.onnx"), pixels, tmp_path, device="cpu")
    assert loop.MODEL_FILE not in [file.name for file in tmp_path.iterdir()]
