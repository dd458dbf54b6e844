"""The exact search: the folder's answers, bit for bit, on random galleries; and what it reads."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reid_hash.codes import Codes
from reid_hash.distances import asymmetric, hamming, weighted
from reid_hash.errors import CodeError
from reid_hash.gallery.clickhouse import scan
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.clickhouse.places import address_in, require_clickhouse

require_clickhouse()

from reid_hash.gallery.clickhouse import schema  # noqa: E402
from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery  # noqa: E402
from reid_hash.gallery.clickhouse.link import Link  # noqa: E402
from reid_hash.gallery.clickhouse.rows import condition  # noqa: E402

_numbers = itertools.count()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A folder whose engine stays up, so that each example only makes tables."""
    place = address_in(tmp_path_factory.mktemp("engine"))
    place.folder.mkdir()
    link = Link(place)
    yield place
    link.close()


def made(place, like):
    """An empty gallery in a database of its own."""
    address = place._replace(database=f"g{next(_numbers)}")
    link = Link(address)
    schema.create(link, like, "", "")
    return ClickHouseGallery(address, link, read_only=False)


def _weights(draw, bits, random):
    kind = draw(st.sampled_from(["ones", "real", "steep", "some"]))
    if kind == "ones":
        return np.ones(bits)
    if kind == "steep":
        return 2.0 ** -np.arange(bits) + 1e-9
    weights = random.random(bits) + 1e-3
    return weights * (random.random(bits) < 0.5) + (kind == "real") * 0.1 + 1e-8


@st.composite
def worlds(draw):
    """Codes with many ties, sightings, queries, and a filter."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = draw(st.sampled_from([1, 7, 44, 64, 65, 128, 130, 200]))
    n = draw(st.integers(1, 120))
    kinds = random.random((draw(st.integers(1, 40)), bits)) < 0.5
    rows = kinds[random.integers(0, len(kinds), n)] ^ (random.random((n, bits)) < 0.02)
    weights = _weights(draw, bits, random)
    codes = Codes(np.packbits(rows, axis=1, bitorder="little"), bits, weights, "m")
    sightings = [
        Sighting(
            f"cam{random.integers(4)}",
            float(random.integers(-3, 4)) * 604_800 + float(random.random()),
            f"s{random.integers(3)}",
            name=[None, "Ann", "Bob"][random.integers(3)],
        )
        for _ in range(n)
    ]
    q = draw(st.integers(1, 6))
    near = kinds[random.integers(0, len(kinds), q)] ^ (random.random((q, bits)) < 0.1)
    query = Codes(np.packbits(near, axis=1, bitorder="little"), bits, weights, "m")
    values = np.where(near, 1, -1) * random.random((q, bits)) ** draw(st.sampled_from([0, 1, 3]))
    where = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "cameras": st.lists(st.sampled_from(["cam0", "cam1", "x"]), max_size=2),
                "exclude_cameras": st.just(["cam2"]),
                "sources": st.just(["s1", "s2"]),
                "since": st.sampled_from([-604_800.0, 0.5]),
                "until": st.sampled_from([604_800.0, 0.0]),
                "exclude_ids": st.lists(st.integers(1, 120), max_size=5),
                "exclude_identities": st.just(["Ann", "Eve"]),
            },
        )
    )
    length = draw(st.none() | st.integers(1, bits))
    return codes, sightings, query, values, where, length


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    world=worlds(),
    k=st.sampled_from([1, 3, 20, 1000]),
    few=st.sampled_from([0, 2**17]),
    cap=st.sampled_from([1, 30, 2**18]),
    tables=st.sampled_from([0, 4]),
)
def test_answers_are_the_folders_bit_for_bit(engine, tmp_path_factory, world, k, few, cap, tables):
    codes, sightings, query, values, where, length = world
    with pytest.MonkeyPatch.context() as patch:
        # small tables are looked at as large ones are
        patch.setattr(scan, "_FEW", few)
        patch.setattr(scan, "_SAMPLE", 2)
        patch.setattr(scan, "_CAP", cap)
        patch.setattr(scan, "GRANULE", 4)
        patch.setattr(scan, "_TABLES", tables)
        folder = tmp_path_factory.mktemp("folder") / "g"
        like = (codes.bits, codes.weights, codes.model)
        with Gallery.create(folder, *like) as other, made(engine, codes[:0]) as one:
            for part in (slice(0, 50), slice(50, None)):
                for gallery in (one, other):
                    gallery.add(codes[part], sightings[part])
            for asked, by_weight in itertools.product((query, values), (True, False)):
                if by_weight and not codes.prefix(length or codes.bits).weights.any():
                    continue
                ask = {"bits": length, "weighted": by_weight, **where}
                assert one.find(asked, k, **ask) == other.find(asked, k, **ask)


def _codes(n, bits, seed):
    random = np.random.default_rng(seed)
    weights = np.random.default_rng(1).random(bits) + 1e-3
    return Codes.from_outputs(random.normal(size=(n, bits)), weights)


@pytest.mark.parametrize("bits", [1, 44, 64, 130])
def test_whole_numbers_are_the_distances(bits):
    codes, query = _codes(300, bits, 0), _codes(7, bits, 2)
    values = np.random.default_rng(3).uniform(-1.5, 1.5, (7, bits))
    for asked, by_weight, wanted in (
        (query, True, weighted(query, codes)),
        (query, False, hamming(query, codes).astype(float)),
        (values, True, asymmetric(values, codes)),
        (values, False, asymmetric(values, codes.unweighted())),
    ):
        queries = scan.make_queries(asked, codes[:0], by_weight)
        found = scan.distances(queries, codes.packed) * queries.quantum
        assert found.tolist() == wanted.tolist()
        few = np.stack([scan.distances(queries.rows(i, i + 1), codes.packed)[0] for i in range(7)])
        assert (few * queries.quantum).tolist() == wanted.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_no_code_is_nearer_than_its_lower_bound(seed):
    random = np.random.default_rng(seed)
    codes = _codes(400, 100, seed)
    queries = scan.make_queries(np.tanh(random.normal(size=(4, 100))), codes[:0], True)
    exact = scan.distances(queries, codes.packed)
    for i in range(4):
        planes = scan._Planes.of(queries.costs[i])
        assert planes.digits.max() < 2**scan._MOST_PLANES
        differ = codes.unpack() ^ queries.likely[i]
        lower = planes.step * (differ @ planes.digits) + queries.base[i]
        assert (lower <= exact[i]).all()
        assert (exact[i] - lower <= 0.2 * exact[i].max()).mean() > 0.5  # and it says something


def test_weights_of_zero_tell_nothing(engine):
    weights = np.zeros(16)
    weights[8:] = 1
    codes = Codes(np.zeros((3, 2), np.uint8), 16, weights)
    with made(engine, codes[:0]) as gallery:
        gallery.add(codes, [Sighting()] * 3)
        with pytest.raises(CodeError, match="are all 0"):
            gallery.find(codes[0], bits=8)
        assert len(gallery.find(codes[0], bits=8, weighted=False)[0].matches) == 3


def test_merging_parts_is_the_search_of_all():
    random = np.random.default_rng(0)
    far, ids = random.integers(0, 9, 200).astype(float), random.permutation(1000)[:200]
    whole = np.lexsort((ids, far))[:17]
    parts = [(ids[i::3], far[i::3]) for i in range(3)]
    best = []
    for some, theirs in parts:
        order = np.lexsort((some, theirs))[:17]
        best.append((some[order], theirs[order]))
    found = scan.merge(best, 17)
    assert found[0].tolist() == ids[whole].tolist()
    assert found[1].tolist() == far[whole].tolist()
    assert len(scan.merge([], 3)[0]) == 0


def test_a_camera_an_hour_and_a_prefix_read_their_part_alone(engine):
    """By what the engine estimates that it reads, and the columns that it names."""
    n = 600_000
    codes = Codes(np.random.default_rng(0).integers(0, 256, (2, 24), np.uint8), 192)
    with made(engine, codes[:0]) as gallery:
        table = gallery._names("sighting_rows")
        gallery._link.run(  # two weeks of sixteen cameras
            f"INSERT INTO {table} (id, c0, c1, c2, camera, time) SELECT number + 1, rand64(1), "
            f"rand64(2), rand64(3), 'cam' || toString(number % 16), 1.7e9 + 2 * number "
            f"FROM numbers({n})"
        )
        gallery._link.run(f"OPTIMIZE TABLE {table} FINAL")

        def estimate(**where):
            terms = condition(where, gallery.people.find)
            asked = f"EXPLAIN ESTIMATE SELECT sum(c0) FROM {table} WHERE {terms}"
            return sum(int(row[3]) for row in gallery._link.said(asked))

        assert estimate() == n
        assert estimate(cameras=["cam3"]) <= n / 16 + 6 * 2048  # in two or three partitions
        hour = {"since": 1.7e9 + 360_000, "until": 1.7e9 + 363_600}
        assert estimate(**hour) <= 2 * 16 * 2048  # a granule or two of each camera
        assert estimate(cameras=["cam3"], **hour) <= 2 * 2048
        assert estimate(since=1.7e9 + 2 * n) == 0
        asked = []
        packed = gallery._link.packed
        gallery._link.packed = lambda query, **more: asked.append(query) or packed(query, **more)
        gallery.find(codes[:2], 3, bits=70)
        assert asked
        assert all("c1" in query and "c2" not in query for query in asked)
        gallery.find(codes[0], 3, bits=64)
        assert "c1" not in asked[-1]


def test_many_queries_share_a_read(engine):
    codes = _codes(3000, 64, 5)
    with made(engine, codes[:0]) as gallery:
        gallery.add(codes, [Sighting()] * 3000)
        asked = []
        packed = gallery._link.packed
        gallery._link.packed = lambda query, **more: asked.append(query) or packed(query, **more)
        found = gallery.find(codes[:50], 4)
        assert len(asked) == 1
        assert [one.matches[0].sighting.id for one in found] == list(range(1, 51))
