"""A run that was trained before the package was laid out in rooms (commit 22fea59).

One epoch of OSNet x0.1 on the walkers, 32 × 16 pixels, 8 bits; the images are drawn noise.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reid_hash.codes import exact_weights, load_codes
from tests.helpers import run_cli

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))


def test_encode_reproduces_its_codes(tmp_path, capsys):
    out = tmp_path / "codes.npz"
    arguments = ("encode", DATA / "images", "--model", DATA / "run", "--device", "cpu", "-q")
    code, _, error = run_cli(capsys, *arguments, "-o", out)
    assert code == 0, error
    codes, names = load_codes(out)
    assert codes.model == EXPECTED["fingerprint"]
    assert codes.bits == EXPECTED["bits"]
    np.testing.assert_array_equal(codes.weights, exact_weights(EXPECTED["bit_weights"]))
    pairs = zip(names, codes.packed, strict=True)
    found = {Path(name).name: row.tobytes().hex() for name, row in pairs}
    assert found == EXPECTED["codes"]


def test_cmc_reproduces_its_figures(tmp_path, capsys):
    """Query i and the gallery image of its identity are two of the images, as Market-1501."""
    folder = tmp_path / "market1501"
    for part in ("bounding_box_train", "bounding_box_test", "query"):
        (folder / part).mkdir(parents=True)
    images = sorted((DATA / "images").iterdir())
    for i, image in enumerate(images):
        other = images[(2 * i + 1) % len(images)]
        shutil.copyfile(image, folder / "query" / f"{i + 1:04d}_c1s1_000001_00.jpg")
        shutil.copyfile(other, folder / "bounding_box_test" / f"{i + 1:04d}_c2s1_000002_01.jpg")
        trained = f"{i + 101:04d}_c{i % 2 + 1}s1_000002_01.jpg"
        shutil.copyfile(image, folder / "bounding_box_train" / trained)
    out = tmp_path / "cmc.json"
    arguments = ("cmc", "--dataset", "market1501", "--data", tmp_path, "--model", DATA / "run")
    code, _, error = run_cli(capsys, *arguments, "--device", "cpu", "-q", "--json", out)
    assert code == 0, error
    figures = json.loads(out.read_text())
    assert figures["fingerprint"] == EXPECTED["cmc"]["fingerprint"]
    for row, wanted in zip(figures["results"], EXPECTED["cmc"]["results"], strict=True):
        assert row == pytest.approx(wanted)
