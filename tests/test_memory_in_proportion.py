"""Memory follows from what there is, never from what somebody asks for or a file claims."""

import json
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from reid_hash.cli import cli
from reid_hash.codes import Codes
from reid_hash.config.reading import load_config
from reid_hash.errors import CheckpointError, CodeError, ConfigError, DataError, MetricError
from reid_hash.index import HammingIndex, IndexName, make_index
from reid_hash.metrics import single_shot
from reid_hash.models.encoder import Encoder
from reid_hash.nn import checkpoint
from reid_hash.video.detectors.yolox import Yolox
from tests.gallery.galleries import make, some_codes
from tests.index.plain import make_codes

HUGE = 10**20
posix = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")


def limited(script, *arguments, gigabytes=4):
    """Run Python in a child with so much address space; gives what it prints."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({gigabytes} << 30,) * 2)\n"
    command = [sys.executable, "-c", limit + script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", get_args(IndexName))
def test_more_matches_than_codes_are_all_codes(name):
    random = np.random.default_rng(0)
    codes = make_codes(random, 12, 24, weights=1 + random.random(24))
    index = make_index(name, codes, threads=1)
    assert index.search(codes[:2], HUGE).ids.shape == (2, 0)
    index.add(codes, np.arange(12))
    found = index.search(codes[:3], HUGE)
    assert found.ids.shape == found.distances.shape == (3, 12)
    assert np.sort(found.ids).tolist() == [list(range(12))] * 3
    some = index.search(codes[:3], HUGE, np.array([3, 7, 99]))
    assert np.sort(some.ids).tolist() == [[3, 7]] * 3
    for k in (2.5, "3", None):
        with pytest.raises(CodeError, match="whole number"):
            index.search(codes[:1], k)


@posix
def test_a_thousand_million_matches_take_no_memory(tmp_path):
    with make(tmp_path / "g", 12):
        pass
    script = """
import sys
import numpy as np
from reid_hash.codes import Codes
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.index import make_index
rows = np.arange(24, dtype=np.uint8).reshape(12, 2)
codes = Codes(rows, 16)
for name in ("weighted", "weighted-multihash", "weighted-ivf", "flat", "ivf"):
    index = make_index(name, codes, threads=1)
    index.add(codes, np.arange(12))
    print(index.search(codes, 10**9).ids.shape)
with Gallery.open(sys.argv[1], read_only=True) as gallery:
    codes = gallery.codes()[0]
    print(len(gallery.search(codes[0], k=10**9)), len(gallery.sightings(limit=10**20)))
"""
    printed = limited(script, tmp_path / "g").splitlines()
    assert printed == ["(12, 12)"] * 5 + ["12 12"]


@pytest.mark.parametrize("k", [13, 10**9, HUGE])
def test_a_gallery_gives_all_it_has(tmp_path, k):
    with make(tmp_path / "g", 12) as gallery:
        found = gallery.search(some_codes(1, seed=3), k)
        assert sorted(match.sighting.id for match in found) == list(range(1, 13))
        but = gallery.search(some_codes(1, seed=3), k, exclude_ids=[2, 3], cameras=["door"])
        assert {match.sighting.id for match in but}.isdisjoint({2, 3})
        assert len(gallery.sightings(limit=k, after=0)) == 12
        assert gallery.sightings(after=k) == []


@pytest.mark.parametrize("top", [12, 10**9, HUGE])
def test_top_of_the_command_line_is_cut_to_what_there_is(tmp_path, top):
    from reid_hash.codes import save_codes

    with make(tmp_path / "g", 12):
        pass
    save_codes(tmp_path / "q.npz", some_codes(1, seed=3), ["q"])
    asked = ["search", str(tmp_path / "q.npz"), "--gallery", str(tmp_path / "g"), "--plain"]
    done = CliRunner().invoke(cli, [*asked, "--top", str(top)])
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 12


@pytest.mark.parametrize("bits", [10**9, 10**12, HUGE])
def test_codes_have_a_longest(bits):
    with pytest.raises(CodeError, match="at most 1,048,576 bits"):
        HammingIndex(bits)
    with pytest.raises(CodeError, match="bits"):
        Codes.empty(8).prefix(bits)
    with pytest.raises(ConfigError, match=r"model\.bits"):
        load_config(settings=[f"model.bits={bits}"])


@pytest.mark.parametrize("key", ["train.images_per_identity", "model.stripes", "data.height"])
def test_settings_have_a_largest(key):
    with pytest.raises(ConfigError, match=key):
        load_config(settings=[f"{key}={10**9}"])


def test_gallery_draws_have_a_limit():
    with pytest.raises(MetricError, match="at most 10,000 galleries"):
        single_shot([[0.0]], [1], [1], [0], [1], draws=10**9)


@pytest.mark.parametrize(
    "arguments",
    [
        ["cmc", "--draws", str(10**9)],
        ["gallery", "assign", "g", "Ada", "--ids", ",".join(["1-999999"] * 3)],
        ["train", "walkers", "--bits", str(HUGE)],
    ],
)
def test_options_have_a_limit(arguments, capsys):
    from tests.helpers import run_cli

    code, _, err = run_cli(capsys, *arguments)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize("threads", [10**9, HUGE])
def test_threads_have_a_limit(threads):
    codes = make_codes(np.random.default_rng(0), 40, 24)
    for name in get_args(IndexName):
        index = make_index(name, codes, threads=threads)
        index.add(codes, np.arange(40))
        assert index.search(codes[:1], 1).ids.tolist() == [[0]]


def test_a_network_is_not_built_that_its_file_only_describes(tmp_path, monkeypatch):
    import torch

    from reid_hash.models.shipped import shipped_model

    file = shipped_model("small").file
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    config = json.loads(metadata["config"])
    config["model"] |= {"backbone": "paper", "bits": 4096, "soft_stripes": False}
    config["data"] |= {"height": 1024, "width": 1024}
    save_file(
        load_file(file), tmp_path / "m.safetensors", metadata | {"config": json.dumps(config)}
    )
    built = []
    plain = checkpoint.HashNet

    def recorded(*given):
        built.append(torch.get_default_device().type)
        return plain(*given)

    monkeypatch.setattr(checkpoint, "HashNet", recorded)
    with pytest.raises(CheckpointError, match="describes .* and holds"):
        checkpoint.load_checkpoint(tmp_path / "m.safetensors")
    assert built == ["meta"]


@posix
def test_an_onnx_file_that_fills_more_memory_than_there_is_ends_in_one_line(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper, save

    shape = numpy_helper.from_array(np.array([20_000, 20_000], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["filled"]),
        helper.make_node("ReduceSum", ["filled"], ["sum"], keepdims=0),
        helper.make_node("Add", ["images", "sum"], ["output"]),
    ]
    value = helper.make_tensor_value_info
    form = [1, 3, 64, 64]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("images", TensorProto.FLOAT, form)],
        [value("output", TensorProto.FLOAT, form)],
        [shape],
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "m.onnx")
    script = """
import sys
from pathlib import Path
from reid_hash.errors import DataError
from reid_hash.utils import onnx_file
onnx_file.memory_limit = lambda: 1 << 30
from reid_hash.video.detectors.yolox import Yolox
try:
    Yolox(Path(sys.argv[1]), threads=1)
except DataError as error:
    print(error)
"""
    (line,) = limited(script, tmp_path / "m.onnx", gigabytes=16).splitlines()
    assert "cannot be run" in line
    assert "memory" in line


def test_a_detectors_picture_has_a_largest_size(tmp_path):
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info
    form = [1, 3, 1_000_000, 1_000_000]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["output"])],
        "g",
        [value("images", TensorProto.FLOAT, form)],
        [value("output", TensorProto.FLOAT, form)],
    )
    save(helper.make_model(graph), tmp_path / "m.onnx")
    with pytest.raises(DataError, match="4,096 pixels"):
        Yolox(tmp_path / "m.onnx")


class Recorder(Encoder):
    """An encoder of large pictures that notes how many it gets at a time."""

    fingerprint, bits, size = "f", 1, (2048, 2048)
    bit_weights = np.ones(1, np.float32)

    def __init__(self):
        self.seen = []

    def _outputs(self, images, progress):
        self.seen.append(len(images))
        return np.ones((len(images), 1), np.float32), np.ones((len(images), 1), np.float32)


def test_fewer_large_pictures_are_held_at_a_time():
    encoder = Recorder()
    picture = np.zeros((4, 4, 3), np.uint8)
    assert len(encoder.encode([picture] * 9, progress=False)) == 9
    assert encoder.seen == [4, 4, 1]
