"""What each ingredient of the recipe for persons brings: on and off, over several seeds.

    python tools/ablation.py --data DIR --output runs/ablation
    python tools/ablation.py --data DIR --output runs/ablation --only full,no-prefixes --seeds 0,1,2

Networks of configs/cuhk03.yaml with one setting changed each, trained for fewer epochs without 100
of the training identities, and evaluated on these: the test identities choose nothing. Settings
that training does not look at are changed of the network `full`. Networks are also evaluated with
real-valued queries, and two of them with other bit weights than their own: none, |w|, log-
likelihood ratios from training pairs, and ("bound") those of the evaluated pairs themselves, which
nobody has and which say how much weights could bring. Finished networks are kept in the output
folder and not trained again; one that was stopped goes on. The table is of those that are there.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from reid_hash.app.train import load_for, train_run
from reid_hash.config.reading import load_config
from reid_hash.data.dataset import Dataset
from reid_hash.data.images import decode
from reid_hash.errors import ReidHashError
from reid_hash.evaluation.encoded import encode_dataset
from reid_hash.evaluation.reid import evaluate
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import Checkpoint, load_checkpoint
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.refit import likelihood_weights
from reid_hash.utils.files import replacing

VARIANTS: Mapping[str, Sequence[str]] = {
    "full": [],
    "no-refit": ["refit.steps=0"],
    "no-prefixes": ["loss.prefixes=[]"],
    "no-triplets": ["loss.triplet=0"],
    "no-classification": ["loss.code_cross_entropy=0"],
    "no-regulariser": ["loss.regulariser=0"],
    "no-erasing": ["augment.erase=0"],
    "no-colour": ["augment.colour=0"],
    "no-shift-and-zoom": ["augment.shift=0", "augment.zoom=0"],
    "low-resolution": ["augment.low_resolution=0.3"],
    "no-batch-norm": ["model.batch_norm=false", "loss.beta=5"],
    "adamw": ["train.optimiser=adamw", "train.learning_rate=0.006", "train.weight_decay=0.05"],
    "monotone": ["model.weights=monotone"],
    "embedding": ["loss.cross_entropy=0.5"],
    "distillation": ["loss.cross_entropy=0.5", "loss.distillation=1"],
}
EVALUATED: Mapping[str, Sequence[str]] = {
    "no-soft-stripes": ["model.soft_stripes=false"],
    "no-flip-average": ["model.flip_average=false"],
}
"""What is changed of the trained network `full`."""
WEIGHED = ("full", "monotone")
"""Of which networks other bit weights are tried."""
KINDS = ("own", "none", "magnitude", "likelihood", "bound", "asymmetric")
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
                try:
                    run(name, seed, args.epochs, args.data, folder)
                except ReidHashError as error:
                    sys.exit(f"error: {error}")
    shown = [*names, *EVALUATED] if "full" in names else names
    print(table(args.output, shown, args.epochs))


def run(name: str, seed: int, epochs: int, data: Path, folder: Path) -> None:
    """Train a network and write its figures; of `full`, those of `EVALUATED` too."""
    changes = [*SETTINGS, f"seed={seed}", f"train.epochs={epochs}", *VARIANTS[name]]
    config = load_config("cuhk03", changes)
    if (folder / "model.safetensors").exists():  # stopped while it was evaluated
        checkpoint = load_checkpoint(folder / "model.safetensors")
    else:
        resume = (folder / "state.safetensors").exists()
        result = train_run(config, [data], folder, resume=resume, console=Console(stderr=True))
        assert result is not None
        checkpoint = result.checkpoint
    dataset = load_for(config, [data])
    for other, settings in EVALUATED.items() if name == "full" else ():
        changed = HashNet(load_config("cuhk03", [*changes, *settings]))
        changed.load_state_dict(checkpoint.net.state_dict())
        beside = folder.with_name(folder.name.replace("full", other))
        write(figures(replace(checkpoint, net=changed), dataset), beside)
    write(figures(checkpoint, dataset, weighed=name in WEIGHED), folder)


def write(found: Mapping[str, Mapping[str, float]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "ablation.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1))


def figures(
    checkpoint: Checkpoint, dataset: Dataset, weighed: bool = False
) -> dict[str, dict[str, float]]:
    """Rank-1 by weights and length; with real-valued queries; of the float embedding.

    Args:
        checkpoint: the network.
        dataset: it is evaluated on; its training images give the likelihood ratios.
        weighed: with other weights than the network's own, too.
    """
    encoder = TorchEncoder(checkpoint, "cpu")
    encoded = encode_dataset(encoder, dataset)
    weightings: dict[str, NDArray[np.floating]] = {"own": checkpoint.bit_weights}
    if weighed:
        pixels = decode(dataset.train, *encoder.size)
        ones = encoder.outputs(pixels.images)[0] > 0
        factors = checkpoint.net.weight.weight.detach().double().numpy()
        weightings |= {
            "none": np.ones(len(factors)),
            "magnitude": np.abs(factors),
            "likelihood": likelihood_weights(ones, pixels.labels, pixels.cameras),
            "bound": likelihood_weights(
                encoded.query.unpack(), encoded.query_pixels.labels, encoded.query_pixels.cameras
            ),
        }
    found: dict[str, dict[str, float]] = {}
    for kind, weights in weightings.items():
        own = kind == "own"
        rows = evaluate(
            encoded.reweighted(weights),
            dataset,
            LENGTHS,
            weightings=[True],
            embedding=own,
            asymmetric=own,
        )
        for row in rows:
            about, length = kind, str(row.figures["bits"])
            if row.figures["method"] != "codes":
                about, length = "float", "all"
            elif row.figures.get("asymmetric"):
                about = "asymmetric"
            found.setdefault(about, {})[length] = row.figures["rank1"]
    return found


def table(output: Path, names: Sequence[str], epochs: int) -> str:
    """Markdown: rank-1 in percent, mean ± deviation over the seeds that are there."""
    lines = [
        "| network | seeds | weights | " + " | ".join(f"{n} bits" for n in LENGTHS) + " | float |",
        "|---|---:|---|" + "---:|" * (len(LENGTHS) + 1),
    ]
    for name in names:
        files = sorted(output.glob(f"{name}-{epochs}-[0-9]*/ablation.json"))
        if not files:
            continue
        runs = [json.loads(file.read_text()) for file in files]
        kinds = [kind for kind in KINDS if all(kind in run for run in runs)]
        for kind in kinds:
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
