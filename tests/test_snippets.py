"""Every piece of Python in README.md and docs/ runs, one file after the other as a reader would."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid_hash.data.images import resize
from reid_hash.data.walkers import walkers
from reid_hash.gallery import Sighting
from reid_hash.models import load_model

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = [
    pytest.param(match[1], id=f"{page.stem}-{number}")
    for page in PAGES
    for number, match in enumerate(
        re.finditer(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    )
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with pictures and a model, and the values that snippets take for granted."""
    folder = tmp_path_factory.mktemp("snippets")
    data = walkers(train_identities=1, test_identities=2).query
    pictures = [data.read(i) for i in range(len(data))]
    names = ["ada.jpg", "bob.jpg", *(f"{i}.jpg" for i in range(2, len(pictures)))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / name)
    model = load_model("small", "cpu")
    images = np.stack([resize(picture, *model.size) for picture in pictures])
    codes = model.encode(images)
    return folder, {
        "paths": names,
        "model": model,
        "encoder": model,
        "images": images,
        "codes": codes,
        "query": codes[:2],
        "ids": np.arange(len(codes)),
        "sightings": [Sighting(camera="door", source=name) for name in names],
    }


def test_there_are_snippets():
    assert len(SNIPPETS) >= 4


@pytest.mark.parametrize("source", SNIPPETS)
def test_a_snippet_runs(source, world, tmp_path, monkeypatch):
    folder, values = world
    shutil.copytree(folder, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    if ".onnx" in source:
        pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'reid-hash[onnx]'")
        pytest.importorskip("onnx", reason="needs the extra: pip install 'reid-hash[onnx]'")
        from reid_hash.models.onnx_export import export_onnx
        from tests.models.foreign.graphs import save_network

        save_network("osnet.onnx", size=(256, 128))
        export_onnx(values["model"].checkpoint, "small.onnx")
    exec(compile(source, "snippet", "exec"), dict(values))
