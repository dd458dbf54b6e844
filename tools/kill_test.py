"""Kill a gallery's writer at random moments, and look whether its promises were kept.

    python tools/kill_test.py                     # 1,000 kills
    python tools/kill_test.py --kills 50 --seed 1

A forked child ingests, erases, prunes, merges, imports and writes the index, says so before and
after each call in a file, and is killed by SIGKILL. Then the gallery must verify clean; all that
was committed must be there, of a call that was cut off all or nothing, and nothing that was erased
or merged may return.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reid_hash.gallery.sqlite.gallery import Gallery  # noqa: E402
from tests.gallery.galleries import make, some_codes, some_sightings  # noqa: E402

MANY = 400  # sightings, above which the child rather erases
LONGEST = 0.15  # seconds until the kill


def write_for_ever(folder: Path, export: Path, said: int, draw: random.Random) -> None:
    """Change the gallery until the kill; each line says what is about to be done, or is done."""

    def say(*words: object) -> None:
        os.write(said, (" ".join(map(str, words)) + "\n").encode())

    codes, sightings = some_codes(20), some_sightings(20, thumbnail=b"t" * 500)
    with Gallery.open(folder) as gallery:
        while True:
            ids = [one.id for one in gallery.sightings() if one.id is not None]
            kind = draw.choice(("ingest", "erase", "prune", "merge", "import", "index"))
            if kind in ("ingest", "import") and len(ids) > MANY:
                kind = "erase"
            if kind == "ingest":
                say("try", kind)
                say("added", *gallery.add(codes, sightings))
            elif kind == "import":
                say("try", kind)
                gallery.import_file(export)
                there = [one.id for one in gallery.sightings() if one.id is not None]
                say("added", *sorted(set(there) - set(ids)))
            elif kind == "erase" and ids:
                chosen = draw.sample(ids, min(len(ids), draw.randint(1, 60)))
                say("try", kind, *chosen)
                gallery.forget(ids=chosen)
                say("erased", *chosen)
            elif kind == "prune" and ids:
                until = 1000.0 + draw.randint(1, 8)  # times are 1000 … 1019
                old = [one.id for one in gallery.sightings(until=until)]
                say("try", kind, *old)
                gallery.prune(timedelta(0), now=until)
                say("erased", *old)
            elif kind == "merge" and len(ids) > 4:
                kept, other = gallery.new_identity(), gallery.new_identity()
                one, two, *_ = draw.sample(ids, 4)
                gallery.people.assign([one], kept)
                gallery.people.assign([two], other)
                say("try", kind)
                gallery.people.merge(kept, other)
                say("merged", other)
            elif kind == "index":
                say("try", kind)
                gallery.write_cache()
                say("done")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    work = Path(tempfile.mkdtemp(prefix="reid-hash-kills-"))
    folder, export, log = work / "g", work / "e.npz", work / "said.txt"
    make(folder, 0).close()
    with make(work / "other", 15) as other:
        other.export(export)

    present: set[int] = set()  # promised, and seen after the last kill
    erased: set[int] = set()
    merged: set[int] = set()
    during: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(options.kills):
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        pid = os.fork()  # the gallery is closed in this process
        if not pid:
            try:
                write_for_ever(folder, export, said, random.Random(draw.random()))
            finally:
                os._exit(1)
        os.close(said)
        while not log.stat().st_size and not os.waitpid(pid, os.WNOHANG)[0]:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, LONGEST))
        os.kill(pid, signal.SIGKILL)
        ended = os.waitpid(pid, 0)[1]
        if not os.WIFSIGNALED(ended):
            sys.exit(f"the writer ended by itself at kill {number}; see {work}")

        cut: tuple[str, set[int]] = ("between calls", set())
        for line in log.read_text().splitlines():
            word, *rest = line.split()
            numbers = {int(one) for one in rest if one.isdecimal()}
            if word == "try":
                cut = rest[0], numbers
                continue
            cut = "between calls", set()
            if word == "added":
                present |= numbers
            elif word == "erased":
                present -= numbers
                erased |= numbers
            elif word == "merged":
                merged |= numbers
        during[cut[0]] += 1
        with Gallery.open(folder) as gallery:
            faults = gallery.verify()
            there = {one.id for one in gallery.sightings() if one.id is not None}
            found = len(gallery.search_many(some_codes(1), len(there) + 1)[0])
            people = {one.id for one in gallery.people.identities()}
        lost, new = present - cut[1] - there, there - present
        half = cut[1] & there
        wrong += [f"kill {number}: {fault}" for fault in faults]
        if lost:
            wrong.append(f"kill {number} ({cut[0]}): lost {sorted(lost)}")
        if back := there & erased:
            wrong.append(f"kill {number} ({cut[0]}): returned {sorted(back)}")
        if back := people & merged:
            wrong.append(f"kill {number} ({cut[0]}): merged identities returned {sorted(back)}")
        if half and half != cut[1]:
            wrong.append(f"kill {number} ({cut[0]}): {len(half)} of {len(cut[1])} are left")
        if len(new) not in (0, {"ingest": 20, "import": 15}.get(cut[0], 0)):
            wrong.append(f"kill {number} ({cut[0]}): {len(new)} sightings that nobody promised")
        if found != len(there):
            wrong.append(f"kill {number} ({cut[0]}): {found} of {len(there)} are found")
        if cut[1] and not half:
            erased |= cut[1]
        present = there
        if len(wrong) > 20:
            break
    print(*wrong, sep="\n")
    print(", ".join(f"{name} {count}" for name, count in sorted(during.items())))
    print(f"{sum(during.values()):,} kills, {len(wrong)} broken promises, {len(erased):,} erased")
    if wrong:
        sys.exit(f"the gallery is kept in {folder}")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
