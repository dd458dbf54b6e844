import threading

import numpy as np
import pytest

from reid_hash.data.dataset import ImageSet
from reid_hash.data.walkers import walkers
from reid_hash.data.walkers.person import person
from reid_hash.errors import ConfigError


def small(seed: int = 0, **more: int):
    return walkers(seed, **{"train_identities": 3, "test_identities": 4, **more})


def pixels(images: ImageSet, rows: range) -> np.ndarray:
    return np.stack([images.read(i) for i in rows])


def test_labels_cameras_and_names_agree():
    data = small(images_per_camera=2)
    assert data.query is data.gallery
    assert len(data.train) == 3 * 2 * 2
    assert len(data.query) == 4 * 2 * 2
    for images, persons in ((data.train, 3), (data.query, 4)):
        assert images.labels.dtype == images.cameras.dtype == np.int64
        assert len(set(images.names)) == len(images)
        for name, label, camera in zip(images.names, images.labels, images.cameras, strict=True):
            assert name.startswith(f"walkers/{label:04d}_c{camera}_")
        cells, counts = np.unique([images.labels, images.cameras], axis=1, return_counts=True)
        assert cells.shape[1] == persons * 2
        assert set(cells[1]) == {1, 2}
        assert (counts == 2).all()


def test_protocol():
    data = small(7)
    assert (data.name, data.protocol, data.camera_rule) == ("walkers", "single-shot", "cuhk03")
    assert data.single_shot
    assert "procedural" in data.notes[0]
    assert "seed 7" in data.notes[0]


def test_train_and_test_identities_are_disjoint_at_the_greatest_numbers():
    data = walkers(train_identities=5000, test_identities=4000, images_per_camera=1)
    assert not set(data.train.labels) & set(data.query.labels)
    assert len(set(data.train.labels)) == 5000
    assert len(set(data.query.labels)) == 4000


@pytest.mark.parametrize(("height", "width"), [(128, 64), (160, 60), (64, 64), (32, 16), (256, 99)])
def test_size_and_type(height: int, width: int):
    data = small(height=height, width=width)
    for i in (0, 4):
        image = data.train.read(i)
        assert image.shape == (height, width, 3)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert image.std() > 15  # something is drawn


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others():
    rows = range(8)
    first, again, other = (pixels(small(seed).query, rows) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    for a, b in zip(first, other, strict=True):
        assert np.abs(a.astype(int) - b).mean() > 5


def test_an_image_depends_on_its_own_numbers_alone():
    data = small()
    forward = pixels(data.query, range(16))
    backward = pixels(small().query, range(15, -1, -1))[::-1]
    assert np.array_equal(forward, backward)
    # neither the number of other persons nor of other images matters
    more = small(test_identities=6, train_identities=9, images_per_camera=5).query
    assert more.names[5] == data.query.names[4] == "walkers/5000_c2_00"
    assert np.array_equal(more.read(5), forward[4])


def test_threads_draw_the_same():
    rows = range(16)
    expected = pixels(small(3).query, rows)
    fresh = small(3).query
    found: dict[int, list[np.ndarray]] = {}

    def work(thread: int) -> None:
        found[thread] = [fresh.read(i) for i in rows]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for images in found.values():
        assert np.array_equal(np.stack(images), expected)
    assert len(found) == 2


def test_all_images_of_a_person_differ():
    images = pixels(small().query, range(8)).astype(int)
    for i in range(8):
        for j in range(i):
            assert np.abs(images[i] - images[j]).mean() > 8


def test_the_cameras_have_unlike_colours():
    data = walkers(train_identities=1, test_identities=12)
    images = pixels(data.query, range(len(data.query))).astype(float)
    warmth = images[..., 0].mean((1, 2)) / images[..., 2].mean((1, 2))
    first = data.query.cameras == 1
    assert warmth[first].mean() > 1.15 * warmth[~first].mean()
    light = images.mean((1, 2, 3))
    assert light[first].mean() > 1.15 * light[~first].mean()


def test_persons_are_reproducible_and_varied():
    people = [person(0, i) for i in range(200)]
    assert people[5] == person.__wrapped__(0, 5)
    assert len(set(people)) == 200
    assert person(1, 5) != people[5]
    for choices, of in (
        ({"none", "backpack", "messenger", "handbag"}, [p.bag.kind for p in people]),
        ({"trousers", "shorts", "skirt", "dress"}, [p.bottom for p in people]),
        ({"plain", "stripes", "pinstripes", "checks", "dots"}, [p.top.pattern for p in people]),
        ({"bald", "short", "bob", "long", "ponytail", "bun"}, [p.hair_style for p in people]),
        ({True, False}, [p.coat is None for p in people]),
    ):
        assert set(of) == choices
    assert all(1.4 < p.height < 2.1 for p in people)
    assert all(p.coat is not None for p in people if p.hat == "hood")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("train_identities", 0),
        ("train_identities", 5001),
        ("test_identities", 0),
        ("test_identities", 4001),
        ("images_per_camera", 0),
        ("height", 31),
        ("width", 15),
        ("width", 1025),
    ],
)
def test_numbers_out_of_range_are_named(name: str, value: int):
    with pytest.raises(ConfigError, match=f"walkers: {name} is {value}"):
        walkers(**{name: value})
