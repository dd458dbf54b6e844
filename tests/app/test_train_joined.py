"""Training on several data sets, on invented ones in Market-1501's naming."""

import cv2
import numpy as np
import pytest

from reid_hash.app.evaluate import evaluate
from reid_hash.app.train import load_for
from reid_hash.cli import main
from reid_hash.config.reading import load_config
from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.data.joined import SOURCE, join, source_of
from reid_hash.errors import ConfigError


def persons(folder, identities, part="bounding_box_train"):
    random = np.random.default_rng(0)
    (folder / part).mkdir(parents=True)
    for identity in identities:
        for camera in (1, 2):
            for index in range(2):
                image = random.integers(0, 256, (32, 16, 3), np.uint8)
                name = f"{identity:04d}_c{camera}s1_{index:06d}_00.jpg"
                assert cv2.imwrite(str(folder / part / name), image)


@pytest.fixture
def roots(tmp_path):
    """One set with a test, and one that has training images alone."""
    first, second = tmp_path / "a", tmp_path / "b"
    persons(first, range(1, 7))
    persons(first, range(7, 9), "query")
    persons(first, range(7, 9), "bounding_box_test")
    persons(second, range(1, 5))
    return first, second


def config(*settings):
    return load_config(None, ["data.dataset=market1501+market1501", *settings])


def test_identities_and_cameras_are_kept_apart_and_the_first_is_evaluated(roots):
    data = load_for(config(), roots)
    assert data.name == "market1501+market1501"
    assert data.protocol == "standard"
    assert set(data.query.labels.tolist()) == {7, 8}
    assert sorted(set(data.train.labels.tolist())) == [
        *range(1, 7),
        *(SOURCE + identity for identity in range(1, 5)),
    ]
    assert np.bincount(source_of(data.train.labels)).tolist() == [24, 16]
    assert len(set(data.train.cameras.tolist())) == 4
    second = int(np.flatnonzero(source_of(data.train.labels) == 1)[0])
    read = cv2.imread(str(roots[1] / data.train.names[second]))
    np.testing.assert_array_equal(data.train.read(second), read[:, :, ::-1])
    assert "trained on 6 identities of market1501, 4 identities of market1501" in data.notes[-1]


def test_identities_are_held_out_of_the_first_alone(roots):
    data = load_for(config("data.hold_out=2"), roots)
    assert (source_of(data.query.labels) == 0).all()
    assert np.bincount(source_of(data.train.labels)).tolist() == [16, 16]


def test_roots_that_do_not_fit(roots):
    with pytest.raises(ConfigError, match="--data is given 3 times for 2 data sets"):
        load_for(config(), [*roots, roots[0]])


def test_the_last_identities_are_asked_for_with_their_number(roots):
    with pytest.raises(ConfigError, match="set data.hold_out"):
        load_for(config("data.held_out=last"), roots)
    data = load_for(config("data.hold_out=2", "data.held_out=last"), roots)
    own = data.train.labels[source_of(data.train.labels) == 0]
    assert data.query.labels.min() > own.max()


def test_classes_and_identities_do_not_join():
    images = ImageSet(lambda i: None, ["a"], np.zeros(1, np.int64), np.zeros(1, np.int64))
    persons_set = Dataset("a", images, images, images, "p")
    classes = Dataset("b", images, images, images, "p", classes=("x",))
    with pytest.raises(ConfigError, match="b is labelled by class"):
        join([persons_set, classes])


@pytest.mark.slow
def test_a_joined_training_and_its_evaluation(roots, tmp_path, capsys):
    settings = "data.height=32 data.width=16 data.shares=[1,1] model.bits=8 train.epochs=1"
    settings += " train.identities_per_batch=4 train.images_per_identity=2"
    run = tmp_path / "run"
    arguments = ["train", "market1501+market1501", "--output", str(run), "-q"]
    for root in roots:
        arguments += ["--data", str(root)]
    for setting in settings.split():
        arguments += ["--set", setting]
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 0, capsys.readouterr().err
    result = evaluate(model=run, data=roots[0], bits=8)
    assert result.dataset.name == "market1501"
    assert result.rows[0].figures["queries"] == 8
    assert result.notes[-1].startswith("the model was trained on images of market1501 too")
