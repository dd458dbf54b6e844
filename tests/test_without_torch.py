"""Search, galleries and ONNX encoding work where torch cannot be imported."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import reid_hash
from reid_hash.nn.checkpoint import load_checkpoint

BLOCKED = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "accelerate"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
try:
    import torch
except ModuleNotFoundError:
    pass
else:
    sys.exit("torch was imported all the same")
"""

SEARCH = """
from pathlib import Path
import numpy as np
from reid_hash import calibration, metrics
from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, hamming, weighted
from reid_hash.gallery.open import create_gallery, open_gallery
from reid_hash.gallery.sighting import Sighting
from reid_hash.index import WeightedIndex

codes = Codes.from_outputs(np.random.default_rng(0).normal(size=(50, 40)), range(40, 0, -1), "m")
index = WeightedIndex(codes.weights)
index.add(codes, np.arange(50))
assert index.search(codes[7], 3).ids[0, 0] == 7
assert hamming(codes[7], codes)[0, 7] == weighted(codes[7], codes)[0, 7] == 0
assert asymmetric(2.0 * codes[7].unpack() - 1, codes)[0, 7] == 0
groups = metrics.rank_codes(codes, codes, range(50), range(50), camera_rule="none")
assert metrics.summarise(groups)["rank1"] == 1
calibration.calibrate_codes(codes, np.arange(50) // 2, np.arange(50) % 2, [8, 40])
place = Path(sys.argv[1])
with create_gallery(place, codes) as gallery:
    gallery.add(codes, [Sighting(camera="door", time=1.0 + i) for i in range(50)])
with open_gallery(place, read_only=True) as gallery:
    match = gallery.find(codes[7], 1)[0].matches[0]
    assert (match.sighting.time, match.distance) == (8.0, 0.0)
"""

ENCODE = """
import numpy as np
from reid_hash.models.onnx_encoder import OnnxEncoder

encoder = OnnxEncoder(sys.argv[1], "cpu")
images = np.random.default_rng(0).integers(0, 256, (3, *encoder.size, 3), np.uint8)
np.save(sys.argv[2], encoder.encode(images).packed)
"""


def run(code: str, *arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_codes_indexes_and_galleries_are_searched(tmp_path):
    run(SEARCH, tmp_path / "people")


@pytest.mark.skipif(
    find_spec("onnx") is None or find_spec("onnxruntime") is None,
    reason="needs the extra: pip install 'reid-hash[onnx]'",
)
def test_an_onnx_file_encodes(tmp_path):
    from reid_hash.models.onnx_encoder import OnnxEncoder
    from reid_hash.models.onnx_export import export_onnx

    walkers = Path(reid_hash.__file__).parent / "models" / "walkers.safetensors"
    export_onnx(load_checkpoint(walkers), tmp_path / "model.onnx")
    run(ENCODE, tmp_path / "model.onnx", tmp_path / "packed.npy")
    here = OnnxEncoder(tmp_path / "model.onnx", "cpu")
    images = np.random.default_rng(0).integers(0, 256, (3, *here.size, 3), np.uint8)
    np.testing.assert_array_equal(np.load(tmp_path / "packed.npy"), here.encode(images).packed)
