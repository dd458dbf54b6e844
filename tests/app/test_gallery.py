"""The network of a gallery that may be a copy from elsewhere: what it names is a hint."""

import os
import shutil
import socket
import sys

import numpy as np
import pytest

from reid_hash.app.gallery import gallery_encoder
from reid_hash.errors import CheckpointError, CodeError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.run_files import MODEL_FILE
from reid_hash.models.shipped import shipped_model
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.training.loop import train
from reid_hash.utils.files import is_elsewhere, is_ordinary, is_trustworthy
from tests.helpers import coloured_pixels, run_cli, tiny_config
from tests.offline import offline


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two networks that are no shipped ones."""
    folder = tmp_path_factory.mktemp("trained")
    for seed in (0, 1):
        config = tiny_config("train.epochs=1", f"seed={seed}")
        train(config, coloured_pixels(), folder / str(seed), device="cpu")
    return [folder / str(seed) / MODEL_FILE for seed in (0, 1)]


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # there are no runs


def gallery(folder, model, file):
    """A gallery for the codes of a model that says it was made with a file."""
    encoder = TorchEncoder.load(model, "cpu")
    codes = encoder.binarise(np.zeros((0, encoder.bits)))
    return Gallery.create(folder, codes.bits, codes.weights, codes.model, str(file))


def test_a_file_of_the_user_is_taken(tmp_path, trained):
    with gallery(tmp_path / "g", trained[0], trained[0]) as made:
        assert gallery_encoder(made, None, "cuhk03", "cpu").fingerprint == made.model


def test_the_shipped_model_comes_first_whatever_is_named(tmp_path, trained):
    small = shipped_model("small").file
    names = [trained[0], "//host/share/m", "/dev/zero", tmp_path / "gone", "a\0b", ""]
    for number, named in enumerate(names):
        with gallery(tmp_path / str(number), small, named) as made, offline():
            assert gallery_encoder(made, None, "cuhk03", "cpu").fingerprint == made.model


def test_another_network_is_told_as_before(tmp_path, trained):
    with (
        gallery(tmp_path / "g", trained[0], trained[1]) as made,
        pytest.raises(CodeError, match="name that one with --model"),
    ):
        gallery_encoder(made, None, "cuhk03", "cpu")


def test_what_may_block_or_reach_out_is_not_opened(tmp_path, trained):
    named = ["//host/share/m.safetensors", "\\\\host\\share\\m.onnx", "\\\\?\\UNC\\host\\share\\m"]
    named += ["\\\\.\\pipe\\m", str(tmp_path)]
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe.onnx")
        os.symlink(tmp_path / "pipe.onnx", tmp_path / "link")
        os.symlink("nowhere", tmp_path / "dangling")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind("socket")
        listening.close()
        named += ["/dev/zero", "/dev/stdin", "/dev/tty", "/proc/self/environ"]
        named += [str(tmp_path / one) for one in ("pipe.onnx", "link", "socket", "dangling")]
        named = [one for one in named if one.startswith(("//", "\\")) or os.path.lexists(one)]
    (tmp_path / "empty").touch()
    named.append(str(tmp_path / "empty"))
    for number, one in enumerate(named):
        assert not is_trustworthy(one)
        with (
            gallery(tmp_path / str(number), trained[0], one) as made,
            offline(),
            pytest.raises(CheckpointError, match="names .* not opened.*--model") as error,
        ):
            gallery_encoder(made, None, "cuhk03", "cpu")
        assert "\n" not in str(error.value)
        with Gallery.open(tmp_path / str(number)) as made:  # and the user can name it
            assert gallery_encoder(made, trained[0], "cuhk03", "cpu").fingerprint == made.model


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no such owner here")
def test_a_file_of_another_user_is_not_opened(tmp_path, trained, monkeypatch):
    mine = tmp_path / "mine.safetensors"
    shutil.copy(trained[0], mine)
    owner = mine.stat().st_uid
    if owner == 0:  # as root the file can be given away, and else one is somebody else
        os.chown(mine, 12345, -1)
        assert not is_trustworthy(mine)
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert is_trustworthy(mine)
        assert is_trustworthy(trained[0])  # root's, as anybody
    else:
        assert is_trustworthy(mine)
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        assert not is_trustworthy(mine)


def test_a_command_says_it_in_one_line(tmp_path, trained, capsys):
    gallery(tmp_path / "g", trained[0], "//host/share/m").close()
    (tmp_path / "x.png").write_bytes(b"no picture")
    with offline():
        code, _, err = run_cli(capsys, "search", tmp_path / "x.png", "--gallery", tmp_path / "g")
    assert code == 1
    assert "//host/share/m" in err
    assert err.count("\n") == 1
    assert "--model" in err


@pytest.mark.parametrize(
    ("name", "elsewhere"),
    [
        *(("//host/share", True), ("\\\\host\\share\\x", True), ("//host", True)),
        *(("/a//b", False), ("a/b", False), ("C:\\a", False), ("", False), ("\\a", False)),
    ],
)
def test_names_of_other_machines(name, elsewhere):
    assert is_elsewhere(name) is elsewhere


def test_ordinary_files(tmp_path):
    (tmp_path / "a").touch()
    assert is_ordinary(tmp_path / "a")
    assert not is_ordinary(tmp_path)
    assert not is_ordinary(tmp_path / "b")
    assert not is_ordinary("a\0b")
