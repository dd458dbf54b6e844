"""What each ingredient of the recipe for persons brings: on and off, over several seeds.

    python tools/ablation.py --data DIR --output runs/ablation
    python tools/ablation.py --data DIR --output runs/ablation --only full,no-prefixes --seeds 0,1,2

Networks of configs/cuhk03.yaml with one setting changed each, trained for fewer epochs without 100
of the training identities, and evaluated on these: the test identities choose nothing. Every
network is also evaluated with other bit weights than its own: none, |w|, and log-likelihood ratios
from its training pairs. Finished networks are kept in the output folder and not trained again;
one that was stopped goes on. The table is of those that are there.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from reid_hash.bit_weights import likelihood_weights
from reid_hash.config import Config
from reid_hash.config_file import load_config
from reid_hash.data.images import decode
from reid_hash.encoder import network_outputs
from reid_hash.experiments.reid import evaluate
from reid_hash.experiments.train import RunResult, train_run
from reid_hash.files import replacing

VARIANTS: Mapping[str, Sequence[str]] = {
    "full": [],
    "no-prefixes": ["loss.prefixes=[]"],
    "no-triplets": ["loss.triplet=0"],
    "no-classification": ["loss.code_cross_entropy=0"],
    "no-regulariser": ["loss.regulariser=0"],
    "no-erasing": ["augment.erase=0"],
    "no-colour": ["augment.colour=0"],
    "no-batch-norm": ["model.batch_norm=false", "loss.beta=5"],
    "no-soft-stripes": ["model.soft_stripes=false"],
    "no-flip-average": ["model.flip_average=false"],
    "adamw": ["train.optimiser=adamw", "train.learning_rate=0.006", "train.weight_decay=0.05"],
    "monotone": ["model.weights=monotone"],
    "embedding": ["loss.cross_entropy=0.5"],
    "distillation": ["loss.cross_entropy=0.5", "loss.distillation=1"],
}
LENGTHS = (32, 64, 128)
SETTINGS = ("data.hold_out=100",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="data root with CUHK03")
    parser.add_argument("--output", type=Path, required=True, help="folder of the networks")
    parser.add_argument("--only", default=",".join(VARIANTS), help="some of the variants")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--table", action="store_true", help="train nothing, print what is there")
    args = parser.parse_args()
    names, seeds = args.only.split(","), [int(seed) for seed in args.seeds.split(",")]
    if unknown := set(names) - set(VARIANTS):
        parser.error(f"no variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    for seed in () if args.table else seeds:  # all variants with one seed before the next
        for name in names:
            folder = args.output / f"{name}-{args.epochs}-{seed}"
            if not (folder / "ablation.json").exists():
                run(name, seed, args.epochs, args.data, folder)
    print(table(args.output, names, args.epochs))


def run(name: str, seed: int, epochs: int, data: Path, folder: Path) -> None:
    """Train a network and write its figures."""
    changes = [*SETTINGS, f"seed={seed}", f"train.epochs={epochs}", *VARIANTS[name]]
    config = load_config("cuhk03", changes)
    resume = (folder / "state.safetensors").exists()
    result = train_run(config, [data], folder, resume=resume, console=Console(stderr=True))
    with replacing(folder / "ablation.json") as temporary:
        temporary.write_text(json.dumps(figures(result, config), indent=1))


def figures(result: RunResult, config: Config) -> dict[str, dict[str, float]]:
    """Rank-1 by weights and length: with the network's own, with others; of the float embedding."""
    encoded, net = result.encoded, result.checkpoint.net
    height, width = config.data.height, config.data.width
    pixels = decode(result.dataset.train, height, width)
    outputs, _ = network_outputs(net, pixels.images, flip=config.model.flip_average)
    factors = net.weight.weight.detach().double().numpy()
    weightings: dict[str, NDArray[np.float64]] = {
        "own": result.checkpoint.bit_weights.astype(np.float64),
        "magnitude": np.abs(factors),
        "likelihood": likelihood_weights(outputs > 0, pixels.labels, pixels.cameras),
        "none": np.ones(len(factors)),
    }
    found: dict[str, dict[str, float]] = {}
    for kind, weights in weightings.items():
        some = encoded.reweighted(weights)
        rows = evaluate(some, result.dataset, LENGTHS, weightings=[True], embedding=kind == "own")
        for row in rows:
            about = "float" if row.figures["method"] != "codes" else kind
            length = "all" if about == "float" else str(row.figures["bits"])
            found.setdefault(about, {})[length] = row.figures["rank1"]
    return found


def table(output: Path, names: Sequence[str], epochs: int) -> str:
    """Markdown: rank-1 in percent, mean ± deviation over the seeds that are there."""
    lines = [
        "| network | seeds | weights | " + " | ".join(f"{n} bits" for n in LENGTHS) + " | float |",
        "|---|---:|---|" + "---:|" * (len(LENGTHS) + 1),
    ]
    for name in names:
        files = sorted(output.glob(f"{name}-{epochs}-*/ablation.json"))
        if not files:
            continue
        runs = [json.loads(file.read_text()) for file in files]
        others = ["none", "magnitude", "likelihood"] if name in ("full", "monotone") else []
        for kind in ("own", *others):
            cells = [spread([run[kind][str(n)] for run in runs]) for n in LENGTHS]
            cells.append(spread([run["float"]["all"] for run in runs]) if kind == "own" else "")
            lines.append(f"| {name} | {len(runs)} | {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Mean ± deviation of fractions, in percent."""
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


if __name__ == "__main__":
    main()
