import numpy as np
import pytest

from reid_hash import metrics
from reid_hash.errors import ReidHashError
from reid_hash.metrics.single_shot import draw_images


def people(labels=6, cameras=2, shots=3, levels=None, seed=0):
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(labels) * 3, cameras * shots)
    camera = np.tile(np.repeat(np.arange(cameras), shots), labels)
    order = rng.permutation(len(label))
    distances = rng.random((len(label), len(label)))
    if levels is not None:
        distances = np.floor(distances * levels)
    return distances, label, label[order], camera, camera[order]


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("cameras", [1, 2, 4])
def test_all_draws_have_the_mean_of_all_galleries(cameras, levels):
    """One image an (identity, camera): every draw is the whole gallery, with the rule "cuhk03"."""
    distances, labels, in_gallery, seen, seen_by = people(cameras=cameras, shots=1, levels=levels)
    valid = metrics.valid_mask("cuhk03", labels, in_gallery, seen, seen_by)
    groups = metrics.tie_groups(distances, labels[:, None] == in_gallery, valid)
    wanted = metrics.summarise(groups)
    result = metrics.single_shot(distances, labels, in_gallery, seen, seen_by, draws=3)
    for key, value in wanted.items():
        np.testing.assert_allclose(result[key], [value] * 3, atol=1e-12)


@pytest.mark.parametrize("cameras", [2, 3])
def test_a_draw_is_one_image_of_each_identity_and_camera(cameras):
    arguments = people(cameras=cameras, shots=3, levels=5)
    distances, labels, in_gallery, seen, seen_by = arguments
    chosen = draw_images(in_gallery, seen_by, 40, np.random.default_rng(7))
    pairs = np.stack([in_gallery, seen_by], axis=1)
    everyone = np.unique(pairs, axis=0)
    results = metrics.single_shot(*arguments, draws=40, seed=7)
    for i, drawn in enumerate(chosen):
        np.testing.assert_array_equal(np.unique(pairs[drawn], axis=0), everyone)
        assert len(drawn) == len(everyone)
        valid = metrics.valid_mask("cuhk03", labels, in_gallery[drawn], seen, seen_by[drawn])
        match = labels[:, None] == in_gallery[drawn]
        wanted = metrics.summarise(metrics.tie_groups(distances[:, drawn], match, valid))
        assert {key: values[i] for key, values in results.items()} == pytest.approx(wanted)
    assert len(np.unique(chosen)) == len(in_gallery)  # in the long run every image is drawn


def test_the_seed_decides():
    arguments = people()
    first, again, other = (metrics.single_shot(*arguments, draws=5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first["map"], again["map"])
    assert (first["map"] != other["map"]).any()
    assert first["map"].shape == (5,)


def test_identity_missing_from_the_other_camera_is_left_out():
    result = metrics.single_shot([[0.0, 1.0], [0.0, 1.0]], [1, 2], [1, 3], [0, 0], [1, 1], draws=2)
    assert result["queries"].tolist() == [1, 1]
    assert result["queries_without_match"].tolist() == [1, 1]
    assert result["rank1"].tolist() == [1, 1]


def test_empty():
    result = metrics.single_shot(np.zeros((2, 0)), [1, 2], [], [0, 0], [], draws=2)
    assert np.isnan(result["map"]).all()
    result = metrics.single_shot(np.zeros((0, 1)), [], [1], [], [0], draws=2)
    assert result["queries"].tolist() == [0, 0]


def test_bad_input_is_told():
    with pytest.raises(ReidHashError, match="do not fit"):
        metrics.single_shot([[0.0]], [1, 2], [1], [0, 0], [1])
    with pytest.raises(ReidHashError, match="NaN"):
        metrics.single_shot([[np.nan]], [1], [1], [0], [1])
    with pytest.raises(ReidHashError, match="draw"):
        metrics.single_shot([[0.0]], [1], [1], [0], [1], draws=0)
