"""The tables of a gallery in ClickHouse, its views for others, and its values as a whole.

A database is looked at before it is used: in the folder of an embedded engine the statements that
the engine would run when it starts, on a server its tables and columns. A table in a database that
somebody sent could read a file or an address in place of rows.
"""

import json
import os
import re
import stat
import time
from pathlib import Path
from typing import Any, NamedTuple

from reid_hash.codes import Codes
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.clickhouse.address import ClickHouseAddress
from reid_hash.gallery.clickhouse.link import Columns, Link, number, text
from reid_hash.utils.files import json_text

FORMAT = 1
"""Version of the tables below."""

MOST_BITS = 16_384  # 256 columns; a table of many more is slow to open
WEEK = 604_800
"""Seconds of a partition."""
STAY = 300
"""Seconds without a sighting that end a visit."""

# A sighting is on the disk when an insert returns. Parts that a mutation has replaced are gone
# from the disk within a second or two, for what is forgotten is still in them.
_KEPT = (
    "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, "
    "old_parts_lifetime = 0, merge_tree_clear_old_parts_interval_seconds = 1, "
    "cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 1"
)
_ONCE = "replicated_deduplication_window = 1000"  # inserts whose repetition adds nothing

SHARDED = ("sighting_rows", "thumbnails")
"""Tables that a cluster divides by id of the sighting; each node has the others whole."""

_KINDS = {
    "camera": "LowCardinality(String)",
    "time": "Float64",
    "source": "String",
    "track": "Nullable(Int64)",
    "frame": "Nullable(Int64)",
    **dict.fromkeys("xywh", "Nullable(Float64)"),
    "identity": "Nullable(Int64)",
}
_CODECS = {"time": "Delta, LZ4", "source": "ZSTD(1)", "track": "Delta, LZ4", "frame": "Delta, LZ4"}


def words(bits: int) -> int:
    """Number of columns that hold codes of a length, or a prefix of it."""
    return -(-bits // 64)


def columns_of(bits: int) -> dict[str, dict[str, str]]:
    """Table → column → type."""
    codes = {f"c{j}": "UInt64" for j in range(words(bits))}
    return {
        "sighting_rows": {"id": "Int64", **codes, **_KINDS},
        "thumbnails": {"sighting": "Int64", "time": "Float64", "jpeg": "String"},
        "identities": {
            **{"id": "Int64", "name": "Nullable(String)"},
            **{"token": "String", "made": "Float64"},  # nosec B105  # a column's type
        },
        "batches": {
            **{"first": "Int64", "last": "Int64", "token": "String"},  # nosec B105  # likewise
            **{"state": "UInt8", "made": "Float64"},
        },
        "meta": {"key": "String", "value": "String", "version": "UInt64"},
    }


_ORDER = {
    "sighting_rows": f"PARTITION BY toInt32(floor(time / {WEEK})) ORDER BY (camera, time, id)",
    "thumbnails": f"PARTITION BY toInt32(floor(time / {WEEK})) ORDER BY sighting",
    "identities": "ORDER BY id",
    "batches": "ORDER BY (first, token)",
    "meta": "ORDER BY (key, version)",
}
_SETTINGS = {
    # small granules and blocks: a few rows by id, or an hour, read little around them
    "sighting_rows": f"index_granularity = 2048, min_compress_block_size = 16384, {_ONCE}, {_KEPT}",
    "thumbnails": f"index_granularity = 256, {_ONCE}, {_KEPT}",
    **dict.fromkeys(("identities", "batches", "meta"), _KEPT),
}


def statements(database: str, bits: int, cluster: str = "") -> list[str]:
    """What makes the tables of a gallery, as SQL: of one node, or of a cluster.

    Args:
        database: its name.
        bits: length of the codes.
        cluster: name of the cluster in the server's configuration; empty for one node. There each
            shard has its part of the sightings, by id, in tables named `…_local`, replicated under
            the macros {shard} and {replica}; the other tables are whole on every node.
    """
    on = f" ON CLUSTER `{cluster}`" if cluster else ""
    made = []
    for table, kinds in columns_of(bits).items():
        sharded = bool(cluster) and table in SHARDED
        name = f"{table}_local" if sharded else table
        engine = "MergeTree"
        if cluster:
            shard = "{shard}/" if sharded else ""
            engine = f"ReplicatedMergeTree('/clickhouse/{shard}{database}/{name}', '{{replica}}')"
        lines = [f"`{column}` {kind}{_codec(table, column)}" for column, kind in kinds.items()]
        if table == "sighting_rows":
            lines.append("PROJECTION by_id (SELECT _part_offset ORDER BY id)")
        settings = _SETTINGS[table]
        if not cluster:
            settings = settings.replace(_ONCE, f"non_{_ONCE}")
        made.append(
            f"CREATE TABLE {database}.{name}{on} ({', '.join(lines)}) ENGINE = {engine} "
            f"{_ORDER[table]} SETTINGS {settings}"
        )
        if sharded:
            key = "id" if table == "sighting_rows" else "sighting"
            made.append(
                f"CREATE TABLE {database}.{table}{on} AS {database}.{name} "
                f"ENGINE = Distributed(`{cluster}`, {database}, {name}, {key})"
            )
    return made + [
        f"CREATE VIEW {database}.{name}{on} AS {view}" for name, view in views(database).items()
    ]


def _codec(table: str, column: str) -> str:
    if table == "thumbnails" and column == "jpeg":
        return " CODEC(NONE)"  # packed already
    if table != "sighting_rows":
        return ""
    if re.fullmatch(r"c\d+", column):
        return " CODEC(NONE)"  # as random as bits can be
    codec = "Delta, LZ4" if column == "id" else _CODECS.get(column)
    return f" CODEC({codec})" if codec else ""


def views(database: str) -> dict[str, str]:
    """Views for dashboards and people, name → query; docs/scale.md says what their columns are."""
    moment = "fromUnixTimestamp64Micro(toInt64(round(greatest({}, -2e9) * 1e6)), 'UTC')"
    under_way = (
        f"SELECT groupArray((f, l)) FROM (SELECT min(first) AS f, max(last) AS l "
        f"FROM {database}.batches GROUP BY token HAVING max(state) = 1)"
    )
    return {
        "sightings": (
            f"SELECT s.id AS id, s.camera AS camera, s.time AS time, "
            f"{moment.format('s.time')} AS seen_at, s.source AS source, s.track AS track, "
            "s.frame AS frame, s.x AS x, s.y AS y, s.w AS w, s.h AS h, s.identity AS identity, "
            f"i.name AS name FROM {database}.sighting_rows AS s "
            f"LEFT JOIN {database}.identities AS i ON s.identity = i.id "
            f"WHERE NOT arrayExists(r -> s.id BETWEEN r.1 AND r.2, ({under_way}))"
        ),
        "people": (
            "SELECT assumeNotNull(identity) AS identity, any(name) AS name, count() AS sightings, "
            "uniqExact(camera) AS cameras, min(seen_at) AS first_seen, max(seen_at) AS last_seen "
            f"FROM {database}.sightings WHERE identity IS NOT NULL GROUP BY identity"
        ),
        "visits": (
            "SELECT assumeNotNull(identity) AS identity, any(name) AS name, camera, "
            "min(seen_at) AS came, max(seen_at) AS gone, max(time) - min(time) AS seconds, "
            "count() AS sightings FROM (SELECT *, sum(begins) OVER (PARTITION BY identity, camera "
            "ORDER BY time, id) AS visit FROM (SELECT *, time - lagInFrame(time, 1, -1e18) OVER "
            "(PARTITION BY identity, camera ORDER BY time, id ROWS BETWEEN UNBOUNDED PRECEDING AND "
            f"CURRENT ROW) > {STAY} AS begins FROM {database}.sightings "
            "WHERE identity IS NOT NULL)) GROUP BY identity, camera, visit"
        ),
    }


# ---- what a folder holds before the engine starts

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'")
_UUID = re.compile(r"'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'")
_TOP = {"data", "metadata", "metadata_dropped", "status", "store", "tmp", "uuid", "flags"}
# what the engine writes into statements of its own accord, and the words of a retention time
_ADDED = {"ATTACH", "DATABASE", "UUID", "Atomic", "_", "ASC", "DateTime64"}
_ADDED |= {"TTL", "toDateTime", "least", "greatest", "toIntervalSecond"}
_ADDED_TEXTS = {"'UTC'"}


def check_folder(address: ClickHouseAddress) -> None:
    """Raise GalleryError unless an embedded engine's folder holds a gallery and nothing else.

    The engine attaches all tables when it starts, and some kinds of table connect to other
    machines then: every statement in the folder may hold the words of a gallery's own alone.

    Args:
        address: with a folder that is there.
    """
    folder = address.folder
    assert folder is not None
    real = Path(os.path.realpath(folder))

    def refuse(what: str) -> GalleryError:
        return GalleryError(f"gallery {address}: {what}; it is damaged, or no gallery")

    for entry in sorted(real.iterdir()):
        if entry.name not in _TOP:
            raise refuse(f"it holds {entry.name!r}, which no gallery does")
    for root, folders, files in os.walk(real):
        for name in folders + files:
            path = os.path.join(root, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                if not os.path.realpath(path).startswith(f"{real}{os.sep}"):
                    raise refuse(f"{name!r} is a link out of the folder")
            elif not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                raise refuse(f"{name!r} is neither file nor folder")
    database = address.database
    if not (real / "metadata" / f"{database}.sql").is_file():
        raise GalleryError(f"{address} is no gallery: its folder holds no database of one")
    allowed = set(_ADDED) | {database}
    quoted = set(_ADDED_TEXTS)
    for statement in statements(database, MOST_BITS):
        bare = _TEXT.sub(" ", statement)
        allowed |= set(_WORD.findall(bare))
        quoted |= set(_TEXT.findall(statement))
    found = [
        os.path.join(root, name)
        for place in ("metadata", "metadata_dropped", "store")
        for root, _, files in os.walk(real / place)
        for name in files
        if name.endswith(".sql")
    ]
    for path in found:
        if os.path.getsize(path) > 2**20:
            raise refuse(f"{os.path.basename(path)!r} is no statement of a gallery")
        with open(path, encoding="utf-8", errors="replace") as file:
            statement = file.read()
        texts = {one for one in _TEXT.findall(statement) if not _UUID.fullmatch(one)}
        odd = sorted((set(_WORD.findall(_TEXT.sub(" ", statement))) - allowed) | (texts - quoted))
        if odd:
            raise refuse(f"a statement in {os.path.basename(path)!r} holds {odd[0][:40]!r}")


def has_database(link: Link) -> bool:
    """Whether the database of a gallery is there."""
    name = text(link.address.database)
    return bool(link.value(f"SELECT count() FROM system.databases WHERE name = {name}"))


def check_tables(link: Link, bits: int | None = None) -> None:
    """Raise GalleryError unless the database has a gallery's tables.

    Args:
        link: to it.
        bits: length of its codes; without it the table of values alone is looked at.
    """
    database = text(link.address.database)
    found = dict(link.rows(f"SELECT name, engine FROM system.tables WHERE database = {database}"))
    if "meta" not in found:
        raise GalleryError(f"{link.address} is no gallery: there is no table with its values")
    wanted = {"meta": {}} if bits is None else columns_of(bits)
    usual = re.compile(r"(Replicated|Shared)?MergeTree|Distributed")
    for table in wanted:
        if not usual.fullmatch(str(found.get(table))):
            kind = f"is a {found[table]}" if table in found else "is not there"
            raise GalleryError(f"gallery {link.address}: table {table} {kind}; it is damaged")
    rows = link.rows(
        "SELECT table, name, type, default_kind FROM system.columns "
        f"WHERE database = {database} ORDER BY table, position"
    )
    for table, kinds in columns_of(bits or 1).items():
        if table in wanted:
            there = {name: kind for of, name, kind, _ in rows if of == table}
            derived = [name for of, name, _, default in rows if of == table and default]
            if there != kinds or derived:
                raise GalleryError(
                    f"gallery {link.address}: table {table} has other columns than a gallery's; "
                    "it is damaged, or of another version"
                )


# ---- values of the gallery as a whole


class Facts(NamedTuple):
    """What a gallery says of itself.

    Attributes:
        template: no code, but with the gallery's length, weights and model.
        model_file: where the model's checkpoint was, or empty.
        cluster: name of the cluster that it is spread over, or empty.
    """

    template: Codes
    model_file: str
    cluster: str


def create(link: Link, like: Codes, model_file: str, cluster: str) -> None:
    """Make the tables of an empty gallery.

    Raises:
        GalleryError: there are tables already, or the codes are too long.
    """
    database = link.address.database
    if like.bits > MOST_BITS:
        raise GalleryError(
            f"a gallery in ClickHouse holds codes of up to {MOST_BITS:,} bits, not {like.bits:,}"
        )
    if cluster and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", cluster):
        raise GalleryError(f"{cluster!r} is no name of a cluster")
    on = f" ON CLUSTER `{cluster}`" if cluster else ""
    link.run(f"CREATE DATABASE IF NOT EXISTS {database}{on}")
    there = link.value(f"SELECT count() FROM system.tables WHERE database = {text(database)}")
    if there:
        raise GalleryError(f"there is a gallery at {link.address} already, or other tables")
    for statement in statements(database, like.bits, cluster):
        link.run(statement)
    header = {
        "format": FORMAT,
        "bits": like.bits,
        "weights": like.weights.tolist(),
        "model": like.model,
        "model_file": model_file,
        "cluster": cluster,
    }
    put_meta(link, "header", json_text(header))  # last: what has no header is no gallery


def read_facts(link: Link) -> Facts:
    """Read what a gallery says of itself.

    Raises:
        GalleryError: it is no gallery, of another version, or a value is none that a gallery has.
    """
    check_tables(link)
    said = get_meta(link, "header")
    if said is None:
        raise GalleryError(f"{link.address} is no gallery: it does not say what codes it holds")
    try:
        header: Any = json.loads(said)
        form, bits, weights = header["format"], header["bits"], header["weights"]
        model, file, cluster = header["model"], header["model_file"], header["cluster"]
        if form != FORMAT:
            raise GalleryError(
                f"gallery {link.address} is of version {str(form)[:20]}; this version of reid-hash "
                f"reads version {FORMAT}"
            )
        texts = all(isinstance(one, str) and len(one) < 2**16 for one in (model, file, cluster))
        if not (isinstance(bits, int) and 1 <= bits <= MOST_BITS and texts):
            raise TypeError("bits, model or cluster are none of a gallery")
        if re.search(r"[^A-Za-z0-9_-]", cluster) or "\n" in model + file:
            raise TypeError("a name in it is none")
        if not isinstance(weights, list) or len(weights) != bits:
            raise TypeError("it has not one weight a bit")
        template = Codes.empty(bits, weights, model)
    except (KeyError, TypeError, ValueError, CodeError, RecursionError) as error:
        raise GalleryError(f"gallery {link.address} is damaged: {error}") from error
    check_tables(link, bits)
    return Facts(template, file, cluster)


def put_meta(link: Link, key: str, value: str) -> None:
    """Set a value of the gallery as a whole."""
    version = time.time_ns()
    columns: Columns = {
        "key": ("String", [key]),
        "value": ("String", [value]),
        "version": ("UInt64", [version]),
    }
    link.insert("meta", columns)
    link.run(
        f"ALTER TABLE {link.address.database}.meta DELETE WHERE key = {text(key)} "
        f"AND version < {number(version)}",
        mutations_sync=2,
    )


def get_meta(link: Link, key: str) -> str | None:
    """A value of the gallery as a whole, or None."""
    rows = link.rows(
        f"SELECT value FROM {link.address.database}.meta WHERE key = {text(key)} "
        "ORDER BY version DESC LIMIT 1"
    )
    return str(rows[0][0]) if rows else None
