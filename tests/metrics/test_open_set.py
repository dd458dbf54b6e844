import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_hash.errors import ConfigError, MetricError
from reid_hash.metrics import open_set_draws, tpir_at_fpir, valid_mask
from reid_hash.metrics.single_shot import draw_images


def plain_loop(distances, query_labels, gallery_labels, fpir, valid):
    """The definition, one query and one threshold at a time: (tpir, fpir) of the largest
    threshold that keeps to the allowed share, by the expected value over orders of tied images."""
    answers, strangers = [], []
    for row, label, mask in zip(distances, query_labels, valid, strict=True):
        left = [(d, other) for d, other, ok in zip(row, gallery_labels, mask, strict=True) if ok]
        nearest = min((d for d, _ in left), default=math.inf)
        tied = [other for d, other in left if d == nearest]
        if label not in gallery_labels:
            strangers.append(nearest)
        elif any(other == label for _, other in left):
            answers.append((nearest, sum(other == label for other in tied) / len(tied)))
    best = (0.0, 0.0)
    candidates = sorted({d for d, _ in answers} | set(strangers) - {math.inf})
    for threshold in candidates:
        share = sum(d <= threshold for d in strangers) / len(strangers) if strangers else 0.0
        if share <= fpir + 1e-12:
            right = sum(p for d, p in answers if d <= threshold)
            best = (right / len(answers) if answers else math.nan, share)
    return best if answers else (math.nan, best[1])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0]))
@settings(deadline=None, max_examples=200)
def test_it_is_the_plain_loop(seed, fpir):
    random = np.random.default_rng(seed)
    queries, gallery = random.integers(1, 12, 2)
    distances = random.integers(0, 5, (queries, gallery)).astype(float)  # many ties
    ql, gl = random.integers(0, 8, queries), random.integers(0, 5, gallery)
    valid = random.random((queries, gallery)) < 0.8
    got = tpir_at_fpir(distances, ql, gl, fpir, valid)
    tpir, reached = plain_loop(distances.tolist(), ql.tolist(), gl.tolist(), fpir, valid)
    assert got.tpir == pytest.approx(tpir, nan_ok=True)
    if got.strangers:
        assert got.fpir == pytest.approx(reached)
        assert got.fpir <= fpir + 1e-12


def test_draws_enrol_half_of_the_identities_and_repeat_with_the_seed():
    random = np.random.default_rng(0)
    labels, cameras = np.repeat(np.arange(11), 4), np.tile([1, 1, 2, 2], 11)
    distances = random.random((44, 44)) + (labels[:, None] != labels) * 0.5
    arguments = ([(slice(0, 44), distances)], labels, labels, cameras, cameras)
    drawn = open_set_draws(*arguments, "market", draws=5, seed=3)
    assert {(one.mated, one.strangers) for one in drawn} == {(24, 20)}  # 6 and 5 identities
    assert drawn == open_set_draws(*arguments, "market", draws=5, seed=3)
    assert drawn != open_set_draws(*arguments, "market", draws=5, seed=4)
    in_blocks = ([(slice(0, 20), distances[:20]), (slice(20, 44), distances[20:])], *arguments[1:])
    assert drawn == open_set_draws(*in_blocks, "market", draws=5, seed=3)
    assert 0 < np.mean([one.tpir for one in drawn]) < 1


def test_a_draw_of_single_shot_ranks_the_same_images_as_the_closed_set_figures():
    random = np.random.default_rng(1)
    labels, cameras = np.repeat(np.arange(6), 6), np.tile([1, 1, 1, 2, 2, 2], 6)
    distances = random.integers(0, 9, (36, 36)).astype(float)
    rule = "cuhk03"
    drawn = open_set_draws(
        *([(slice(0, 36), distances)], labels, labels, cameras, cameras, rule),
        **{"single_shot": True, "draws": 3, "seed": 7, "fpir": 0.3},
    )
    images = draw_images(labels, cameras, 3, np.random.default_rng(7))
    rng = np.random.default_rng([7, 1])
    for one, chosen in zip(drawn, images, strict=True):
        strangers = rng.permutation(6)[3:]
        columns = chosen[~np.isin(labels[chosen], strangers)]
        valid = valid_mask(rule, labels, labels[columns], cameras, cameras[columns])
        again = tpir_at_fpir(distances[:, columns], labels, labels[columns], 0.3, valid)
        assert one == again


def test_what_cannot_be_evaluated_is_refused():
    with pytest.raises(MetricError, match="do not fit"):
        tpir_at_fpir([[1.0, 2.0]], [1], [1])
    with pytest.raises(MetricError, match="NaN"):
        tpir_at_fpir([[np.nan]], [1], [1])
    with pytest.raises(ConfigError, match="share between 0 and 1"):
        tpir_at_fpir([[1.0]], [1], [1], fpir=2)
    with pytest.raises(MetricError, match="valid"):
        tpir_at_fpir([[1.0]], [1], [1], valid=np.ones((2, 1), bool))


def test_nobody_enrolled_and_nobody_strange():
    none = tpir_at_fpir(np.zeros((2, 0)), [1, 2], [])
    assert math.isnan(none.tpir)
    assert (none.fpir, none.mated, none.strangers) == (0.0, 0, 2)
    all_known = tpir_at_fpir([[1.0, 9.0], [9.0, 1.0]], [1, 2], [1, 2])
    assert all_known.tpir == 1.0
    assert math.isnan(all_known.fpir)
    assert all_known.threshold == math.inf
