"""`reid-hash retrieval`: a checkpoint and a labelled data set in, retrieval figures out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from reid_hash.app.runs import RETRIEVAL_LENGTHS, find_model, lengths_up_to, recorded_data_root
from reid_hash.config.schema import DataConfig
from reid_hash.data import load_dataset
from reid_hash.data.dataset import Dataset
from reid_hash.errors import ConfigError, DataError
from reid_hash.evaluation import describe
from reid_hash.evaluation.encoded import check_lengths, encode_dataset
from reid_hash.evaluation.retrieval import TOP, RetrievalRow, evaluate_retrieval
from reid_hash.models.load import load_model
from reid_hash.report.plots import bits_plot
from reid_hash.utils.progress import counting


@dataclass(frozen=True, eq=False)
class RetrievalReport:
    """Figures with what they are figures of.

    Attributes:
        model: the checkpoint's file.
        fingerprint: of the checkpoint.
        split: which published split or draw.
        seed: of the model's training.
        dataset: what was evaluated.
        rows: one a length and weighting.
        unreadable: images that were left out.
        seconds: it took to read and encode, and to evaluate.
        notes: what a reader of the figures must know.
    """

    model: Path
    fingerprint: str
    split: int
    seed: int
    dataset: Dataset
    rows: Sequence[RetrievalRow]
    unreadable: Sequence[str]
    seconds: Mapping[str, float]
    notes: Sequence[str] = field(default=())

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Flat records of the rows."""
        return [row.figures for row in self.rows]

    @property
    def headlines(self) -> list[str]:
        """Lines to print above the table."""
        rules = [f"{name}: {words}" for name, words in describe.rules(self.dataset)]
        return [
            f"{describe.protocol_line(self.dataset, 0)} (split {self.split})",
            *rules,
            f"ties: {describe.TIES}",
            f"model {self.model} ({self.fingerprint}), trained with seed {self.seed}",
        ]

    def as_object(self) -> dict[str, Any]:
        """The object that `--json` writes."""
        return describe.result_object(
            self.dataset,
            str(self.model),
            self.seed,
            self.records,
            0,
            split=self.split,
            queries=len(self.dataset.query),
            database=len(self.dataset.gallery),
            fingerprint=self.fingerprint,
            unreadable=list(self.unreadable),
            seconds=dict(self.seconds),
            curves=curve_objects(self.rows),
        )

    def plots(self) -> dict[str, Figure]:
        """By file name: the figures by code length."""
        return {name: bits_plot(self.records, name) for name in ("map", f"precision_at_{TOP}")}


def run_retrieval(
    dataset_name: str,
    lengths: Sequence[int] | None,
    model: Path | None,
    data: Path | None,
    *,
    protocol: str | None = None,
    split: int | None = None,
    device: str = "auto",
    skip_unreadable: bool = False,
    console: Console | None = None,
) -> RetrievalReport:
    """Evaluate a checkpoint by image retrieval, on the data set it was trained on or another.

    Args:
        dataset_name: the data set.
        lengths: code lengths; the usual ones where it is None.
        model: checkpoint, ONNX file or folder of a run; None for the newest run of the data set.
        data: the data root.
        protocol: how the data set is divided; None: as the model's training had it.
        split: which split or draw; None: as the model's training had it.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        console: for progress.

    Raises:
        ConfigError: a length that the codes do not have, or an unknown data set or protocol.
        DataError: the data set is missing, or has identities and cameras instead of classes.
    """
    file = find_model(model, dataset_name)
    encoder = load_model(file, device)
    trained = encoder.config
    chosen = list(lengths or lengths_up_to(encoder.bits, RETRIEVAL_LENGTHS))
    check_lengths(chosen, encoder.bits)
    config = DataConfig(dataset=dataset_name)
    if dataset_name == trained.data.dataset:
        config = trained.data.model_copy(update={"hold_out": 0})
    changes = {"protocol": protocol, "split": split}
    config = config.model_copy(update={k: v for k, v in changes.items() if v is not None})
    dataset = load_dataset(config, data or recorded_data_root(file), trained.seed)
    if not dataset.by_class:
        raise ConfigError(
            f"{dataset.name} is a data set of persons and cameras: evaluate it with "
            f"`reid-hash cmc --dataset {dataset.name}`"
        )
    if not len(dataset.query) or not len(dataset.gallery):
        raise DataError(f"{dataset.name}, {dataset.protocol}: there is no query or no database")
    began = time.monotonic()
    with counting(console, "encoding", len(dataset.query) + len(dataset.gallery)) as progress:
        encoded = encode_dataset(encoder, dataset, skip_unreadable, progress)
    read = time.monotonic()
    rows = list(evaluate_retrieval(encoded, dataset, chosen))
    seconds = {"encode": read - began, "evaluate": time.monotonic() - read}
    notes = [*dataset.notes, *_overlap(config, trained.data)]
    if encoded.unreadable:
        names = "; ".join(encoded.unreadable)
        notes.append(f"{len(encoded.unreadable)} unreadable images left out: {names}")
    return RetrievalReport(
        file,
        encoder.fingerprint,
        config.split,
        trained.seed,
        dataset,
        rows,
        encoded.unreadable,
        seconds,
        notes,
    )


def curve_objects(rows: Sequence[RetrievalRow]) -> list[dict[str, Any]]:
    """The curves of rows as `--json` has them."""
    return [
        {
            "method": row.figures["method"],
            "bits": row.figures["bits"],
            "weighted": row.figures["weighted"],
            "returned": row.curves.precision_curve[0].tolist(),
            "precision": row.curves.precision_curve[1].tolist(),
            "recall_levels": row.curves.pr_curve[0].tolist(),
            "precision_at_recall": row.curves.pr_curve[1].tolist(),
        }
        for row in rows
    ]


def _overlap(config: DataConfig, trained: DataConfig) -> list[str]:
    """A warning where queries may have been trained on."""
    if config.dataset != trained.dataset:
        return [f"the model was trained on {trained.dataset}"]
    if (config.protocol or "full", config.split) == (trained.protocol or "full", trained.split):
        return []
    return [
        f"the model was trained on protocol {trained.protocol or 'default'}, split {trained.split}:"
        " queries of this one may be among its training images"
    ]
