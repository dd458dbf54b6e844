"""Every command of the pages about networks of others runs, one after the other, on stand-ins.

`osnet.onnx` and `arcface.onnx` are small networks with random weights; so is what stands for
timm's, for no test downloads weights. DIR holds drawn walkers in Market-1501's naming, and folders
of classes.
"""

import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from reid_hash.data.walkers import walkers
from tests.helpers import run_cli

WHY = "needs the extra: pip install 'reid-hash[onnx]'"
pytest.importorskip("onnx", reason=WHY)
pytest.importorskip("onnxruntime", reason=WHY)

from tests.models.foreign.graphs import save_network  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"
TIMM = re.compile(r"timm:\S+ --weights timm")


def commands(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    return [TIMM.sub("timm:test_vit", line) for block in blocks for line in block.splitlines()]


def write(file, picture):
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), picture[:, :, ::-1])


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    save_network(folder / "osnet.onnx", features=24)
    save_network(folder / "arcface.onnx", size=(112, 112), features=24)
    data = walkers(train_identities=12, test_identities=12)
    parts = {"bounding_box_train": data.train, "query": data.query, "bounding_box_test": data.query}
    for name, images in parts.items():
        for i in range(len(images)):
            who, where = int(images.labels[i]) + 1, int(images.cameras[i]) + 1
            write(
                folder / f"DIR/market1501/{name}/{who:04}_c{where}s1_{i:06}_00.jpg", images.read(i)
            )
    for i in range(36):
        part = ("train", "train", "test")[i % 3]
        write(folder / f"DIR/folder/{part}/{'ab'[i // 3 % 2]}/{i}.jpg", data.query.read(i))
    for i, name in enumerate(("ada.jpg", "bob.jpg", "eve.jpg", *(f"{i}.jpg" for i in range(20)))):
        write(folder / "photos" / name, data.query.read(i))
        write(folder / "faces" / name, data.query.read(i))
    shutil.copy(folder / "photos/ada.jpg", folder / "ada.jpg")
    random = np.random.default_rng(0)
    for name, people in (("train", 80), ("known", 60), ("staff", 5)):
        who = np.repeat(np.arange(people), 4)
        vectors = random.normal(size=(people, 24))[who] + 0.4 * random.normal(size=(4 * people, 24))
        np.savez(folder / f"{name}.npz", embeddings=vectors.astype(np.float32), identities=who)
    np.save(folder / "visitor.npy", random.normal(size=24).astype(np.float32))
    return folder


@pytest.mark.parametrize("page", ["osnet.md", "clip-and-dino.md", "faces.md"])
def test_the_commands_of_a_page_run(page, stand_ins, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(shutil.copytree(stand_ins, tmp_path / "work"))
    found = commands(page)
    assert len(found) > 5
    for line in found:
        program, *arguments = shlex.split(line)
        assert program == "reid-hash"
        code, out, err = run_cli(capsys, *arguments)
        assert code == 0, f"{line}\n{out}\n{err}"
        if "floats.npz" in arguments and "encode" in arguments and "--float" in arguments:
            np.save("query.npy", np.load("floats.npz")["embeddings"][0])


def test_floats_are_no_retrieval(stand_ins, capsys):
    code, _, err = run_cli(
        capsys,
        *("retrieval", "folder", "--data", stand_ins / "DIR", "-q"),
        *("--network", stand_ins / "osnet.onnx", "--preset", "torchreid"),
    )
    assert (code, err.count("\n")) == (2, 1)
    assert "no codes: fit a head" in err
