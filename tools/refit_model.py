"""Refit the hash layer of a finished run: what `refit.steps` does at the end of training.

    python tools/refit_model.py runs/cuhk03/TIME REFITTED.safetensors --data DIR

Reads the images that the run was trained on: as many data roots as the run had. Codes of the two
models cannot be compared.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from reid_hash.app.runs import RUNS, find_model
from reid_hash.app.train import load_for
from reid_hash.config.reading import load_config
from reid_hash.data.images import decode
from reid_hash.errors import ConfigError, ReidHashError
from reid_hash.nn.checkpoint import load_checkpoint, save_checkpoint
from reid_hash.training.refit import freeze


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="a run or its model file")
    parser.add_argument("target", type=Path, help="the file to write")
    parser.add_argument("--data", type=Path, action="append", required=True, help="data root")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="refit.KEY=VALUE",
        help="change one setting of the refit (reid_hash/config/schema.py); else 400 steps, and "
        "lengths of 16, 32, 64 and 128 bits beside the full one",
    )
    args = parser.parse_args()
    if any(not setting.startswith("refit.") for setting in args.set):
        parser.error("--set: refit.KEY=VALUE; all else is as the network was trained")
    try:
        refit_run(args)
    except ReidHashError as error:
        sys.exit(str(error))


def refit_run(args: argparse.Namespace) -> None:
    checkpoint = load_checkpoint(find_model(args.model, "cuhk03", RUNS))
    net = checkpoint.net
    options = {"steps": 400, "prefixes": [16, 32, 64, 128]}
    values = net.config.model_dump() | {"refit": options}
    net.config = load_config(settings=args.set, base=values)
    if not net.config.refit.steps:
        raise ConfigError("refit.steps: at least 1")
    dataset = load_for(net.config, args.data)
    pixels = decode(dataset.train, net.config.data.height, net.config.data.width)
    print(f"refitting on {len(pixels):,} images of {dataset.name} …", flush=True)
    refitted = freeze(net, pixels, torch.device("cpu"))
    save_checkpoint(args.target, replace(refitted, trained_on=checkpoint.trained_on))
    print(f"wrote {args.target}")


if __name__ == "__main__":
    main()
