"""Give damaged files to everything that reads files, and report what is no answer and no one line.

    python tools/fuzz.py                          # goes on up to 10,000 inputs
    python tools/fuzz.py --inputs 500 --kind onnx --kind image
    python tools/fuzz.py --only 4711              # that input once more, with its traceback

Input number n is a seed file of kind n modulo the number of kinds, changed by a generator seeded
with n: every input can be made again from its number, and a run goes on where it was stopped. The
seeds are made by the tool itself. Each input is read in a forked child with 60 s and 4 GiB; a child
that ends in another exception than the toolkit's own, in a signal, too late or out of memory is a
finding, which is kept with its input below `build/fuzz/findings/`.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# all is imported before the first fork: a child starts in milliseconds
from reid_hash.codes import load_codes, save_codes  # noqa: E402
from reid_hash.config.reading import load_config  # noqa: E402
from reid_hash.data import load_dataset  # noqa: E402
from reid_hash.data.images import read_image  # noqa: E402
from reid_hash.errors import ReidHashError  # noqa: E402
from reid_hash.gallery.sqlite.gallery import Gallery  # noqa: E402
from reid_hash.gallery.sqlite.verify import verify  # noqa: E402
from reid_hash.models.load import load_model  # noqa: E402
from reid_hash.models.onnx_export import export_onnx  # noqa: E402
from reid_hash.nn.checkpoint import load_checkpoint  # noqa: E402
from reid_hash.training.loop import train  # noqa: E402
from reid_hash.video.source import open_source, parse_source  # noqa: E402
from tests.data.conftest import _make_crops, _write_mat  # noqa: E402
from tests.gallery.galleries import make, some_codes  # noqa: E402
from tests.helpers import coloured_pixels, tiny_config  # noqa: E402

HOME = ROOT / "build" / "fuzz"
SECONDS, MEMORY = 60, 4 * 2**30
MOST_FRAMES = 300  # read of a video

NUMBERS = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 4, b"\xff" * 8, b"\0\0\0\x80", b"\x01")
WORDS = (
    *("nan", "-1", "1e999", "99999999999999999999", "null", "''", "[]", "{}", "!!python/object:os"),
    *("..", "/", "\\", "\0", "\ufeff", "é", ":", "- ", "\t", "&a *a", "true", "0x10", "\n\n"),
)


def read_video(file: Path) -> None:
    import threading

    source = open_source(parse_source(str(file)))
    try:
        for number, _ in enumerate(source.frames(threading.Event(), lambda *_: None)):
            if number == MOST_FRAMES:
                break
    finally:
        source.close()


def read_model(file: Path) -> None:
    load_model(file).encode([np.zeros((32, 16, 3), np.uint8)])


def read_gallery(file: Path) -> None:
    folder = file.parent
    faults = verify(folder)
    with Gallery.open(folder) as gallery:
        gallery.search_many(some_codes(2), 5)
        gallery.sightings(thumbnails=True)
        gallery.people.identities()
        gallery.info()
        gallery.forget(cameras=["cam1"])
    assert isinstance(faults, list)


def import_gallery(file: Path) -> None:
    with make(file.parent / "new", 3) as gallery:
        gallery.import_file(file)


def read_all(name: str) -> Callable[[Path], None]:
    """Read a data set and the first of its images."""

    def read(file: Path) -> None:
        dataset = load_dataset(name, file.parents[1] if name == "nuswide" else file.parent)
        dataset.query.read(0)

    return read


# kind: (names of its seeds, what reads one)
READERS: dict[str, tuple[tuple[str, ...], Callable[[Path], object]]] = {
    "image": (("a.png", "a.jpg", "a.bmp", "a.webp", "a.tif"), read_image),
    "video": (("a.mp4", "a.avi"), read_video),
    "checkpoint": (("m.safetensors",), read_model),
    "onnx": (("m.onnx",), read_model),
    "gallery": (("g/gallery.sqlite", "g/INDEX"), read_gallery),
    "export": (("e.npz", "e.parquet"), import_gallery),
    "codes": (("c.npz",), load_codes),
    "config": (("c.yaml",), load_config),
    "list": (
        ("nuswide/train.txt", "nuswide/test.txt", "nuswide/database.txt"),
        read_all("nuswide"),
    ),
    "mat": (("cuhk/cuhk-03.mat",), read_all("cuhk03")),
}
TEXT = (".yaml", ".txt")


def make_seeds(folder: Path) -> None:
    """Make one small file of each kind, which its reader answers."""
    pixels = coloured_pixels()
    for name in READERS["image"][0]:
        cv2.imwrite(str(folder / name), pixels.images[0])
    for name, code in (("a.mp4", "mp4v"), ("a.avi", "MJPG")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 10, (64, 48))
        for i in range(12):
            writer.write(np.full((48, 64, 3), 20 * i, np.uint8))
        writer.release()
    train(tiny_config("train.epochs=1"), pixels, folder / "run", device="cpu")
    shutil.copy(folder / "run" / "model.safetensors", folder / "m.safetensors")
    export_onnx(load_checkpoint(folder / "m.safetensors"), folder / "m.onnx")
    (folder / "c.yaml").write_text(tiny_config().to_yaml())
    save_codes(folder / "c.npz", some_codes(9), [f"{i}.png" for i in range(9)])
    with make(folder / "g", thumbnail=b"t" * 50) as gallery:
        person = gallery.new_identity()
        gallery.people.assign([1, 2], person)
        gallery.people.name(person, "Ada")
        gallery.write_cache()
        for name in READERS["export"][0]:
            gallery.export(folder / name)
    lists = folder / "nuswide"
    lists.mkdir()
    for part in ("train", "test", "database"):
        lines = []
        for i in range(6):
            cv2.imwrite(str(lists / f"{part}{i}.png"), pixels.images[i])
            lines.append(f"{part}{i}.png {i % 2} 1 {(i + 1) % 2}\n")
        (lists / f"{part}.txt").write_text("".join(lines))
    (folder / "cuhk").mkdir()
    persons = (3, 2, 2, 2, 2)
    boxes = {kind: _make_crops(persons, i) for i, kind in enumerate(("labeled", "detected"))}
    _write_mat(folder / "cuhk" / "cuhk-03.mat", boxes, [[(1, 2), (2, 1)]])


def change(data: bytes, draw: random.Random, text: bool) -> bytes:
    """Damage a file by one to six changes; one input in four is only cut off."""
    found = bytearray(data)
    if draw.random() < 0.25:
        return bytes(found[: draw.randrange(len(found) or 1)])
    for _ in range(draw.randint(1, 6)):
        # most of what readers trust is at the start or the end
        near = draw.choice((64, 1024, len(found)))
        at = draw.randrange(max(1, min(near, len(found))))
        at = at if draw.random() < 0.7 else max(0, len(found) - 1 - at)
        length = draw.choice((1, 4, 16, 200))
        kind = draw.randrange(6)
        if kind == 0 and found:
            found[min(at, len(found) - 1)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            number = draw.choice(NUMBERS)
            found[at : at + len(number)] = number
        elif kind == 2:
            del found[at : at + length]
        elif kind == 3:
            found[at:at] = found[at : at + length]
        elif kind == 4:
            found[at : at + length] = draw.randbytes(length)
        elif text:
            found[at : at + draw.randrange(8)] = draw.choice(WORDS).encode()
        else:
            start = draw.randrange(len(found) or 1)
            found[at : at + length] = found[start : start + length]
    return bytes(found)


def make_input(number: int, kind: str, seeds: Path, work: Path) -> Path:
    """Lay the input of this number into an empty folder, with what belongs beside it.

    The inputs -1, -2 … are the seeds themselves.
    """
    draw = random.Random(number)
    name = draw.choice(READERS[kind][0]) if number >= 0 else READERS[kind][0][-1 - number]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if "/" in name:
        shutil.copytree(seeds / Path(name).parent, work / Path(name).parent)
    else:
        shutil.copy(seeds / name, work / name)
    file = work / name
    if file.name == "INDEX":  # whichever cache the gallery wrote
        caches = [f for f in sorted(file.parent.iterdir()) if "sqlite" not in f.name]
        file = draw.choice([f for f in caches if f.stat().st_size])
    if number >= 0:
        file.write_bytes(change(file.read_bytes(), draw, file.suffix in TEXT))
    return file


def child(read: Callable[[Path], object], file: Path, said: Path) -> None:
    """Read the input, and leave: 0 for an answer, 1 for one line, 2 for anything else."""
    with open("/proc/self/statm") as pages:
        size = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    with said.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        code = 0
        try:
            read(file)
        except (ReidHashError, click.ClickException) as error:
            print(error)
            code = 1
        except BaseException:
            traceback.print_exc(file=out)
            code = 2
        sys.stdout.flush()
        out.flush()
    os._exit(code)


def attempt(number: int, kind: str, seeds: Path, work: Path) -> tuple[str, Path, str]:
    """(answer, refused or a finding's name; the input; what the child said)."""
    file = make_input(number, kind, seeds, work)
    said = work.with_suffix(".txt")
    pid = os.fork()
    if not pid:
        child(READERS[kind][1], file, said)
    deadline = time.monotonic() + SECONDS
    while not (found := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "hang", file, said.read_text(errors="replace")
        time.sleep(0.002)
    code = os.waitstatus_to_exitcode(found[1])
    name = {0: "answer", 1: "refused", 2: "traceback"}.get(code, f"signal {-code}")
    return name, file, said.read_text(errors="replace")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--kind", action="append", choices=READERS)
    parser.add_argument("--only", type=int, help="number of one input")
    parser.add_argument("--again", action="store_true", help="begin anew")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if options.again:
        shutil.rmtree(HOME, ignore_errors=True)
    seeds, findings, state = HOME / "seeds", HOME / "findings", HOME / "state.json"
    findings.mkdir(parents=True, exist_ok=True)
    if not seeds.exists():
        making = HOME / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        pid = os.fork()  # the threads that this starts must not be in the way of later forks
        if not pid:
            try:
                make_seeds(making)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            sys.exit("the seeds could not be made")
        making.rename(seeds)
    kinds = list(READERS)
    if options.only is not None:
        name, file, said = attempt(
            options.only, kinds[options.only % len(kinds)], seeds, HOME / "only"
        )
        print(f"{file}: {name}\n{said}")
        return
    for kind, (
        names,
        _,
    ) in READERS.items():  # else a fuzzer of what is always refused finds nothing
        for i in range(len(names)):
            name, file, said = attempt(-1 - i, kind, seeds, HOME / "work")
            if name != "answer":
                sys.exit(f"the seed {kind} {file.name} has no answer: {name}: {said}")
    kept = json.loads(state.read_text()) if state.exists() else {"next": 0, "counts": {}}
    counts: Counter[str] = Counter(kept["counts"])
    for number in range(kept["next"], options.inputs):
        kind = kinds[number % len(kinds)]
        if options.kind and kind not in options.kind:
            continue
        name, file, said = attempt(number, kind, seeds, HOME / "work")
        counts[f"{kind}: {name}"] += 1
        if name not in ("answer", "refused"):
            (findings / f"{number}.txt").write_text(f"{kind} {file.name}: {name}\n{said}")
            shutil.copy(file, findings / f"{number}-{file.name}")
            last = (said.strip().splitlines() or [""])[-1]
            print(f"{number} {kind} {file.name}: {name}: {last}", flush=True)
        if number % 50 == 49 and not options.kind:
            state.write_text(json.dumps({"next": number + 1, "counts": counts}))
    for name, count in sorted(counts.items()):
        print(f"{name}: {count}")
    wrong = sum(n for name, n in counts.items() if not name.endswith((": answer", ": refused")))
    print(f"{sum(counts.values()):,} inputs, {wrong} findings")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
