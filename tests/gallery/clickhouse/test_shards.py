"""Shards in separate processes, and the statements of a cluster as far as one machine can say."""

import os
import signal

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.errors import GalleryError
from reid_hash.gallery.sighting import Sighting, fields_of
from tests.gallery.clickhouse.places import address_in, require_clickhouse
from tests.gallery.galleries import make, some_codes, some_sightings

require_clickhouse()

from reid_hash.gallery.clickhouse import schema  # noqa: E402
from reid_hash.gallery.clickhouse.gallery import ClickHouseGallery  # noqa: E402
from reid_hash.gallery.clickhouse.link import text  # noqa: E402
from reid_hash.gallery.clickhouse.rows import Names, insert  # noqa: E402
from reid_hash.gallery.clickhouse.shards import Shards  # noqa: E402

N, SHARDS = 90, 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Ninety sightings in a folder, and the same divided by id among three embedded engines."""
    place = tmp_path_factory.mktemp("shards")
    codes, sightings = some_codes(N), some_sightings(N)
    make(place / "whole", N).close()
    for shard in range(SHARDS):
        mine = [i for i in range(N) if (i + 1) % SHARDS == shard]
        given = [
            Sighting(s.camera, s.time, s.source, s.track, s.frame, s.box, id=i + 1)
            for i, s in enumerate(sightings)
            if i in mine
        ]
        with ClickHouseGallery.create(address_in(place, f"s{shard}"), codes[:0]) as made:
            insert(
                *(made._link, made._batches, codes[mine].packed, codes.bits),
                *(given, [fields_of(one, 0.0) for one in given], [None] * len(mine)),
                keep_ids=True,
            )
    return place


@pytest.mark.slow
def test_shards_answer_as_the_whole_and_one_that_dies_is_an_error(folders):
    from reid_hash.gallery.sqlite.gallery import Gallery

    places = [address_in(folders, f"s{shard}") for shard in range(SHARDS)]
    query = some_codes(4, seed=7)
    values = np.random.default_rng(1).uniform(-1, 1, (2, query.bits))
    with Gallery.open(folders / "whole") as whole, Shards(places) as shards:
        for asked, more in (
            (query, {}),
            (query, {"weighted": False, "bits": 13}),
            (values, {"cameras": ["cam1"]}),
            (query, {"since": 1050.0}),
        ):
            found = shards.find(asked, 20, **more)
            wanted = whole.find(asked, 20, **more)
            assert [list(zip(ids.tolist(), far.tolist(), strict=True)) for ids, far in found] == [
                [(m.sighting.id, m.distance) for m in one.matches] for one in wanted
            ]
        with pytest.raises(GalleryError, match="shard 1 of 3, .* cannot answer: there is no ident"):
            shards.find(query, identities=["nobody"])
    with Shards(places) as shards:
        os.kill(shards._shards[1].process.pid, signal.SIGKILL)
        with pytest.raises(GalleryError, match=r"shard 2 of 3, chdb:.*s1, ended; nothing is"):
            shards.find(query)
    other = address_in(folders, "other")
    ClickHouseGallery.create(other, Codes.empty(8)).close()
    with pytest.raises(GalleryError, match="holds other codes than"):
        Shards([places[0], other])
    with pytest.raises(GalleryError, match="shard 2 of 2, .* cannot answer: .* is no gallery"):
        Shards([places[0], address_in(folders, "nowhere")])


def test_the_statements_of_a_cluster_are_sql_and_its_shards_are_by_id(tmp_path):
    """Parsed by the embedded engine; there is no cluster here to run them on."""
    made = schema.statements("people", 128, "lab")
    whole = "\n".join(made)
    for part in (
        "CREATE TABLE people.sighting_rows_local ON CLUSTER `lab`",
        "ReplicatedMergeTree('/clickhouse/{shard}/people/sighting_rows_local', '{replica}')",
        "ENGINE = Distributed(`lab`, people, sighting_rows_local, id)",
        "ENGINE = Distributed(`lab`, people, thumbnails_local, sighting)",
        "ReplicatedMergeTree('/clickhouse/people/batches', '{replica}')",
        ", replicated_deduplication_window = 1000",
        "CREATE VIEW people.visits ON CLUSTER `lab` AS",
    ):
        assert part in whole, part
    names = Names("people", "lab")
    assert names("thumbnails") == "people.thumbnails"
    assert names.local("thumbnails") == "people.thumbnails_local"
    assert names.changed("batches") == "people.batches"
    asked = []
    with ClickHouseGallery.create(address_in(tmp_path), some_codes(1)[:0]) as gallery:
        link, run = gallery._link, gallery._link.run
        for statement in made:
            assert link.value(f"SELECT formatQuery({text(statement)})")
        gallery.add(some_codes(3), [Sighting(name="Ann", thumbnail=b"x")] * 3)
        # what changes a cluster's rows: written for one, read by the parser, run for one node
        link.run = lambda query, **more: asked.append(query)
        for part in (gallery, gallery._people, gallery._batches):
            part._names = Names("reid_hash", "lab")
        gallery.people.assign([1], "Ann")
        gallery._batches.void(gallery._batches.claim(2))
        with pytest.raises(GalleryError):
            gallery.forget(cameras=[""])  # nothing ran, so the rows are still there
        link.run = run
        assert any("sighting_rows_local ON CLUSTER `lab` UPDATE identity" in one for one in asked)
        assert any("thumbnails_local ON CLUSTER `lab` DELETE" in one for one in asked)
        for statement in asked:
            assert link.value(f"SELECT formatQuery({text(statement)})")
        with pytest.raises(GalleryError, match="Syntax error"):
            link.value(f"SELECT formatQuery({text('CREATE TABLE x ON CLUSTER')})")
