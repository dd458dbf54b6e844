"""The models that come with the toolkit: each loads, and is what its card says."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from reid_hash.app.runs import find_model
from reid_hash.cli import main
from reid_hash.cli.options import MODEL
from reid_hash.data.images import resize
from reid_hash.distances import hamming
from reid_hash.errors import CheckpointError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.shipped import (
    WALKERS_GALLERY,
    default_model,
    is_shipped,
    shipped_model,
    shipped_models,
)
from reid_hash.models.torch_encoder import TorchEncoder

MODELS = shipped_models()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_model_is_what_its_card_says(model):
    encoder = TorchEncoder.load(model.file, "cpu")
    net = encoder.checkpoint.net
    assert model.facts["bits"] == encoder.bits
    assert model.facts["fingerprint"] == encoder.fingerprint
    assert model.facts["input"] == "{}×{}".format(*encoder.size)
    assert model.facts["parameters"] == sum(p.numel() for p in net.parameters())
    assert set(model.facts["rank1"]) <= set(range(8, encoder.bits + 1))
    assert model.facts["licence"]
    codes = encoder.encode(np.zeros((1, *encoder.size, 3), np.uint8))
    assert codes.packed.shape == (1, encoder.bits // 8)


def test_they_are_small():
    assert sum(model.file.stat().st_size for model in MODELS) <= 12e6
    assert shipped_model("small").facts["parameters"] <= 1_000_000


def test_a_model_is_found_by_its_name_and_used_where_none_was_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_shipped(find_model(Path("small"), "mnist"))
    assert find_model(None, "cuhk03") == default_model().file
    assert find_model(None, "walkers") == shipped_model("walkers").file
    with pytest.raises(Exception, match="no trained model for mnist"):
        find_model(None, "mnist")


def test_a_path_is_never_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ("./small", "small/"):
        assert MODEL.convert(given, None, None) == tmp_path / "small"
    for given in ("small", "a/small", "/a/small"):
        assert MODEL.convert(given, None, None) == Path(given)


def test_a_misspelt_name_is_told_the_names_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"no such file: bse; .*small, .*base"):
        find_model(Path("bse"), "cuhk03")
    assert find_model(Path("mine.safetensors"), "cuhk03") == Path("mine.safetensors")


def test_models_are_listed_and_have_cards(capsys):
    for arguments, words in ((["models"], "small"), (["models", "small"], "Limits")):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
        assert words in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["models", "huge"])
    assert "no shipped model is called 'huge'; there are: " in capsys.readouterr().err


def test_the_gallery_of_walkers_has_codes_of_the_model_that_is_shipped(tmp_path):
    with Gallery.load(tmp_path / "g", WALKERS_GALLERY) as gallery:
        encoder = TorchEncoder.load(shipped_model("walkers").file, "cpu")
        assert gallery.model == encoder.fingerprint  # else: tools/pack_walkers_gallery.py
        assert len(gallery) == 480
        first = gallery.sightings(limit=1, thumbnails=True)[0]
        stored, _ = gallery.codes(ids=[first.id])
        picture = cv2.imdecode(np.frombuffer(first.thumbnail, np.uint8), cv2.IMREAD_COLOR)
        again = encoder.encode(resize(picture[:, :, ::-1], *encoder.size)[None])
    assert hamming(stored, again)[0, 0] < encoder.bits / 8  # a JPEG of it: nearly the same code
