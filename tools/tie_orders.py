"""What breaking ties does to a ranking by Hamming distance: plain, weighted, and in random orders.

    python tools/tie_orders.py --model runs/cifar10/TIME --dataset cifar10 --data DIR

Plain distances tie, and count as expected over random orders of the tied images. Weights rank whole
codes one after the other. As a control, the tied codes are ranked by weights that mean nothing,
drawn from 1 to 1.01: all their images together, as with the learned weights.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_hash.app.runs import RUNS, find_model
from reid_hash.config.schema import DataConfig
from reid_hash.data import load_dataset
from reid_hash.evaluation.encoded import encode_dataset
from reid_hash.evaluation.retrieval import evaluate_retrieval
from reid_hash.models.load import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="checkpoint or run")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--protocol")
    parser.add_argument("--data", type=Path, required=True, help="data root")
    parser.add_argument("--orders", type=int, default=5, help="random ones")
    args = parser.parse_args()

    dataset = load_dataset(DataConfig(dataset=args.dataset, protocol=args.protocol), args.data)
    encoded = encode_dataset(load_model(find_model(args.model, args.dataset, RUNS)), dataset)
    bits = encoded.gallery.bits
    distinct = len(np.unique(encoded.gallery.packed, axis=0))
    print(f"{bits} bits, {distinct:,} different codes of {len(encoded.gallery):,} in the database")
    print("| ties | mAP | P@500 |\n|---|---:|---:|")
    random = np.random.default_rng(0)
    weights: dict[str, NDArray[np.floating]] = {
        "left as they are (plain)": np.ones(bits),
        "broken by the weights": encoded.gallery.weights,
    }
    for number in range(args.orders):
        weights[f"broken in random order {number + 1}"] = 1 + 0.01 * random.random(bits)
    for name, some in weights.items():
        row = next(evaluate_retrieval(encoded.reweighted(some), dataset, [bits]))
        figures = row.figures
        print(f"| {name} | {figures['map']:.4f} | {figures['precision_at_500']:.4f} |", flush=True)


if __name__ == "__main__":
    main()
