"""`import reid_hash`: what is in it, that it costs nothing, and the snippet people start from."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import reid_hash
from reid_hash.data.walkers import walkers

HEAVY = ("torch", "numpy", "cv2", "faiss", "pydantic", "yaml", "rich")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_it_imports_nothing_else():
    done = python(f"import sys, reid_hash; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert done.stdout == "[]\n", done.stderr
    done = python(
        "import sys, reid_hash; print(sorted(m for m in sys.modules if 'reid_hash.' in m))"
    )
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("name", reid_hash.__all__)
def test_each_name_is_there(name):
    value = getattr(reid_hash, name)
    assert name in dir(reid_hash)
    if name == "__version__":
        assert isinstance(value, str)
    else:
        assert value.__name__ == name
        assert value.__module__.startswith("reid_hash.")
        assert value.__doc__


def test_all_names_and_no_others():
    done = python("from reid_hash import *; print(sorted(n for n in dir() if n[:2] != '__'))")
    assert eval(done.stdout) == sorted(n for n in reid_hash.__all__ if n[:2] != "__"), done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(reid_hash, "nothing")  # noqa: B009
    rooms = {path.stem for path in Path(reid_hash.__file__).parent.iterdir()}
    assert not rooms & {*reid_hash.__all__}


def test_names_that_need_no_torch_do_without_it():
    names = ("Codes", "Encoder", "Gallery", "Sighting", "WeightedIndex", "hamming", "load_model")
    done = python(
        f"import sys, reid_hash; [getattr(reid_hash, name) for name in {names!r}]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert done.returncode == 0, done.stderr


def test_from_images_to_the_nearest_sightings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = walkers(train_identities=1, test_identities=4).query
    names = ["ada.jpg", "bob.jpg", *(f"{i}.jpg" for i in range(2, len(data)))]
    for i, name in enumerate(names):
        Image.fromarray(data.read(i)).save(name, quality=95)
    paths = names

    model = reid_hash.load_model("base", "cpu")
    codes = model.encode(["ada.jpg", "bob.jpg"])
    with reid_hash.Gallery("people", model) as gallery:  # opens, or makes
        gallery.add(paths, camera="door")
        for match in gallery.search("ada.jpg", k=3, bits=64):
            print(match.sighting.source, match.distance)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("ada.jpg 0.0")
    assert len(codes) == 2
    distances = reid_hash.weighted(codes.prefix(64), codes.prefix(64))
    assert distances[0, 0] == 0 < distances[0, 1]
    with reid_hash.Gallery("people", model) as gallery:  # now it opens
        assert len(gallery) == len(paths)
        again = gallery.search(codes[0], k=3, bits=64)
    assert [match.distance for match in again] == sorted(match.distance for match in again)
    assert [f"{m.sighting.source} {m.distance}" for m in again] == lines
