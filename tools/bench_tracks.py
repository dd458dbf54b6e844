"""Is a track's code better than that of a single crop? Rank-1 of finding people again.

    python tools/bench_tracks.py --mot DIR --model small    # MOT17's: DIR/train/SEQ/{img1,gt}
    python tools/bench_tracks.py --walkers --model runs/walkers/TIME

MOT17: crops are cut from the ground truth. People of the first half of each sequence's frames are
looked for among those of the second half, of all sequences together. Walkers: the test persons
before camera 1 are looked for among those before camera 2. With a single crop, one of each person
is drawn for the query and one for the gallery, ten times; a track's code is the weighted majority
of the bits of all of a person's crops on that side. In the last column the query keeps the mean of
its crops' real values, as in the demo, against the tracks' codes.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from reid_hash.app.runs import RUNS, find_model
from reid_hash.codes import Codes
from reid_hash.data.walkers import walkers
from reid_hash.distances import asymmetric, query_values
from reid_hash.metrics import rank_codes, summarise, tie_groups
from reid_hash.models.load import load_model
from reid_hash.video.crops import Crop, CropOptions, cut, network_input
from reid_hash.video.score import read_truth
from reid_hash.video.track_code import majority

DRAWS = 10
LENGTHS = (16, 32, 64, 128)

Sides = tuple[dict[int, list[Crop]], dict[int, list[Crop]]]


def mot_crops(root: Path) -> Sides:
    """Crops by person, of the first half of the frames and of the second."""
    sides: Sides = (defaultdict(list), defaultdict(list))
    every = CropOptions(most_covered=1.0, most_width=2.0)
    for number, truth_file in enumerate(sorted(root.glob("train/*/gt/gt.txt"))):
        truth = read_truth(truth_file, every.least_height, visible=0.3)
        frames = sorted(truth.boxes)
        for place, frame in enumerate(frames):
            file = truth_file.parent.parent / "img1" / f"{frame + 1:06d}.jpg"
            boxes, people = truth.boxes[frame], truth.people[frame]
            for crop in cut(cv2.imread(str(file)), boxes, boxes, every):
                person = 100_000 * number + int(people[crop.row])
                kept = crop._replace(picture=crop.picture.copy())
                sides[2 * place >= len(frames)][person].append(kept)
    return sides


def walker_crops(identities: int) -> Sides:
    """Crops by person, of camera 1 and of camera 2."""
    sides: Sides = (defaultdict(list), defaultdict(list))
    images = walkers(test_identities=identities).query
    for i in range(len(images)):
        picture = np.ascontiguousarray(images.read(i)[:, :, ::-1])
        height, width = picture.shape[:2]
        box = np.array([[3, 3, width - 3, height - 3]], np.float32)
        (crop,) = cut(picture, box, box, CropOptions())
        sides[int(images.cameras[i]) - 1][int(images.labels[i])].append(crop)
    return sides


def rank1(query: Codes, gallery: Codes, weighted: bool) -> float:
    who = np.arange(len(query))
    groups = rank_codes(query, gallery, who, who, who * 0, who * 0 + 1, "none", weighted=weighted)
    return float(summarise(groups)["rank1"])


def rank1_of_values(values: np.ndarray, gallery: Codes) -> float:
    groups = tie_groups(asymmetric(values, gallery), np.eye(len(values), dtype=np.bool_))
    return float(summarise(groups)["rank1"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mot", type=Path, help="folder in MOT17's layout")
    parser.add_argument("--walkers", action="store_true", help="the built-in walkers")
    parser.add_argument("--identities", type=int, default=100, help="of the walkers")
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    if arguments.mot is None and not arguments.walkers:
        parser.error("name data: --mot DIR, or --walkers")
    encoder = load_model(
        find_model(arguments.model, "walkers" if arguments.walkers else "cuhk03", RUNS)
    )
    sides = walker_crops(arguments.identities) if arguments.walkers else mot_crops(arguments.mot)
    people = sorted(person for person in sides[0] if person in sides[1])
    codes, quality, values = [], [], []
    for side in sides:
        crops = [crop for person in people for crop in side[person]]
        ends = np.cumsum([len(side[person]) for person in people])[:-1]
        outputs, _ = encoder.outputs(network_input(crops, encoder.size))
        encoded, real = encoder.binarise(outputs), query_values(outputs)
        rows = np.split(np.arange(len(crops)), ends)
        codes.append([encoded[row] for row in rows])
        quality.append([[crops[i].quality for i in row] for row in rows])
        means = [
            np.average(real[row], axis=0, weights=np.add(votes, 1e-9))
            for row, votes in zip(rows, quality[-1], strict=True)
        ]
        values.append(np.array(means))
    counts = [sum(map(len, side)) for side in codes]
    print(f"{len(people)} people, {counts[0]} crops on one side and {counts[1]} on the other")
    draw = np.random.default_rng(0)
    print("bits   single crop   track's code   against single crops   real values against tracks")
    template = codes[0][0]

    def joined(rows: list[Codes]) -> Codes:
        packed = np.concatenate([row.packed for row in rows])
        return Codes(packed, template.bits, template.weights, template.model)

    tracks = [
        joined([majority(c, q) for c, q in zip(*side, strict=True)])
        for side in zip(codes, quality, strict=True)
    ]
    singles = [
        [joined([one[[draw.integers(len(one))]] for one in side]) for side in codes]
        for _ in range(DRAWS)
    ]
    for bits in (length for length in LENGTHS if length <= template.bits):
        drawn = [rank1(*(side.prefix(bits) for side in pair), True) for pair in singles]
        whole = rank1(tracks[0].prefix(bits), tracks[1].prefix(bits), True)
        mixed = [rank1(tracks[0].prefix(bits), pair[1].prefix(bits), True) for pair in singles]
        print(
            f"{bits:4}   {100 * np.mean(drawn):4.1f} ± {100 * np.std(drawn):3.1f}"
            f"{100 * whole:15.1f}{100 * np.mean(mixed):17.1f} ± {100 * np.std(mixed):3.1f}"
            f"{100 * rank1_of_values(values[0][:, :bits], tracks[1].prefix(bits)):28.1f}"
        )


if __name__ == "__main__":
    main()
