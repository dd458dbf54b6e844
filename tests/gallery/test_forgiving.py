"""Galleries of a network: images and codes are added and searched for as they come."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from reid_hash.distances import asymmetric, query_values
from reid_hash.errors import CheckpointError, CodeError, DataError, GalleryError, ImageError
from reid_hash.gallery import Gallery, Sighting
from reid_hash.models.load import load_model
from reid_hash.models.shipped import shipped_model
from tests.gallery.galleries import make, some_codes


@pytest.fixture(scope="module")
def encoder():
    return load_model(shipped_model("small").file, "cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Four image files, no two alike."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for i in range(4):
        small = random.integers(0, 256, (6, 3, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(small, (40, 100)))
    return sorted(folder.iterdir())


def rgb(file):
    return cv2.imread(str(file))[:, :, ::-1]


def test_a_gallery_is_made_opened_and_searched_by_image(tmp_path, encoder, images):
    with Gallery(tmp_path / "g", encoder) as gallery:
        assert gallery.add(images, camera="door").tolist() == [1, 2, 3, 4]
        (first,) = gallery.search(images[0], k=1)
        assert (first.sighting.source, first.sighting.camera) == (str(images[0]), "door")
        assert first.distance == 0
    with Gallery(tmp_path / "g") as gallery:  # its network is a shipped one
        want = gallery.search(images[2], 3, bits=64)
        assert want[0].sighting.id == 3
        for query in (str(images[2]), rgb(images[2]), Image.open(images[2])):
            assert gallery.search(query, 3, bits=64) == want
        assert gallery.sightings(thumbnails=True)[0].thumbnail[:2] == b"\xff\xd8"
        (code, _) = gallery.codes(ids=[3])
        assert gallery.search(code, 3, bits=64) == want


def test_real_values_of_an_image(tmp_path, encoder, images):
    with Gallery(tmp_path / "g", encoder) as gallery:
        gallery.add(images)
        height, width = encoder.size
        pixels = cv2.resize(rgb(images[1]), (width, height), interpolation=cv2.INTER_CUBIC)
        values = query_values(encoder.outputs(pixels[None])[0])
        want = np.sort(asymmetric(values, gallery.codes()[0])[0])
        for found in (
            gallery.search(images[1], 4, asymmetric=True),
            gallery.search(values[0], 4),
            gallery.search(values[0].tolist(), 4),
        ):
            assert [match.distance for match in found] == want.tolist()


def test_one_image_several_and_a_folder_are_added(tmp_path, encoder, images):
    with Gallery(tmp_path / "g", encoder) as gallery:
        assert len(gallery.add(images[0])) == 1
        assert len(gallery.add(images[0].parent)) == 4
        assert len(gallery.add([rgb(images[0]), Image.open(images[1]), str(images[2])])) == 3
        assert (
            len(gallery.add(rgb(images[0]), source="camera 1", name="Ann", thumbnails=False)) == 1
        )
        assert len(gallery.add([])) == 0
        last = gallery.sightings(newest=True, limit=1, thumbnails=True)[0]
        assert (last.source, last.name, last.thumbnail) == ("camera 1", "Ann", None)
        ids = gallery.add(images[:2], [Sighting(camera="a"), Sighting(camera="b", thumbnail=b"x")])
        a, b = gallery.sightings(ids=ids, thumbnails=True)
        assert (a.camera, b.camera, b.thumbnail) == ("a", "b", b"x")


def test_codes_are_added_without_sightings(tmp_path):
    codes = some_codes(3)
    with Gallery(tmp_path / "g", codes) as gallery:
        gallery.add(codes, camera="door", time=5.0, source="a.mp4", name="Ann")
        assert {(s.camera, s.time, s.source, s.name) for s in gallery.sightings()} == {
            ("door", 5.0, "a.mp4", "Ann")
        }


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        (some_codes(2), CodeError, "2 codes: search for one code, or for many with search_many"),
        (np.zeros((2, 44)), CodeError, "not one query .* search_many"),
        (np.zeros(40), CodeError, "do not fit"),
        ("a.jpg", CheckpointError, "the model of gallery .*, net, is not found"),
    ],
)
def test_what_is_no_query_is_told(tmp_path, query, error, message):
    with make(tmp_path / "g") as gallery, pytest.raises(error, match=message):
        gallery.search(query)


def test_what_is_no_image_is_told(tmp_path, encoder, images):
    with Gallery(tmp_path / "g", encoder) as gallery:
        with pytest.raises(DataError, match="no such file or folder"):
            gallery.add(tmp_path / "none.jpg")
        with pytest.raises(ImageError, match="uint8 array .height, width, 3., not float64"):
            gallery.add(np.zeros((8, 8)))
        with pytest.raises(DataError, match="No such file"):
            gallery.search(tmp_path / "none.jpg")
        with pytest.raises(CodeError, match="2 images for 1 sightings"):
            gallery.add(images[:2], [Sighting()])
        with pytest.raises(CodeError, match="a code has no real values"):
            gallery.search(encoder.binarise(np.ones((1, encoder.bits))), asymmetric=True)
        assert len(gallery) == 0


def test_the_model_must_be_the_gallerys(tmp_path, encoder):
    make(tmp_path / "g").close()
    with pytest.raises(CodeError, match="do not fit gallery"):
        Gallery(tmp_path / "g", encoder)
    with pytest.raises(CodeError, match="40 bits do not fit"):
        Gallery(tmp_path / "g", some_codes(bits=40))
    with pytest.raises(GalleryError, match="is no gallery"):
        Gallery(tmp_path / "none")
    with pytest.raises(GalleryError, match="is no gallery"):
        Gallery(tmp_path / "none", encoder, read_only=True)
    assert not (tmp_path / "none").exists()


def test_it_is_shown_in_one_line(tmp_path):
    with make(tmp_path / "g") as gallery:
        assert repr(gallery) == f"Gallery({str(tmp_path / 'g')!r}, 60 sightings, 44 bits)"
        with Gallery(tmp_path / "g", read_only=True) as reader:
            assert repr(reader).endswith(", 44 bits, read-only)")
    assert repr(gallery) == f"Gallery({str(tmp_path / 'g')!r}, closed)"


def test_galleries_of_codes_need_no_torch():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import reid_hash.gallery as g\n"
        "assert all(getattr(g, name) is not None for name in g.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
