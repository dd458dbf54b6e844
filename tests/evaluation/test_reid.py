import dataclasses

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.data.dataset import Dataset, ImageSet
from reid_hash.data.hold_out import hold_out
from reid_hash.data.images import Pixels
from reid_hash.distances import asymmetric, hamming, weighted
from reid_hash.errors import ConfigError, DataError
from reid_hash.evaluation.encoded import Encoded, check_lengths, check_matches
from reid_hash.evaluation.reid import evaluate
from reid_hash.metrics import rerank, single_shot, summarise, tie_groups, valid_mask


def example(single_shot_protocol=False, seed=0, n=60, bits=24):
    """Random codes in which images of one identity share most bits."""
    random = np.random.default_rng(seed)
    labels, cameras = np.repeat(np.arange(n // 6), 6), np.tile([1, 1, 1, 2, 2, 2], n // 6)
    bits_of = random.random((n // 6, bits)) < 0.5
    flipped = bits_of[labels] ^ (random.random((n, bits)) < 0.25)
    codes = Codes.from_outputs(flipped, random.random(bits) + 0.5, "net")
    pixels = Pixels(np.zeros((n, 1, 1, 3), np.uint8), labels, cameras, [str(i) for i in range(n)])
    embedding = flipped.astype(np.float32) - 0.5
    encoded = Encoded(codes, codes, pixels, pixels, embedding, embedding)
    images = ImageSet(lambda i: pixels.images[i], pixels.names, labels, cameras)
    rule = "cuhk03" if single_shot_protocol else "market"
    return encoded, Dataset("x", images, images, images, "p", rule, single_shot_protocol)


def test_rows_are_the_metrics_of_each_prefix_and_weighting():
    encoded, dataset = example()
    labels, cameras = encoded.query_pixels.labels, encoded.query_pixels.cameras
    valid = valid_mask("market", labels, labels, cameras, cameras)
    rows = list(evaluate(encoded, dataset, [5, 24]))
    assert [(r.figures["bits"], r.figures["weighted"]) for r in rows] == [
        (5, True),
        (5, False),
        (24, True),
        (24, False),
    ]
    for row in rows:
        codes = encoded.query.prefix(row.figures["bits"])
        distance = weighted if row.figures["weighted"] else hamming
        groups = tie_groups(distance(codes, codes), labels[:, None] == labels, valid)
        expected = summarise(groups)
        for name in ("rank1", "rank30", "map", "map_trapezoid", "minp"):
            assert row.figures[name] == pytest.approx(expected[name])
        assert row.curve[0] == row.figures["rank1"]
        assert row.curve_std is None


def test_single_shot_rows_have_mean_and_deviation_over_draws():
    encoded, dataset = example(single_shot_protocol=True)
    labels, cameras = encoded.query_pixels.labels, encoded.query_pixels.cameras
    (row,) = evaluate(encoded, dataset, [24], weightings=[False], draws=7, seed=3)
    distances = hamming(encoded.query, encoded.query)
    drawn = single_shot(distances, labels, labels, cameras, cameras, draws=7, seed=3)
    assert row.figures["rank1"] == pytest.approx(drawn["rank1"].mean())
    assert row.figures["rank1_std"] == pytest.approx(drawn["rank1"].std())
    assert row.curve_std is not None
    again = next(evaluate(encoded, dataset, [24], weightings=[False], draws=7, seed=3))
    assert again.figures == row.figures


def test_reranking_ranks_by_the_reranked_distances():
    encoded, dataset = example()
    labels, cameras = encoded.query_pixels.labels, encoded.query_pixels.cameras
    (row,) = evaluate(encoded, dataset, [24], weightings=[True], rerank=True)
    distances = weighted(encoded.query, encoded.query)
    groups = tie_groups(
        rerank(distances, distances, distances),
        labels[:, None] == labels,
        valid_mask("market", labels, labels, cameras, cameras),
    )
    assert row.figures["map"] == pytest.approx(summarise(groups)["map"])
    plain = next(evaluate(encoded, dataset, [24], weightings=[True]))
    assert row.figures["map"] != plain.figures["map"]


def test_the_float_embedding_is_a_row_of_its_own():
    encoded, dataset = example()
    rows = list(evaluate(encoded, dataset, [24], weightings=[False], embedding=True))
    assert rows[1].figures["method"] == "float embedding"
    assert rows[1].figures["bits"] == 24 * 32
    # ±0.5 vectors of one length: cosine ranks like Hamming
    assert rows[1].figures["map"] == pytest.approx(rows[0].figures["map"], abs=0.02)


@pytest.mark.parametrize("length", [0, 25])
def test_lengths_out_of_range(length):
    with pytest.raises(ConfigError, match="choose 1 to 24"):
        check_lengths([8, length], 24)


def test_held_out_identities_are_tested_and_not_trained():
    _, dataset = example()
    held = hold_out(dataset, 3, seed=1)
    trained, tested = set(held.train.labels), set(held.query.labels)
    assert len(tested) == 3
    assert not trained & tested
    assert trained | tested == set(dataset.train.labels)
    assert held.gallery is held.query
    assert "3 of 10 training identities held out" in held.notes[-1]
    with pytest.raises(ConfigError, match="leaves too few"):
        hold_out(dataset, 9)


def test_the_last_identities_are_held_out():
    _, dataset = example()
    held = hold_out(dataset, 3, which="last")
    assert set(held.query.labels) == set(sorted(set(dataset.train.labels))[-3:])
    assert not set(held.query.labels) & set(held.train.labels)
    assert "the last ones" in held.notes[-1]
    with pytest.raises(ConfigError, match="leaves too few"):
        hold_out(dataset, 9, which="last")


def test_asymmetric_rows_rank_real_queries_against_codes():
    encoded, dataset = example(single_shot_protocol=True)
    labels, cameras = encoded.query_pixels.labels, encoded.query_pixels.cameras
    random = np.random.default_rng(5)
    size = random.uniform(0.1, 1, encoded.query.unpack().shape)
    values = (np.where(encoded.query.unpack(), 1, -1) * size).astype(np.float32)
    given = dataclasses.replace(encoded, query_values=values)
    rows = list(evaluate(given, dataset, [8, 24], weightings=[False], asymmetric=True, draws=5))
    assert [bool(r.figures.get("asymmetric")) for r in rows] == [False, True, False, True]
    distances = asymmetric(values[:, :8], encoded.gallery.prefix(8))
    drawn = single_shot(distances, labels, labels, cameras, cameras, draws=5, seed=0)
    assert rows[1].figures["rank1"] == pytest.approx(drawn["rank1"].mean())
    signs = dataclasses.replace(encoded, query_values=np.sign(values))
    both = list(evaluate(signs, dataset, [24], weightings=[True], asymmetric=True, draws=5))
    assert both[0].figures["rank1"] == both[1].figures["rank1"]


def market(query, gallery, rule="market"):
    """A data set of (identity, camera) pairs."""
    parts = [
        ImageSet(lambda i: None, [str(i) for i in range(len(pairs))], *np.array(pairs).T)
        for pairs in (query, gallery)
    ]
    return Dataset("x", parts[1], *parts, "p", rule)


def test_what_cannot_have_a_match_is_refused_with_what_to_do():
    one_camera = [(1, 1), (2, 1)], [(1, 1), (2, 1)]
    for rule in ("market", "cuhk03"):
        with pytest.raises(DataError, match="another camera; .*--camera-rule none"):
            check_matches(market(*one_camera, rule))
    check_matches(market(*one_camera, "none"))
    with pytest.raises(DataError, match="gallery image of its identity; check"):
        check_matches(market([(1, 1)], [(2, 2)], "none"))
    with pytest.raises(DataError, match="no query or no gallery"):
        check_matches(dataclasses.replace(market([(1, 1)], [(1, 2)]), query=few(0)))
    check_matches(market([(1, 1), (2, 1)], [(1, 2)]))
    with pytest.raises(DataError, match="--open-set"):
        check_matches(market([(1, 1), (2, 1)], [(1, 2)]), open_set=True)
    held_out = market(*one_camera, "none")
    with pytest.raises(ConfigError, match="find itself"):
        check_matches(dataclasses.replace(held_out, query=held_out.gallery))


def few(n):
    return ImageSet(lambda i: None, [""] * n, np.zeros(n, np.int64), np.zeros(n, np.int64))
