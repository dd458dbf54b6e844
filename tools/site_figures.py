"""Figures of a drawn site of cameras: who is who by looks alone, and with place and time.

    python tools/site_figures.py --seeds 0-4 [--far 0.05,0.02] [--model walkers] [--json FILE]

For each seed the tracklets of a site are drawn and encoded, the network of cameras is learned from
them without labels, and each tracklet is decided in the order in which they end: one of those who
were seen before, or somebody new. Looks alone are judged by what was learned of distances, and at
the distance at which as many strangers are accepted as with place and time.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import beta

from reid_hash.app.runs import find_model
from reid_hash.codes import Codes
from reid_hash.data.images import resize
from reid_hash.data.walkers.site import Site
from reid_hash.gallery.network.associate import cluster
from reid_hash.gallery.network.decide import judge
from reid_hash.gallery.network.learn import Learned, learn
from reid_hash.gallery.network.tracklets import Tracklets, apart, vectors_of
from reid_hash.models.encoder import Encoder
from reid_hash.models.load import open_model

Ints = NDArray[np.int64]


def encoded(site: Site, encoder: Encoder, bits: int | None) -> Tracklets:
    """The tracklets of a site."""
    codes: list[NDArray[np.uint8]] = []
    seen = site.tracklets
    for start in range(0, len(seen), 64):
        crops = [site.crop(one, i) for one in seen[start : start + 64] for i in range(4)]
        small = np.stack([resize(crop, *encoder.size, encoder.growing) for crop in crops])
        some = encoder.encode(small, progress=False)
        codes.append(some.packed)
    all_codes = Codes(np.concatenate(codes), some.bits, some.weights, some.model)
    rows = [range(4 * i, 4 * i + 4) for i in range(len(seen))]
    return Tracklets(
        [f"camera{i}" for i in range(1, site.cameras + 1)],
        np.array([one.camera - 1 for one in seen], np.int64),
        np.array([one.first for one in seen]),
        np.array([one.last for one in seen]),
        vectors_of(all_codes.prefix(bits or some.bits), rows),
        np.full(len(seen), -1, np.int64),
        [list(one) for one in rows],
    )


def decide_all(
    tracklets: Tracklets,
    learned: Learned,
    far: float,
    place: bool = True,
    threshold: float | None = None,
) -> Ints:
    """Decide tracklets one after the other; gives a number for each one's person.

    Args:
        tracklets: n of them.
        learned: the network of their cameras, and what distances mean.
        far: share of strangers to accept.
        place: whether place and time count.
        threshold: accept by this distance alone in place of `far`.
    """
    names, network = tracklets.names, learned.network
    found = np.full(len(tracklets), -1, np.int64)
    means = np.zeros_like(tracklets.vectors)
    last, where = np.zeros(len(tracklets)), np.zeros(len(tracklets), np.int64)
    theirs: list[list[int]] = []
    for i in np.argsort(tracklets.last, kind="stable").tolist():
        camera, first = int(tracklets.cameras[i]), tracklets.first[i]
        count, who = len(theirs), -1
        lengths = np.linalg.norm(means[:count], axis=1, keepdims=True)
        distances = apart(tracklets.vectors[[i]], means[:count] / lengths)[0]
        for j, rows in enumerate(theirs):  # seen at once by this camera: somebody else
            ends = [tracklets.last[k] for k in rows[-6:] if tracklets.cameras[k] == camera]
            if ends and max(ends) - first > 0.2:
                distances[j] = np.inf
        places = np.zeros(count)
        for a, name in enumerate(names if place else ()):
            there = where[:count] == a
            gaps = first - last[:count][there]
            places[there] = network.log_density(name, names[camera], gaps)
        verdict = judge(learned.appearance, distances, places) if count else None
        if verdict is not None:
            near = distances[verdict.row]
            if verdict.chance <= far if threshold is None else near <= threshold:
                who = verdict.row
        if who < 0:
            who = count
            theirs.append([])
        theirs[who].append(i)
        found[i] = who
        means[who] += tracklets.vectors[i]
        if tracklets.last[i] >= last[who]:
            last[who], where[who] = tracklets.last[i], camera
    return found


def score(found: Ints, true: Ints, tracklets: Tracklets) -> tuple[float, int, int]:
    """(IDF1 by seconds, strangers who were taken for somebody, strangers)."""
    seconds = tracklets.last - tracklets.first
    people, a = np.unique(true, return_inverse=True)
    ours, b = np.unique(found, return_inverse=True)
    shared = np.zeros((len(people), len(ours)))
    np.add.at(shared, (a, b), seconds)
    rows, columns = linear_sum_assignment(-shared)
    idf1 = float(shared[rows, columns].sum() / seconds.sum())
    strangers = accepted = 0
    met, known = set[int](), set[int]()
    for i in np.argsort(tracklets.last, kind="stable").tolist():
        if true[i] not in met:
            strangers += 1
            accepted += int(found[i]) in known
        met.add(int(true[i]))
        known.add(int(found[i]))
    return idf1, accepted, strangers


def of_ways(site: Site, learned: Learned) -> dict[str, Any]:
    """How far the learned medians are off, and which ways were missed or invented."""
    errors, missed = [], 0
    passages = site.passages()
    for (a, b), way in site.plan.ways.items():
        times = passages.get((a, b), [])
        found = learned.network.ways.get((f"camera{a}", f"camera{b}"))
        if found is None:
            missed += len(times) > 0
        elif not way.overlap:
            errors.append(abs(found.seconds[2] / float(np.median(times)) - 1))
    never = {(int(a[6:]), int(b[6:])) for a, b in learned.network.never}
    return {
        "ways": len(site.plan.ways),
        "missed": missed,
        "largest_error": max(errors),
        "never": len(never),
        "never_invented": len(never & set(site.plan.ways)),
    }


def same_rate(
    tracklets: Tracklets, learned: Learned, true: Ints, accepted: float
) -> tuple[float, float]:
    """(IDF1, share accepted) of looks alone at the distance that accepts so many strangers."""
    best = (0.0, 0.0)
    for threshold in np.arange(0.06, 0.24, 0.01):
        found = decide_all(tracklets, learned, 0.0, place=False, threshold=float(threshold))
        idf1, wrong, strangers = score(found, true, tracklets)
        if wrong / strangers > accepted + 1e-9:
            break
        best = max(best, (idf1, wrong / strangers))
    return best


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--far", default="0.05,0.02,0.01")
    parser.add_argument("--model", default="walkers")
    parser.add_argument("--bits", type=int)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    low, _, high = given.seeds.partition("-")
    encoder = open_model(find_model(Path(given.model), "walkers"), "cpu")
    rows: list[dict[str, Any]] = []
    for seed in range(int(low), int(high or low) + 1):
        site = Site(seed)
        tracklets = encoded(site, encoder, given.bits)
        true = np.array([one.identity for one in site.tracklets], np.int64)
        learned = learn(tracklets)
        row: dict[str, Any] = {"seed": seed, "tracklets": len(true), **of_ways(site, learned)}
        together = cluster(tracklets, learned.network, learned.appearance, 0.02)
        row["idf1_together"] = score(together, true, tracklets)[0]
        for far in map(float, given.far.split(",")):
            for name, place in (("all", True), ("looks", False)):
                found = decide_all(tracklets, learned, far, place)
                idf1, wrong, strangers = score(found, true, tracklets)
                row |= {f"idf1_{name}_{far:g}": idf1, f"far_{name}_{far:g}": wrong / strangers}
            realised = row[f"far_all_{far:g}"]
            idf1, wrong_share = same_rate(tracklets, learned, true, realised)
            row |= {f"idf1_same_{far:g}": idf1, f"far_same_{far:g}": wrong_share}
        rows.append(row)
        print(json.dumps(row), flush=True)
    _print_means(rows, [float(far) for far in given.far.split(",")], 100 * len(rows))
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1))


def _print_means(rows: Sequence[dict[str, Any]], fars: Sequence[float], strangers: int) -> None:
    def mean(key: str) -> float:
        return float(np.mean([row[key] for row in rows]))

    print(f"all tracklets together: IDF1 {100 * mean('idf1_together'):.1f}")
    for far in fars:
        realised = mean(f"far_all_{far:g}")
        wrong = round(realised * strangers)
        low = beta.ppf(0.025, wrong, strangers - wrong + 1) if wrong else 0.0
        high = beta.ppf(0.975, wrong + 1, strangers - wrong)
        print(
            f"FAR {far:g}: with place and time IDF1 {100 * mean(f'idf1_all_{far:g}'):.1f}, "
            f"realised {realised:.3f} (95 %: {low:.3f} to {high:.3f}); looks alone "
            f"{100 * mean(f'idf1_looks_{far:g}'):.1f} (realised {mean(f'far_looks_{far:g}'):.3f}), "
            f"at no higher a realised rate {100 * mean(f'idf1_same_{far:g}'):.1f} "
            f"({mean(f'far_same_{far:g}'):.3f})"
        )


if __name__ == "__main__":
    main()
