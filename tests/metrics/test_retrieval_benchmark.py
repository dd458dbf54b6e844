import numpy as np
import pytest

from reid_hash import metrics
from reid_hash.codes import Codes
from reid_hash.data.labels import relevance, shared_labels
from reid_hash.distances import hamming
from reid_hash.distances import weighted as weighted_hamming
from reid_hash.errors import ConfigError, ReidHashError
from reid_hash.metrics.packed import counts, merge
from tests.metrics import textbook
from tests.metrics.textbook import assert_same

AT, RETURNED = (1, 3, 8), (2, 5, 30)


def case(queries=5, gallery=7, bits=3, classes=4, multi=False, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.5, 1.0, 1.5, 0.3], bits)  # equal weights make weighted ties
    numbers = [queries, gallery]
    pair = [Codes.from_outputs(rng.normal(size=(n, bits)), weights) for n in numbers]
    if multi:
        return (*pair, *(rng.random((n, classes)) < 0.35 for n in numbers))
    return (*pair, *(rng.integers(0, classes, n) * 5 - 3 for n in numbers))


def by_loops(query, gallery, query_labels, gallery_labels, weighted, radius):
    """Every figure as a mean over queries of means over all orders of ties."""
    plain = hamming(query, gallery)
    distances = weighted_hamming(query, gallery) if weighted else plain
    relevant = relevance(query_labels, gallery_labels)
    shared = shared_labels(query_labels, gallery_labels)
    matched = relevant.any(axis=1)

    def mean(name, values, *arguments):
        return np.nanmean(
            textbook.column(getattr(textbook, name), distances, values, None, *arguments)
        )

    balls = [
        textbook.precision_within_radius(row, hits, radius)
        for row, hits in zip(plain[matched], relevant[matched], strict=True)
    ]
    places = [
        textbook.column(textbook.position_at_recall, distances, relevant, None, 5 * level)
        for level in range(21)
    ]
    wanted = [
        textbook.column(textbook.wanted_at_recall, distances, relevant, None, 5 * level)
        for level in range(21)
    ]
    return {
        "map": mean("average_precision", relevant),
        "map_at": {k: mean("average_precision_at", relevant, k) for k in AT},
        "precision_at": {k: mean("precision_at", relevant, k) for k in AT},
        "recall_at": {k: mean("recall_at", relevant, k) for k in AT},
        "ndcg_at": {k: mean("ndcg_at", shared, k) for k in AT},
        "precision_radius": np.mean(balls),
        "empty_ball_share": np.mean([(row > radius).all() for row in plain[matched]]),
        "curve": [mean("precision_at", relevant, n) for n in RETURNED],
        "pr": np.nanmean(np.array(wanted) / np.array(places), axis=1),
        "queries": matched.sum(),
        "without": (~matched).sum(),
    }


def figures(result):
    assert result.precision_curve[0].tolist() == list(RETURNED)
    np.testing.assert_array_equal(result.pr_curve[0], metrics.RECALLS)
    return {
        **{name: getattr(result, name) for name in ("map", "map_at", "precision_at", "recall_at")},
        **{name: getattr(result, name) for name in ("ndcg_at", "precision_radius")},
        "empty_ball_share": result.empty_ball_share,
        "curve": result.precision_curve[1],
        "pr": result.pr_curve[1],
        "queries": result.queries,
        "without": result.queries_without_match,
    }


def assert_figures(got, wanted):
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, dict):
            assert got[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name
        else:
            np.testing.assert_allclose(got[name], value, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_every_figure_equals_plain_loops(seed, weighted, multi):
    arguments = case(multi=multi, seed=seed, bits=2 + seed % 3)
    radius = seed % 2
    result = metrics.retrieval(
        *arguments, weighted=weighted, at=AT, radius=radius, returned=RETURNED
    )
    assert result.radius == radius
    assert_figures(figures(result), by_loops(*arguments, weighted, radius))


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bits", [8, 64, 255, 256, 300])
def test_blocks_and_threads_change_nothing(bits, weighted, multi, monkeypatch):
    arguments = case(41, 150, bits, classes=70 if multi else 4, multi=multi)
    options = {"weighted": weighted, "at": AT, "returned": RETURNED, "radius": bits // 2 - 2}
    wanted = figures(metrics.retrieval(*arguments, **options, threads=1))
    monkeypatch.setattr(counts, "COLUMNS", 40)
    monkeypatch.setattr(counts, "_WORDS", 100)
    monkeypatch.setattr(counts, "_MANY", 9)
    for threads, block_bytes in ((2, 1), (3, 50_000)):
        got = metrics.retrieval(*arguments, **options, threads=threads, block_bytes=block_bytes)
        assert_figures(figures(got), wanted)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bits", [1, 24, 255, 300])
def test_packed_groups_equal_the_dense_path(bits, weighted, multi):
    query, gallery, labels, in_gallery = case(23, 61, bits, classes=9, multi=multi, seed=bits)
    distances = (weighted_hamming if weighted else hamming)(query, gallery)
    wanted = metrics.tie_groups(distances, relevance(labels, in_gallery))
    for threads, block_bytes in ((1, 2**26), (2, 1)):
        groups = metrics.rank_codes(
            *(query, gallery, labels, in_gallery),
            **{"weighted": weighted, "threads": threads, "block_bytes": block_bytes},
        )
        assert_same(groups, wanted)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bits", [4, 70])
def test_equal_images_are_counted_once_and_right(bits, weighted, multi, monkeypatch):
    """Few different codes with multiplicities of 1 … 40: the merged gallery equals the whole."""
    rng = np.random.default_rng(bits)
    query, gallery, labels, in_gallery = case(9, 12, bits, classes=5, multi=multi)
    of_query = rng.integers(0, 9, 30)
    of_gallery = np.repeat(np.arange(12), [1, 2, 3, 5, 8, 13, 40, 1, 1, 7, 6, 4])
    rng.shuffle(of_gallery)
    arguments = (
        *(query[of_query], gallery[of_gallery]),
        *(labels[of_query], in_gallery[of_gallery]),
    )
    options = {"weighted": weighted, "at": AT, "returned": RETURNED, "radius": bits // 2}
    got = figures(metrics.retrieval(*arguments, **options, threads=2))
    distances = (weighted_hamming if weighted else hamming)(*arguments[:2])
    groups = metrics.tie_groups(distances, relevance(*arguments[2:]))
    assert_same(metrics.rank_codes(*arguments, weighted=weighted), groups)
    monkeypatch.setattr(merge, "_WORTHWHILE", 0)
    assert_figures(figures(metrics.retrieval(*arguments, **options)), got)
    ball = metrics.ball(hamming(*arguments[:2]), relevance(*arguments[2:]), bits // 2)
    in_ball = np.nanmean(metrics.precision_within_radius(ball))
    assert got["precision_radius"] == pytest.approx(in_ball)


def test_one_hot_labels_are_single_labels():
    query, gallery, labels, in_gallery = case(20, 90, 16, classes=5)
    classes = np.unique(np.concatenate([labels, in_gallery]))
    hot = [own[:, None] == classes for own in (labels, in_gallery)]
    for weighted in (False, True):
        options = {"weighted": weighted, "at": AT, "returned": RETURNED}
        one = metrics.retrieval(query, gallery, labels, in_gallery, **options)
        several = metrics.retrieval(query, gallery, *hot, **options)
        assert_figures(figures(several), figures(one))


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("queries", "gallery"), [(0, 0), (0, 5), (5, 0), (1, 1)])
def test_empty_and_single(queries, gallery, weighted, multi):
    query, database, labels, in_gallery = case(queries, gallery, classes=1, multi=multi)
    if multi:
        labels, in_gallery = np.ones_like(labels), np.ones_like(in_gallery)
    result = metrics.retrieval(
        *(query, database, labels, in_gallery), weighted=weighted, at=[1], returned=[1], radius=3
    )
    matched = min(queries, gallery)
    assert (result.queries, result.queries_without_match) == (matched, queries - matched)
    values = [result.map, result.map_at[1], result.ndcg_at[1], result.precision_radius]
    if matched:
        assert values == [1.0] * 4
        assert result.empty_ball_share == 0
    else:
        assert np.isnan(values).all()


def test_queries_without_match_are_left_out_of_every_mean():
    query, gallery, labels, in_gallery = case(10, 40, 8)
    strangers = np.append(labels, [99, 99])
    more = Codes(np.concatenate([query.packed, gallery.packed[:2]]), 8, query.weights)
    options = {"at": AT, "returned": RETURNED}
    wanted = figures(metrics.retrieval(query, gallery, labels, in_gallery, **options))
    got = figures(metrics.retrieval(more, gallery, strangers, in_gallery, **options))
    assert_figures(got, wanted | {"without": 2})


def test_bad_input_is_told():
    query, gallery, labels, in_gallery = case()
    for options in ({"at": [0]}, {"returned": [0]}, {"radius": -1}):
        with pytest.raises(ConfigError, match="start|radius"):
            metrics.retrieval(query, gallery, labels, in_gallery, **options)
    with pytest.raises(ReidHashError, match="5 query codes"):
        metrics.retrieval(query, gallery, labels[:2], in_gallery)
    several = np.ones((5, 2), bool), np.ones((7, 2), bool)
    with pytest.raises(ReidHashError, match="both"):
        metrics.retrieval(query, gallery, labels, several[1])
    with pytest.raises(ReidHashError, match="7 gallery codes, but 3"):
        metrics.retrieval(query, gallery, several[0], several[1][:3])
    with pytest.raises(ReidHashError, match="several labels"):
        metrics.rank_codes(query, gallery, *several, np.zeros(5), np.zeros(7), "market")
    with pytest.raises(ReidHashError, match="needs the cameras"):
        metrics.rank_codes(query, gallery, labels, in_gallery, camera_rule="market")
