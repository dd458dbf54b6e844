"""Exported galleries that somebody made to do harm."""

import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from reid_hash.errors import CodeError, GalleryError, ReidHashError
from reid_hash.gallery.export import io
from reid_hash.gallery.export.io import insert_file, read_file, write_file
from reid_hash.gallery.export.npz import MOST_ROWS
from reid_hash.gallery.sqlite.gallery import Gallery
from tests.gallery.galleries import contents, make

KINDS = ["npz", "parquet"]


@pytest.fixture(params=KINDS)
def exported(request, tmp_path):
    """A file, and a function that writes it anew with other contents and right checksums."""
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"x.{request.param}"
    with make(tmp_path / "g", thumbnail=b"picture") as gallery:
        gallery.people.assign([1, 2, 3], "Ann")
        gallery.export(path)

    def forge(header=None, part=None):
        whole = read_file(path)
        (rows,) = list(whole.parts)
        if part is not None:
            part(rows)
        write_file(path, whole._replace(parts=iter([rows])))
        if header is not None:
            changed = {**whole.header, **header}
            text = json.dumps({**changed, "crc32": io._sum(changed)}).encode()
            if path.suffix == ".npz":
                rewrite(path, lambda arrays: arrays.update(header=np.frombuffer(text, np.uint8)))
            else:
                parquet(path, lambda table, _: table.replace_schema_metadata({b"reid_hash": text}))

    return path, forge


def refused(path, folder, message):
    with pytest.raises((GalleryError, CodeError), match=message) as failure:
        Gallery.load(folder / "h", path)
    assert "\n" not in str(failure.value)
    assert not list((folder / "h").glob("gallery*"))
    with make(folder / "other", 5) as gallery:
        before = contents(gallery)
        with pytest.raises((GalleryError, CodeError)):
            gallery.import_file(path)
        assert contents(gallery) == before


def ids(*numbers):
    return lambda part: part["id"].__setitem__(slice(0, len(numbers)), numbers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (ids(0), "sighting 0 follows 0"),
        (ids(-1), "sighting -1 follows 0"),
        (ids(1, 1), "sighting 1 follows 1"),
        (ids(7, 6), "sighting 6 follows 7"),
        (lambda part: part["id"].reverse(), "sighting 59 follows 60"),
        (lambda part: part["id"].__setitem__(-1, 2**63 - 1), "sighting 9223372036854775807"),
        (lambda part: part["identity"].__setitem__(0, 77), "does not list"),
        (lambda part: part["time"].__setitem__(0, 1e300), "no time between"),
        (lambda part: part["time"].__setitem__(0, float("inf")), "no time between"),
        (lambda part: part["x"].__setitem__(0, None), "four finite numbers"),
        (lambda part: part["w"].__setitem__(0, float("inf")), "four finite numbers"),
        (lambda part: part["code"].__setitem__(0, b"\xff" * 6), "padding"),
    ],
)
def test_rows_that_no_gallery_has(exported, tmp_path, change, message):
    path, forge = exported
    forge(part=change)
    refused(path, tmp_path, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": "44"}, "no number of bits"),
        ({"bits": 2**70}, "no number of bits"),
        ({"bits": 43}, "weights or model"),
        ({"weights": [1.0] * 43}, "weights or model"),
        ({"weights": "1" * 44}, "weights or model"),
        ({"weights": [float("nan")] * 44}, "finite"),
        ({"weights": [-1.0] * 44}, "not negative"),
        ({"weights": [0.0] * 44}, "not all be zero"),
        ({"weights": ["a"] * 44}, "damaged"),
        ({"weights": [[1.0]] * 44}, "damaged"),
        ({"model": 5}, "weights or model"),
        ({"identities": [[1, 5]]}, "the name of an identity is text"),
        ({"identities": [[0, "Ann"]]}, "from 1 on"),
        ({"identities": [["1", "Ann"]]}, "no number of bits or rows"),
        ({"identities": [[1, "Ann"], [1, "Bob"]]}, "from 1 on"),
        ({"identities": [[1, "Ann"], [2, "Ann"]]}, "the same name"),
        ({"identities": [[2**63, "Ann"]]}, "no number of bits or rows"),
        ({"identities": 7}, "damaged"),
        ({"identities": []}, "does not list"),
        ({"calibration": "{}"}, "the calibration is damaged"),
        ({"calibration": 3}, "the calibration is damaged"),
        ({"sightings": 61}, "60 sightings in place of 61"),
        ({"sightings": None}, "no number of bits or rows"),
    ],
)
def test_headers_that_no_gallery_has(exported, tmp_path, change, message):
    path, forge = exported
    forge(header=change)
    refused(path, tmp_path, message)


def test_a_header_that_is_no_object(tmp_path):
    for text in ("7", "[]", "null", '"x"', "[" * 100_000):
        np.savez(tmp_path / "x.npz", header=np.frombuffer(text.encode(), np.uint8))
        with pytest.raises(GalleryError) as failure:
            read_file(tmp_path / "x.npz")
        assert "\n" not in str(failure.value)


def rewrite(path, change, kind=zipfile.ZIP_STORED):
    """The arrays of an .npz file, changed."""
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(array))


P = "part00000_"


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.update({P + "camera_length": np.full(60, 2**62)}),
        lambda a: a.update({P + "camera_length": np.full(60, -1)}),
        lambda a: a.update({P + "camera_length": a[P + "camera_length"] + 1}),
        lambda a: a.update({P + "camera": np.full(len(a[P + "camera"]), 255, np.uint8)}),
        lambda a: a.update({P + "time": a[P + "time"][:-1]}),
        lambda a: a.update({P + "code": a[P + "code"][:, :-1]}),
        lambda a: a.update({P + "code": np.zeros((60, 7), np.uint8)}),
        lambda a: a.update({P + "code": a[P + "code"].astype(np.uint16)}),
        lambda a: a.update({P + "track_known": a[P + "track"]}),
        lambda a: a.update({P + "id": a[P + "id"].astype(np.float64)}),
        lambda a: a.update({P + "id": a[P + "id"][:, None]}),
        lambda a: a.update({P + "thumbnail_length": a[P + "thumbnail_length"] * 0}),
        lambda a: a.pop(P + "x"),
    ],
)
def test_arrays_that_do_not_fit_together(tmp_path, change):
    make(tmp_path / "g", thumbnail=b"picture").export(tmp_path / "x.npz")
    rewrite(tmp_path / "x.npz", change)
    refused(tmp_path / "x.npz", tmp_path, "damaged|uint8 of shape")


def test_a_bomb_in_an_npz_takes_no_memory(tmp_path):
    make(tmp_path / "g", 5).export(tmp_path / "x.npz")
    size = 2**28
    change = {P + "thumbnail": np.zeros(size, np.uint8)}
    rewrite(tmp_path / "x.npz", lambda a: a.update(change), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "x.npz").stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(GalleryError, match="larger than the file"):
        Gallery.load(tmp_path / "h", tmp_path / "x.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_parts_of_too_many_rows_are_refused(exported, tmp_path, monkeypatch):
    for module in ("npz", "parquet"):
        monkeypatch.setattr(f"reid_hash.gallery.export.{module}.MOST_ROWS", 59)
    refused(exported[0], tmp_path, "60 rows")
    assert io._PART <= MOST_ROWS


def parquet(path, change, **how):
    """Write the table of an exported gallery anew."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = change(parquet.read_table(path), arrow)
    parquet.write_table(table, path, **how)


@pytest.mark.parametrize("codec", ["zstd", "gzip", "brotli"])
def test_parquet_in_other_compression_is_refused(tmp_path, codec):
    pytest.importorskip("pyarrow")
    make(tmp_path / "g", 5).export(tmp_path / "x.parquet")
    parquet(tmp_path / "x.parquet", lambda table, _: table, compression=codec)
    refused(tmp_path / "x.parquet", tmp_path, "compressed by")


def test_parquet_of_other_columns_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    make(tmp_path / "g", 5).export(tmp_path / "x.parquet")
    whole = (tmp_path / "x.parquet").read_bytes()
    for change in (
        lambda table, arrow: table.append_column("more", [["x"] * 5]),
        lambda table, arrow: table.drop_columns(["time"]),
        lambda table, arrow: table.set_column(
            table.schema.get_field_index("track"), "track", [["x"] * 5]
        ),
    ):
        (tmp_path / "x.parquet").write_bytes(whole)
        parquet(tmp_path / "x.parquet", change)
        with pytest.raises(GalleryError, match="its columns are not those"):
            Gallery.load(tmp_path / "h", tmp_path / "x.parquet")


def test_a_bomb_in_parquet_takes_no_memory(tmp_path):
    """One thumbnail that every row repeats: once in the file, and in memory for each row."""
    arrow = pytest.importorskip("pyarrow")
    with make(tmp_path / "g", 5000, thumbnail=b"x") as gallery:
        gallery.export(tmp_path / "x.parquet")
    picture = bytes(2**19)
    repeated = arrow.DictionaryArray.from_arrays(
        arrow.array(np.zeros(5000, np.int32)), arrow.array([picture])
    )
    pages = pytest.importorskip("pyarrow.parquet")
    table = pages.read_table(tmp_path / "x.parquet")
    header = table.schema.metadata
    place = table.schema.get_field_index("thumbnail")
    table = table.set_column(place, "thumbnail", repeated)
    with pages.ParquetWriter(tmp_path / "x.parquet", table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(header)
    assert (tmp_path / "x.parquet").stat().st_size < 2**21
    before = arrow.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(ReidHashError, match="a part of it is 2,"):
        Gallery.load(tmp_path / "h", tmp_path / "x.parquet")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
    assert arrow.total_allocated_bytes() - before < 2**26


def test_rows_may_be_inserted_once_in_order(tmp_path):
    """Parts in the wrong order are as damaged as rows are."""
    with make(tmp_path / "g") as gallery:
        gallery.export(tmp_path / "x.npz")
        whole = read_file(tmp_path / "x.npz")
        (rows,) = list(whole.parts)
        twice = whole._replace(parts=iter([rows, rows]))
        with (
            pytest.raises(GalleryError, match="sighting 1 follows 60"),
            gallery._database.writing() as db,
        ):
            insert_file(db, twice)
        assert len(gallery) == 60
        assert json.loads(json.dumps(whole.header)) == whole.header
