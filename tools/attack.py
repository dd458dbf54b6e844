"""Attacks the page, and opens forged files, as a stranger would; prints a line for each attempt.

    python tools/attack.py [--only WORD]

It starts a page of its own on loopback, with a gallery of drawn walkers, and works on copies in a
temporary folder. Nothing of yours is touched, no other machine is asked, each attempt is bounded.
The exit code is 1 if anything gave way.
"""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import numpy as np

from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.shipped import WALKERS_GALLERY, shipped_model
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings

SECRET = b"root:x:0:0: what no visitor may read"
PASSWORD = "secret"  # nosec B105  # of the page that is attacked
LIMIT = 60.0  # seconds that an answer may take
MEMORY = 4 * 2**30  # bytes that a command may take
PLAIN = [64, "weighted", 10, [], False, "", ""]  # settings of the search page


class Attack:
    """What each attempt works with.

    Attributes:
        folder: for files, thrown away afterwards.
        gallery: of walkers; copy it before you damage it.
        server: the page of that gallery.
        guarded: the same behind a password.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.gallery = folder, folder / "gallery"
        Gallery.load(self.gallery, WALKERS_GALLERY).close()
        self.secret = folder / "secret.txt"
        self.secret.write_bytes(SECRET)
        self.fifo = folder / "fifo"
        os.mkfifo(self.fifo)

    def copy(self) -> Path:
        """A copy of the gallery that may be damaged."""
        return Path(shutil.copytree(self.gallery, Path(tempfile.mkdtemp(dir=self.folder)) / "g"))

    def run(self, *arguments: object) -> str:
        """Run the command line; gives what is wrong with how it ended, or ""."""
        limit = f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY}, {MEMORY}))"
        source = f"{limit}\nfrom reid_hash.cli import main\nmain()"
        command = [sys.executable, "-c", source, *map(str, arguments)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT, cwd=self.folder
            )
        except subprocess.TimeoutExpired:
            return "it hangs"
        if "unexpected" in done.stderr or "Traceback" in done.stderr:
            return done.stderr.strip().splitlines()[-1]
        if done.returncode not in (0, 1, 2):
            return f"it ended with {done.returncode}"
        if "\x1b" in done.stdout + done.stderr:
            return "control characters reach the terminal"
        return "" if done.returncode else "accepted"


def answered(told: str) -> str:
    """The same, for an input that may be answered, as long as it ends well."""
    return "" if told == "accepted" else told


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=LIMIT)


def functions(http: httpx.Client) -> list[dict]:
    return http.get("/config").json()["dependencies"]


def described(path: object) -> dict:
    return {"path": str(path), "orig_name": "a.jpg", "meta": {"_type": "gradio.FileData"}}


def call(http: httpx.Client, number: int, data: list, session: str = "attack") -> httpx.Response:
    body = {"data": data, "fn_index": number, "session_hash": session}
    return http.post("/gradio_api/queue/join", json=body)


# the page


def any_file(attack: Attack) -> str:
    http, given = client(attack.server), 0
    for function in functions(http):
        for place in range(len(function["inputs"])):
            data = [None] * len(function["inputs"])
            data[place] = described(attack.secret)
            given += call(http, function["id"], data).status_code == 200 and (
                attack.server.gate.kinds[function["id"]][place] != "state"
            )
    kept = [
        file for file in attack.server.gate.inbox.folder.rglob("*")
        if file.is_file() and SECRET in file.read_bytes()
    ]  # fmt: skip
    if given or kept:
        return f"{given} inputs took a file of the server, {len(kept)} copies of it lie there"
    for path in (attack.secret, attack.gallery / "gallery.sqlite", "/etc/passwd"):
        for start in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/..%2f..%2f"):
            if http.get(f"{start}{path}").status_code == 200:
                return f"{start}{path} is given out"
    return ""


def endless_file(attack: Attack) -> str:
    http = client(attack.server)
    (number,) = [one["id"] for one in functions(http) if one["api_name"] == "sent"]
    for path in (attack.fifo, "/dev/zero", "/dev/stdin"):
        if call(http, number, [described(path), *PLAIN]).status_code == 200:
            return f"{path} was taken for a picture"
    return "" if http.get("/config").status_code == 200 else "the page no longer answers"


def other_origins(attack: Attack) -> str:
    http = client(attack.guarded)
    http.post("/login", data={"password": PASSWORD})
    for headers in (
        {"origin": "https://elsewhere.example"}, {"origin": "http://localhost:3000"},
        {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    ):  # fmt: skip
        for method, path in (
            ("GET", "/config"), ("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload"),
            ("OPTIONS", "/gradio_api/queue/join"),
        ):  # fmt: skip
            reply = http.request(method, path, headers=headers)
            if reply.status_code != 403 or "access-control-allow-origin" in reply.headers:
                return f"{method} {path} with {headers} is answered with {reply.status_code}"
    if http.get("/config", headers={"host": "evil.example"}).status_code != 400:
        return "a name that was made to mean this machine is answered"
    return ""


def filling_the_disk(attack: Attack) -> str:
    http, inbox = client(attack.server), attack.server.gate.inbox

    def zeros(head: bytes, size: int) -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename=".."\r\n\r\n' + head
        for _ in range(size >> 20):
            yield bytes(2**20)

    kind = {"content-type": "multipart/form-data; boundary=b"}
    for head, size in ((b"x" * 16, 2**28), (b"\xff\xd8\xff" + b"x" * 16, 2**28)):
        try:
            reply = http.post("/gradio_api/upload", content=zeros(head, size), headers=kind)
            if reply.status_code not in (413, 415):
                return f"{size >> 20} MiB are answered with {reply.status_code}"
        except httpx.TransportError:
            pass  # the server hung up
    if left := [file for file in inbox.folder.glob("*/*") if file.is_file()]:
        return f"{len(left)} files stay"
    return ""


def guessing_passwords(attack: Attack) -> str:
    http = client(attack.guarded)
    tried = 0
    while tried < 50 and http.post("/login", data={"password": str(tried)}).status_code == 400:
        tried += 1
    return "" if tried < 20 else f"{tried} wrong passwords in a row were looked at"


def without_login(attack: Attack) -> str:
    http = httpx.Client(base_url=attack.guarded.url, timeout=LIMIT)
    for path in (
        "/openapi.json",
        "/docs",
        "/config",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
    ):
        if http.get(path).status_code != 401:
            return f"{path} is given without login"
    return ""


# files that others made


@contextmanager
def no_connections() -> Iterator[list[str]]:
    """Notes every name that is looked up and every address that is connected to."""
    asked: list[str] = []
    before = socket.getaddrinfo, socket.socket.connect

    def look_up(host: object, *rest: object, **named: object) -> object:
        asked.append(str(host))
        raise OSError("no network here")

    def connect(_: object, address: object) -> None:
        asked.append(str(address))
        raise OSError("no network here")

    socket.getaddrinfo, socket.socket.connect = look_up, connect  # type: ignore[assignment]
    try:
        yield asked
    finally:
        socket.getaddrinfo, socket.socket.connect = before  # type: ignore[assignment]


def calling_checkpoint(attack: Attack) -> str:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    from reid_hash.errors import ReidHashError
    from reid_hash.nn.checkpoint import load_checkpoint

    with safe_open(shipped_model("base").file, framework="np") as file:
        facts = file.metadata()
    for name in (
        "timm:hf-hub:nobody/nothing",
        "timm:local-dir:/tmp/x",
        "timm:hf_hub:a/b",
        "timm:x",
    ):
        config = json.loads(facts["config"])
        config["model"]["backbone"], config["model"]["pretrained"] = name, "timm"
        forged = attack.folder / "forged.safetensors"
        save_file({"a": np.zeros(1)}, forged, {**facts, "config": json.dumps(config)})
        with no_connections() as asked:
            try:
                load_checkpoint(forged)
                return f"{name} was loaded"
            except ReidHashError:
                pass
        if asked:
            return f"{name} asked {asked[0]}"
    return ""


def forged(name: str, sql: str, *commands: str) -> Callable[[Attack], str]:
    """An attempt with a gallery whose database was changed."""

    def attempt(attack: Attack) -> str:
        folder = attack.copy()
        with sqlite3.connect(folder / "gallery.sqlite") as db:
            db.create_function("checksum", -1, _checksum)
            db.executescript(sql)
        db.close()
        for command in commands or ("info", "verify"):
            told = attack.run("gallery", command, folder)
            if told:
                return f"gallery {command}: {told}"
        return ""

    attempt.__name__ = name
    return attempt


def _checksum(*values: object) -> int:
    from reid_hash.gallery.sqlite.schema import checksum

    return checksum(*values)


VIEW = """
PRAGMA foreign_keys=OFF; ALTER TABLE sightings RENAME TO kept;
CREATE VIEW sightings AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT i AS id, x'00' AS code, '' AS camera, 0.0 AS time, '' AS source, NULL AS track,
NULL AS frame, NULL AS x, NULL AS y, NULL AS w, NULL AS h, NULL AS identity, 0 AS checksum FROM n;
"""
TRIGGER = "CREATE TRIGGER t AFTER INSERT ON sightings BEGIN DELETE FROM sightings; END;"
META = "UPDATE meta SET value = {0}, checksum = checksum(key, {0}) WHERE key = '{1}';"
NAN = META.format("x'" + "0000c07f" * 128 + "'", "weights")
SHORT = META.format("x'0000803f'", "weights")
HUGE = META.format("1099511627776", "bits")
TEXT = META.format("'many'", "bits")


def flipped_log(attack: Attack) -> str:
    folder = attack.copy()
    database = folder / "gallery.sqlite"
    gallery = Gallery.open(folder)
    codes, _ = gallery.codes(ids=[1])
    kept = Path(tempfile.mkdtemp(dir=attack.folder)) / "g"
    kept.mkdir()
    for _ in range(20):
        gallery.add(codes, [Sighting(camera="new")])
    for file in (database, Path(f"{database}-wal")):
        shutil.copy(file, kept / file.name)
    gallery.close()
    log = kept / "gallery.sqlite-wal"
    data = bytearray(log.read_bytes())
    if len(data) < 10_000:
        return "the log is too short to be attacked"
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    told = attack.run("gallery", "verify", kept)
    if told:
        return f"gallery verify: {told}"
    return "" if log.stat().st_size else "verify destroyed the log"


def forged_index(attack: Attack) -> str:
    import zlib

    folder = attack.copy()
    Gallery.open(folder).write_cache()
    for file in folder.glob("*.index"):
        data = file.read_bytes().replace(b'"shape": [', b'"shape": [9', 1)
        file.unlink()
        stem = file.name.rsplit("-", 1)[0]
        (folder / f"{stem}-{zlib.crc32(data):08x}.index").write_bytes(data)
    query = attack.folder / "query.npz"
    from reid_hash.codes import save_codes

    with Gallery.open(folder, read_only=True) as gallery:
        save_codes(query, gallery.codes(ids=[1])[0], ["one"])
    return answered(attack.run("search", query, "--gallery", folder))


def exploding_export(attack: Attack) -> str:
    export = attack.folder / "export.npz"
    with Gallery.open(attack.gallery, read_only=True) as gallery:
        gallery.export(export)
    bomb = attack.folder / "bomb.npz"
    with zipfile.ZipFile(export) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("thumbnail.npy"):
                with new.open(name, "w", force_zip64=True) as file:
                    header = {"descr": "|u1", "fortran_order": False, "shape": (6 * 2**30,)}
                    np.lib.format.write_array_header_2_0(file, header)
                    for _ in range(6 * 2**10):
                        file.write(bytes(2**20))
                continue
            new.writestr(name, data)
    return attack.run("gallery", "import", attack.copy(), bomb)


def worthless_ids(attack: Attack) -> str:
    export, wrong = attack.folder / "ids.npz", attack.folder / "wrong.npz"
    with Gallery.open(attack.gallery, read_only=True) as gallery:
        gallery.export(export)
        bits, weights, model = gallery.bits, gallery.weights, gallery.model
    with np.load(export) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    for name in values:
        if name.endswith("_id"):
            values[name] = -values[name]
    np.savez(wrong, **values)
    empty = attack.folder / "empty"
    Gallery.create(empty, bits, weights, model).close()
    return attack.run("gallery", "import", empty, wrong)


def second_writer(attack: Attack) -> str:
    first, second = attack.copy(), attack.folder / "second"
    second.mkdir()
    (second / "gallery.sqlite").symlink_to(first / "gallery.sqlite")
    with Gallery.open(first):
        return attack.run("gallery", "name", second, "#1", "Mallory")


def control_characters(attack: Attack) -> str:
    folder = attack.copy()
    with Gallery.open(folder) as gallery:
        codes, _ = gallery.codes(ids=[1])
        gallery.add(codes, [Sighting(camera="\x1b[2Jdoor", source="\x1b]0;x\x07", name="\x9b31m")])
    return answered(attack.run("gallery", "info", folder, "--identities"))


def future_clock(attack: Attack) -> str:
    return attack.run("gallery", "prune", attack.copy(), "--keep", "1s")


ATTEMPTS: dict[str, Callable[[Attack], str]] = {
    "1 page: a text box is given a file of the server": any_file,
    "2 page: a picture that never ends": endless_file,
    "3 page: other origins, and a name made to mean this machine": other_origins,
    "4 page: uploads that fill the disk": filling_the_disk,
    "5 gallery: a flipped byte in the write-ahead log": flipped_log,
    "7 checkpoint: a backbone that calls a hub": calling_checkpoint,
    "8 page: passwords by guessing": guessing_passwords,
    "8 page: its parts without login": without_login,
    "8 gallery: control characters in its names": control_characters,
    "9 gallery: a view without end": forged("view", VIEW),
    "9 gallery: a trigger": forged("trigger", TRIGGER),
    "9 gallery: weights that are NaN": forged("nan", NAN),
    "9 gallery: too few weights": forged("short", SHORT),
    "9 gallery: 2^40 bits": forged("huge", HUGE),
    "9 gallery: bits in words": forged("text", TEXT),
    "9 gallery: an index file with a right checksum and a wrong header": forged_index,
    "9 gallery: an export that takes 6 GiB": exploding_export,
    "9 gallery: an export with ids below zero": worthless_ids,
    "9 gallery: a linked database and a second writer": second_writer,
    "9 gallery: a clock far ahead, and prune": future_clock,
}


@click.command()
@click.option("--only", default="", help="Only attempts whose name holds this word.")
def main(only: str) -> None:
    """Attack the page and open forged files; a line for each attempt."""
    gave_way = 0
    with tempfile.TemporaryDirectory() as name:
        attack = Attack(Path(name))
        page = Settings(attack.gallery, port=0, model=Path("walkers"), detector="motion")
        locked = Settings(attack.gallery, port=0, password=PASSWORD, detector="motion")
        with Server(page) as attack.server, Server(locked) as attack.guarded:
            for title, attempt in ATTEMPTS.items():
                if only not in title:
                    continue
                told = ["no answer"]
                thread = threading.Thread(
                    target=lambda told=told, attempt=attempt: told.__setitem__(0, attempt(attack)),
                    daemon=True,
                )
                thread.start()
                thread.join(4 * LIMIT)
                gave_way += bool(told[0])
                outcome = f"GAVE WAY  {title}: {told[0]}" if told[0] else f"refused   {title}"
                print(outcome, flush=True)
    sys.exit(f"{gave_way} gave way" if gave_way else 0)


if __name__ == "__main__":
    main()
