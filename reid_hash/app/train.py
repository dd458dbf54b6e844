"""A training run from end to end: data, loop, evaluation, report."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from reid_hash.app.runs import LENGTHS, RETRIEVAL_LENGTHS, lengths_up_to, new_run, record_run
from reid_hash.codes import Codes
from reid_hash.config.schema import Config, DataConfig
from reid_hash.data import data_root, load_dataset
from reid_hash.data.dataset import Dataset
from reid_hash.data.hold_out import hold_out
from reid_hash.data.images import Pixels, decode
from reid_hash.data.several import join
from reid_hash.errors import ConfigError, DataError
from reid_hash.evaluation.encoded import Encoded, encode_dataset
from reid_hash.evaluation.reid import Row, evaluate
from reid_hash.evaluation.retrieval import TOP, RetrievalRow, evaluate_retrieval
from reid_hash.models.torch_encoder import TorchEncoder, network_outputs
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.distributed import world_size
from reid_hash.training.loop import train
from reid_hash.utils.visible import remark


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a finished run leaves.

    Attributes:
        folder: of the run.
        checkpoint: the trained network.
        dataset: what it was trained and evaluated on.
        encoded: codes of query and gallery; None where the data set has none.
        rows: the evaluation at each of the lengths.
    """

    folder: Path
    checkpoint: Checkpoint
    dataset: Dataset
    encoded: Encoded | None
    rows: Sequence[Row] | Sequence[RetrievalRow]

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Flat records of the rows."""
        return [row.figures for row in self.rows]


def load_for(config: Config, roots: Sequence[Path]) -> Dataset:
    """The data set of a configuration, with identities held out where it says so.

    Args:
        config: of the run. Of data sets joined by +, the first is evaluated, under
            config.data.protocol; of the others, all that is for training is taken.
        roots: the data root, or one for each of the joined data sets; none for the usual one.

    Raises:
        ConfigError: there are more roots than data sets, or neither one nor as many as these; or
            it is said which identities are held out and not how many.
    """
    first, *others = config.data.dataset.split("+")
    if len(roots) not in (0, 1, 1 + len(others)):
        raise ConfigError(
            f"--data is given {len(roots)} times for {1 + len(others)} data sets; give it once, "
            "or once for each, in their order"
        )
    places = [roots[min(n, len(roots) - 1)] if roots else None for n in range(1 + len(others))]
    own = config.data.model_copy(update={"dataset": first, "shares": ()})
    dataset = load_dataset(own, places[0], config.seed)
    if config.data.held_out == "last" and not config.data.hold_out:
        raise ConfigError("data.held_out=last needs a number of identities: set data.hold_out")
    if config.data.hold_out:
        dataset = hold_out(dataset, config.data.hold_out, config.data.split, config.data.held_out)
    more = []
    for name, place in zip(others, places[1:], strict=True):
        protocol = "train-only" if name == "market1501" else None
        wanted = DataConfig(dataset=name, protocol=protocol, boxes=config.data.boxes)
        more.append(load_dataset(wanted, place, config.seed))
    return join([dataset, *more])


def train_run(
    config: Config,
    data: Sequence[Path],
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
        data: the data root, or one for each of several joined data sets; none for the usual one.
        folder: of the run; a new one in `runs/` where it is None.
        resume: go on with the run in `folder`.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        console: for progress and remarks.

    Returns:
        The result, or None in all but the first of several processes.
    """
    if int(os.environ.get("RANK", "0")):
        console = None  # of several processes the first one speaks
    folder = folder or new_run(config.data.dataset)
    dataset = load_for(config, data)
    if not len(dataset.train):
        raise DataError(f"{dataset.name} has no training images here")
    if console is not None:
        for note in dataset.notes:
            remark(console, f"note: {note}")
        console.print(f"reading {len(dataset.train):,} training images …")
    pixels = decode(dataset.train, config.data.height, config.data.width, skip_unreadable)
    if pixels.unreadable and console is not None:
        _name_unreadable(pixels.unreadable, console)
    evaluate_net = None
    if config.train.evaluate_every and len(dataset.query):
        evaluate_net = _Watcher(dataset, config, pixels, skip_unreadable)
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
    record_run(folder, data_root(data[0] if data else None))
    if world_size() > 1 and torch.distributed.get_rank() > 0:
        return None
    if not len(dataset.query):
        return RunResult(folder, checkpoint, dataset, None, [])
    encoder = TorchEncoder(checkpoint, device)
    encoded = encode_dataset(encoder, dataset, skip_unreadable, train_pixels=pixels)
    return RunResult(folder, checkpoint, dataset, encoded, _rows(encoded, dataset, config.seed))


def _rows(encoded: Encoded, dataset: Dataset, seed: int) -> list[Row] | list[RetrievalRow]:
    lengths = lengths_up_to(encoded.query.bits, RETRIEVAL_LENGTHS if dataset.by_class else LENGTHS)
    if dataset.by_class:
        return list(evaluate_retrieval(encoded, dataset, lengths))
    return list(evaluate(encoded, dataset, lengths, embedding=True, seed=seed))


def _name_unreadable(unreadable: Sequence[str], console: Console) -> None:
    console.print(f"note: {len(unreadable)} images cannot be read and are left out:")
    for reason in unreadable:
        remark(console, f"  {reason}")


class _Watcher:
    """Evaluates a network while it is trained; nothing is chosen by its figures."""

    def __init__(
        self, dataset: Dataset, config: Config, train: Pixels, skip_unreadable: bool
    ) -> None:
        self.dataset = dataset
        height, width = config.data.height, config.data.width
        self.query = decode(dataset.query, height, width, skip_unreadable)
        if dataset.gallery is dataset.query:
            self.gallery = self.query
        elif dataset.gallery is dataset.train:
            self.gallery = train
        else:
            self.gallery = decode(dataset.gallery, height, width, skip_unreadable)

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
        bits = [encoded.query.bits]
        if self.dataset.by_class:
            found = next(evaluate_retrieval(encoded, self.dataset, bits, weightings=[False]))
            return {name: found.figures[name] for name in ("map", f"precision_at_{TOP}")}
        row = next(evaluate(encoded, self.dataset, bits, weightings=[False], draws=10))
        return {"rank1": row.figures["rank1"], "map": row.figures["map"]}
