"""A training run from end to end: data, loop, evaluation, report."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from reid_hash.codes import Codes
from reid_hash.config import Config
from reid_hash.data import data_root, load_dataset
from reid_hash.data.hold_out import hold_out
from reid_hash.data.images import decode
from reid_hash.data.types import Dataset
from reid_hash.encoder import Encoder, network_outputs
from reid_hash.errors import DataError
from reid_hash.experiments.reid import Encoded, Row, encode_dataset, evaluate
from reid_hash.experiments.runs import lengths_up_to, new_run, record_run
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.nn.distributed import world_size
from reid_hash.nn.model import HashNet
from reid_hash.training import train


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a finished run leaves.

    Attributes:
        folder: of the run.
        checkpoint: the trained network.
        dataset: what it was trained and evaluated on.
        encoded: codes of query and gallery; None where the data set has none.
        rows: the evaluation at each of the lengths.
        seconds: of decoding and training.
    """

    folder: Path
    checkpoint: Checkpoint
    dataset: Dataset
    encoded: Encoded | None
    rows: Sequence[Row]
    seconds: float

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Flat records of the rows."""
        return [row.figures for row in self.rows]


def load_for(config: Config, data: Path | None) -> Dataset:
    """The data set of a configuration, with identities held out where it says so."""
    dataset = load_dataset(config.data, data, config.seed)
    if config.data.hold_out:
        dataset = hold_out(dataset, config.data.hold_out)
    return dataset


def train_run(
    config: Config,
    data: Path | None,
    folder: Path | None,
    *,
    resume: bool = False,
    device: str = "auto",
    skip_unreadable: bool = False,
    console: Console | None = None,
) -> RunResult | None:
    """Train a network and evaluate it.

    Args:
        config: the run.
        data: the data root.
        folder: of the run; a new one in `runs/` where it is None.
        resume: go on with the run in `folder`.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        console: for progress and remarks.

    Returns:
        The result, or None in all but the first of several processes.
    """
    began = time.monotonic()
    if int(os.environ.get("RANK", "0")):
        console = None  # of several processes the first one speaks
    folder = folder or new_run(config.data.dataset)
    dataset = load_for(config, data)
    if not len(dataset.train):
        raise DataError(f"{dataset.name} has no training images here")
    if console is not None:
        for note in dataset.notes:
            console.print(f"note: {note}", soft_wrap=True, markup=False)
        console.print(f"reading {len(dataset.train):,} training images …")
    pixels = decode(dataset.train, config.data.height, config.data.width, skip_unreadable)
    if pixels.unreadable and console is not None:
        _name_unreadable(pixels.unreadable, console)
    evaluate_net = None
    if config.train.evaluate_every and len(dataset.query):
        evaluate_net = _Watcher(dataset, config, device, skip_unreadable)
    checkpoint = train(
        config,
        pixels,
        folder,
        resume=resume,
        device=device,
        console=console,
        evaluate=evaluate_net,
        trained_on={
            "dataset": dataset.name,
            "protocol": dataset.protocol,
            "split": config.data.split,
            "notes": list(dataset.notes),
            "unreadable": len(pixels.unreadable),
        },
    )
    seconds = time.monotonic() - began
    record_run(folder, data_root(data))
    if world_size() > 1 and torch.distributed.get_rank() > 0:
        return None
    if not len(dataset.query):
        return RunResult(folder, checkpoint, dataset, None, [], seconds)
    encoder = Encoder(checkpoint, device)
    encoded = encode_dataset(encoder, dataset, skip_unreadable)
    lengths = lengths_up_to(encoder.bits)
    rows = list(evaluate(encoded, dataset, lengths, embedding=True, seed=config.seed))
    return RunResult(folder, checkpoint, dataset, encoded, rows, seconds)


def _name_unreadable(unreadable: Sequence[str], console: Console) -> None:
    console.print(f"note: {len(unreadable)} images cannot be read and are left out:")
    for reason in unreadable:
        console.print(f"  {reason}", soft_wrap=True, markup=False)


class _Watcher:
    """Evaluates a network while it is trained; nothing is chosen by its figures."""

    def __init__(
        self, dataset: Dataset, config: Config, device: str, skip_unreadable: bool
    ) -> None:
        self.dataset = dataset
        height, width = config.data.height, config.data.width
        self.query = decode(dataset.query, height, width, skip_unreadable)
        same = dataset.gallery is dataset.query
        self.gallery = (
            self.query if same else decode(dataset.gallery, height, width, skip_unreadable)
        )

    def __call__(self, net: HashNet) -> dict[str, float]:
        """Figures of the full code, unweighted: weights are fixed at the end."""
        device = next(net.parameters()).device
        query, query_embedding = network_outputs(net, self.query.images, device, flip=False)
        gallery, gallery_embedding = query, query_embedding
        if self.gallery is not self.query:
            gallery, gallery_embedding = network_outputs(
                net, self.gallery.images, device, flip=False
            )
        encoded = Encoded(
            Codes.from_outputs(query),
            Codes.from_outputs(gallery),
            self.query,
            self.gallery,
            query_embedding,
            gallery_embedding,
        )
        bits = encoded.query.bits
        row = next(evaluate(encoded, self.dataset, [bits], weightings=[False], draws=10))
        return {"rank1": row.figures["rank1"], "map": row.figures["map"]}
