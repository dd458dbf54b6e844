"""`reid-hash export onnx`, and its file wherever `--model` is taken."""

import json
import sys

import cv2
import numpy as np
import pytest
import torch

from reid_hash.cli import main
from reid_hash.codes import load_codes
from reid_hash.nn.checkpoint import Checkpoint, save_checkpoint
from reid_hash.nn.hashnet import HashNet
from tests.helpers import coloured_pixels, tiny_config
from tests.helpers import run_cli as run

WHY = "needs the extra: pip install 'reid-hash[onnx]'"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Images in Market-1501's naming, and an untrained network with balanced bits."""
    folder = tmp_path_factory.mktemp("world")
    pixels = coloured_pixels(identities=6)
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (folder / "data" / part).mkdir(parents=True)
        for i, image in enumerate(pixels.images):
            if part == "bounding_box_test" or i % 6 < 2:
                name = f"{pixels.labels[i] + 1:04d}_c{pixels.cameras[i]}s1_{i:06d}_00.png"
                cv2.imwrite(str(folder / "data" / part / name), image[:, :, ::-1])
    torch.manual_seed(0)
    net = HashNet(tiny_config("data.dataset=market1501"))
    with torch.no_grad():
        for _ in range(3):
            net(net.normalise(torch.from_numpy(pixels.images)))
    weights = np.linspace(2, 1, 16, dtype=np.float32)
    made = Checkpoint(net.eval(), weights, np.arange(16))
    save_checkpoint(folder / "run" / "model.safetensors", made)
    return folder


@pytest.fixture(scope="module")
def file(world):
    pytest.importorskip("onnx", reason=WHY)
    pytest.importorskip("onnxruntime", reason=WHY)
    path = world / "model.onnx"
    with pytest.raises(SystemExit) as stopped:
        main(["export", "onnx", "--model", str(world / "run"), "-o", str(path)])
    assert stopped.value.code == 0
    return path


def test_export_says_what_it_wrote(world, file, capsys, tmp_path):
    code, out, err = run(
        capsys, "export", "onnx", "--model", world / "run", "-o", tmp_path / "a.onnx"
    )
    assert (code, err) == (0, f"wrote {tmp_path / 'a.onnx'}\n")
    assert out.startswith("32×16 pictures → 16 bits, opset 17, ")
    assert "of torch's" in out
    code, _, err = run(capsys, "export", "onnx", "--model", file, "-o", tmp_path / "b.onnx")
    assert code == 1
    assert err == f"error: {file} is an ONNX file already; export a checkpoint\n"


def test_encode_and_cmc_give_the_same_with_the_file(world, file, capsys, tmp_path):
    query = world / "data" / "query"
    results, codes = [], []
    for i, model in enumerate((world / "run", file)):
        code, _, _ = run(capsys, "encode", query, "--model", model, "-o", tmp_path / f"{i}.npz")
        assert code == 0
        codes.append(load_codes(tmp_path / f"{i}.npz")[0])
        code, _, _ = run(
            capsys,
            *["cmc", "--model", model, "--data", world / "data", "--bits", "8,16"],
            *["--json", tmp_path / "f.json", "--plot", tmp_path / "p.png"],
        )
        assert code == 0
        results.append(json.loads((tmp_path / "f.json").read_text()))
    np.testing.assert_array_equal(codes[0].packed, codes[1].packed)
    np.testing.assert_array_equal(codes[0].weights, codes[1].weights)
    codes[0].check_comparable(codes[1])
    assert results[0]["results"] == results[1]["results"]
    assert results[0]["fingerprint"] == results[1]["fingerprint"]


def test_a_gallery_of_the_checkpoint_takes_the_file(world, file, capsys, tmp_path):
    gallery, query = tmp_path / "gallery", world / "data" / "query"
    assert run(capsys, "gallery", "create", gallery, "--model", world / "run")[0] == 0
    assert run(capsys, "gallery", "add", gallery, query, "--model", file)[0] == 0
    image = sorted(query.iterdir())[0]
    code, out, _ = run(
        capsys,
        *["search", image, "--gallery", gallery, "--model", file, "--top", "1"],
        *["--json", tmp_path / "s.json"],
    )
    assert code == 0
    assert image.name in out


def test_bad_files_are_told_in_one_line(file, capsys, tmp_path, world):
    (tmp_path / "m.onnx").write_bytes(file.read_bytes()[:5000])
    image = sorted((world / "data" / "query").iterdir())[0]
    for name, words in (("m.onnx", "m.onnx is damaged, or no ONNX file"), ("n.onnx", "no such")):
        code, out, err = run(
            capsys, "encode", image, "-q", "--model", tmp_path / name, "-o", tmp_path / "c.npz"
        )
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert words in err


def test_without_the_extra_both_say_what_to_install(world, capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    (tmp_path / "m.onnx").write_bytes(b"")
    image = sorted((world / "data" / "query").iterdir())[0]
    for arguments in (
        ["export", "onnx", "--model", world / "run", "-o", tmp_path / "e.onnx"],
        ["encode", image, "-q", "--model", tmp_path / "m.onnx", "-o", tmp_path / "c.npz"],
    ):
        code, _, err = run(capsys, *arguments)
        assert (code, err.count("\n")) == (1, 1)
        assert err.endswith("pip install 'reid-hash[onnx]'\n")
    assert not (tmp_path / "e.onnx").exists()
