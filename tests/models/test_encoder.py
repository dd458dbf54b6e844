"""Encoders: what they take and refuse, and that a code does not depend on how it was asked for."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from reid_hash.data.images import resize
from reid_hash.errors import CheckpointError, ConfigError, DataError, ImageError
from reid_hash.models import Encoder, list_models, load_model
from reid_hash.models.shipped import shipped_model
from reid_hash.models.torch_encoder import network_outputs


@pytest.fixture(scope="module")
def encoder():
    return load_model("small", "cpu")


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (200, 90, 3), np.uint8)


@pytest.fixture
def file(picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_one_image_has_one_code_in_whatever_form_it_is_given(encoder, picture, file):
    code = encoder.encode(resize(picture, *encoder.size)[None]).packed
    alpha = Image.fromarray(np.dstack([picture, picture[:, :, 0]]), "RGBA")
    given = [file, str(file), [file], np.array([str(file)]), picture, picture[None], alpha]
    given += [Image.open(file), [Image.open(file)], np.asfortranarray(picture), iter([picture])]
    for one in given:
        np.testing.assert_array_equal(encoder.encode(one).packed, code)
    mixed = encoder.encode([picture, file, Image.open(file)])
    np.testing.assert_array_equal(mixed.packed, code.repeat(3, 0))
    assert mixed.model == encoder.fingerprint


def test_arrays_in_opencvs_order_are_asked_for_as_such(encoder, picture, file):
    code = encoder.encode(file).packed
    swapped = cv2.imread(str(file))
    for one in (swapped, swapped[None], [swapped, file, Image.open(file)]):  # files know theirs
        found = encoder.encode(one, color="bgr").packed
        np.testing.assert_array_equal(found, code.repeat(len(found), 0))
    own = resize(swapped, *encoder.size)[None]
    np.testing.assert_array_equal(encoder.encode(own, color="bgr").packed, code)
    assert (encoder.encode(swapped).packed != code).any()
    with pytest.raises(ImageError, match="color is"):
        encoder.encode(swapped, color="BGR")


def test_pil_images_are_turned_as_files_are_and_greyscale_has_three_channels(encoder, tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (40, 90), np.uint8)
    image, exif = Image.fromarray(grey), Image.Exif()
    np.testing.assert_array_equal(
        encoder.encode(image).packed, encoder.encode(np.dstack([grey] * 3)).packed
    )
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    turned = encoder.encode([tmp_path / "turned.png", Image.open(tmp_path / "turned.png")])
    np.testing.assert_array_equal(turned.packed[0], turned.packed[1])
    assert (turned.packed[0] != encoder.encode(image).packed[0]).any()


def test_what_is_no_image_is_refused_in_one_line_that_names_it(encoder, picture, file, tmp_path):
    (tmp_path / "cut.png").write_bytes(file.read_bytes()[:3000])
    closed = Image.open(file)
    closed.close()
    for given, said in (
        (np.zeros((2, 160, 64, 1), np.uint8), r"\[2, 160, 64, 1\]"),
        (np.zeros((2, 160, 64, 3), np.float32), "float32"),
        (np.zeros((2, 3, 160, 64), np.uint8), r"\[2, 3, 160, 64\]"),
        (np.zeros((0, 5, 3), np.uint8), r"image 0: .*\[0, 5, 3\]"),
        (np.zeros((2, 3, 4, 5, 3), np.uint8), r"\[2, 3, 4, 5, 3\]"),
        (np.array(None), "object"),
        ([picture, picture.astype(np.int64)], "image 1: .*int64"),
        ([picture, picture[:, :, 0]], r"image 1: .*\[200, 90\]"),
        ([picture, [picture]], "image 1: .*list"),
        ([file, None], "image 1: .*NoneType"),
        (3, "not int"),
        (b"a.png", "not bytes"),
        (Image.new("I;16", (5, 5)), "mode I;16"),
        (Image.new("RGB", (0, 0)), r"\[0, 0, 3\]"),
    ):
        with pytest.raises(ValueError, match=said) as error:
            encoder.encode(given)
        assert isinstance(error.value, ImageError)
        assert "\n" not in str(error.value)
    for given, said in (
        ([file, tmp_path / "none.png"], r"none\.png: No such file"),
        (str(tmp_path), "directory"),
        (tmp_path / "cut.png", r"cut\.png: not an image, or cut off"),
        ([file, Image.open(tmp_path / "cut.png")], "image 1: .*truncated"),
        ([closed], "image 0: .*closed"),
        ("a\0b", "is no path"),
    ):
        with pytest.raises(DataError, match=said) as error:
            encoder.encode(given)
        assert "\n" not in str(error.value)


def test_none_at_all_gives_no_codes(encoder):
    for given in ([], np.zeros((0, 7, 5, 3), np.uint8), np.zeros((0, *encoder.size, 3), np.uint8)):
        assert len(encoder.encode(given)) == 0
        outputs, embedding = encoder.outputs(given)
        assert (outputs.shape, embedding.shape) == ((0, 128), (0, 512))


def test_many_files_are_read_a_block_at_a_time(encoder, file):
    read, encoded = [], []

    def paths():
        for _ in range(700):
            read.append(1)
            yield file

    def count(images):
        encoded.append((images, len(read)))

    codes = encoder.encode(paths(), progress=count)
    assert sum(images for images, _ in encoded) == 700
    assert encoded[0][1] == 512
    np.testing.assert_array_equal(codes.packed, encoder.encode(file).packed.repeat(700, 0))


def test_a_bar_is_shown_where_it_is_asked_for_or_takes_long(tmp_path):
    script = tmp_path / "encode.py"
    script.write_text(
        "import sys, numpy as np\n"
        "from reid_hash.models import encoder, load_model\n"
        "encoder._PATIENCE = float(sys.argv[1])\n"
        "model = load_model('small', 'cpu')\n"
        "model.encode(np.zeros((200, *model.size, 3), np.uint8), progress=eval(sys.argv[2]))\n"
    )

    def shown(*arguments):
        main, other = pty.openpty()
        subprocess.run([sys.executable, script, *arguments], stderr=other, check=True)
        os.close(other)
        found = b""
        try:
            while part := os.read(main, 65536):
                found += part
        except OSError:  # the other end is closed
            pass
        os.close(main)
        return b"encoding" in found

    assert shown("0", "None")
    assert shown("3600", "True")
    assert not shown("3600", "None")
    assert not shown("0", "False")


def test_no_bar_is_shown_where_nobody_looks(encoder, monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    monkeypatch.setattr("reid_hash.models.encoder._PATIENCE", 0.0)
    encoder.encode(np.zeros((200, *encoder.size, 3), np.uint8))
    assert not written.getvalue()


def test_a_code_does_not_depend_on_how_many_are_made_at_once(encoder):
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
    net.eval()
    np.testing.assert_allclose(again, outputs, atol=1e-4)


def test_a_model_is_loaded_by_name_run_or_file(tmp_path):
    assert set(list_models()) >= {"base", "small", "walkers"}
    small = shipped_model("small").file
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(small.read_bytes())
    for given in ("small", Path("small"), small, tmp_path / "run", str(tmp_path / "run")):
        model = load_model(given, "cpu")
        assert isinstance(model, Encoder)
        assert model.bits == 128
    assert repr(model).startswith("<TorchEncoder: 128 bits, images of 160×64")
    assert "\n" not in repr(model)


def test_what_is_no_model_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()  # "./small" is this folder, "small" the shipped model
    (tmp_path / "text.safetensors").write_text("no model")
    for given, said in (
        ("bse", "no such file: bse; shipped models are: .*small"),
        ("", "no such file"),
        ("./small", "no such file: small.model.safetensors"),
        ("none.onnx", r"no such file: none\.onnx"),
        ("text.safetensors", "is damaged, or no checkpoint"),
    ):
        with pytest.raises(CheckpointError, match=said) as error:
            load_model(given)
        assert "\n" not in str(error.value)
    assert load_model("small", "cpu").bits == 128
    for device in ("gpu", "cpu:x", ""):
        with pytest.raises(ConfigError, match="--device"):
            load_model("small", device)


def test_importing_models_does_without_torch():
    code = "import sys, reid_hash.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
