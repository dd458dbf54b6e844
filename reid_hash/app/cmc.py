"""`reid-hash cmc`: a checkpoint and a data set in, CMC curves of several code lengths out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from reid_hash.app.runs import find_model, lengths_up_to, recorded_data_root
from reid_hash.config.schema import DataConfig
from reid_hash.data import load_dataset
from reid_hash.data.dataset import Dataset
from reid_hash.errors import ConfigError, DataError
from reid_hash.evaluation import describe
from reid_hash.evaluation.encoded import check_lengths, encode_dataset
from reid_hash.evaluation.open_set import open_set_line
from reid_hash.evaluation.reid import Row, curves, evaluate
from reid_hash.models.load import load_model
from reid_hash.models.shipped import is_shipped
from reid_hash.report.plots import cmc_plot
from reid_hash.utils.progress import counting

SAME_IDENTITIES = (None, "single-shot", "cross-camera")
"""Protocols of CUHK03 that train and test the same identities; None is the usual one."""


@dataclass(frozen=True)
class CmcOptions:
    """What is evaluated; None leaves a choice to the model or the data set.

    Attributes:
        lengths: code lengths.
        dataset: name of the data set.
        protocol: split and evaluation.
        split: which of several published splits.
        boxes: CUHK03's boxes.
        draws: gallery draws of a single-shot protocol.
        rerank: k-reciprocal re-ranking.
        embedding: also evaluate the float embedding.
        real_query: also rank by the query's real values (asymmetric).
        seed: of the draws.
        open_set: also ask what strangers are answered.
    """

    lengths: Sequence[int] | None = None
    dataset: str | None = None
    protocol: str | None = None
    split: int | None = None
    boxes: str | None = None
    draws: int = 100
    rerank: bool = False
    embedding: bool = False
    real_query: bool = False
    seed: int = 0
    open_set: bool = False


@dataclass(frozen=True, eq=False)
class CmcResult:
    """Figures with what they are figures of.

    Attributes:
        options: what was asked.
        model: the checkpoint's file, or the ONNX file.
        fingerprint: of the checkpoint.
        dataset: what was evaluated.
        lengths: code lengths.
        rows: one a length and weighting.
        unreadable: images that were left out.
        seconds: it took to read, encode, and evaluate.
        notes: what a reader of the figures must know.
    """

    options: CmcOptions
    model: Path
    fingerprint: str
    dataset: Dataset
    lengths: Sequence[int]
    rows: Sequence[Row]
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
        return [
            describe.protocol_line(self.dataset, self.options.draws),
            f"camera rule {describe.CAMERA_RULES[self.dataset.camera_rule]}",
            f"ties: {describe.TIES}",
            *([f"open set: {open_set_line(self.options.draws)}"] if self.options.open_set else []),
            f"model {self.model} ({self.fingerprint})"
            + (", k-reciprocal re-ranking" if self.options.rerank else ""),
        ]

    def as_object(self) -> dict[str, Any]:
        """The object that `--json` writes."""
        return describe.result_object(
            self.dataset,
            str(self.model),
            self.options.seed,
            self.records,
            self.options.draws,
            fingerprint=self.fingerprint,
            rerank=self.options.rerank,
            open_set=open_set_line(self.options.draws) if self.options.open_set else None,
            unreadable=list(self.unreadable),
            seconds=dict(self.seconds),
        )

    def plot(self) -> Figure:
        """CMC curves of all rows."""
        return cmc_plot(curves(self.rows), describe.protocol_line(self.dataset, self.options.draws))


def run_cmc(
    options: CmcOptions,
    model: Path | None,
    data: Path | None,
    *,
    device: str = "auto",
    skip_unreadable: bool = False,
    console: Console | None = None,
) -> CmcResult:
    """Evaluate a checkpoint.

    Args:
        options: what is evaluated.
        model: checkpoint, ONNX file or folder of a run; None for the newest run of the data set.
        data: the data root.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        console: for progress.
    """
    if options.rerank and options.real_query:
        raise ConfigError(
            "--rerank needs distances within the gallery, and --asymmetric has none: choose one"
        )
    file = find_model(model, options.dataset or "cuhk03")
    encoder = load_model(file, device)
    trained = encoder.config.data
    lengths = list(options.lengths or lengths_up_to(encoder.bits))
    check_lengths(lengths, encoder.bits)
    config = _data_config(options, trained)
    # walkers are drawn from the run's seed: another one would bring people of the training back
    drawn_from = encoder.config.seed if config.dataset in trained.dataset.split("+") else 0
    dataset = load_dataset(config, data or recorded_data_root(file), drawn_from)
    if not len(dataset.query) or not len(dataset.gallery):
        raise DataError(f"{dataset.name}, {dataset.protocol}: there is no query or no gallery")
    began = time.monotonic()
    images = len(dataset.query)
    if dataset.gallery is not dataset.query:
        images += len(dataset.gallery)
    with counting(console, "encoding", images) as progress:
        encoded = encode_dataset(encoder, dataset, skip_unreadable, progress)
    read = time.monotonic()
    rows = list(
        evaluate(
            encoded,
            dataset,
            lengths,
            real_query=options.real_query,
            embedding=options.embedding,
            rerank=options.rerank,
            draws=options.draws,
            seed=options.seed,
            open_set=options.open_set,
        )
    )
    seconds = {"encode": read - began, "evaluate": time.monotonic() - read}
    notes = [*dataset.notes, *_overlap(config, trained)]
    if model is None and is_shipped(file):
        notes.append(f"no run of {dataset.name} here: this is the shipped model {file.stem}")
    if encoded.unreadable:
        names = "; ".join(encoded.unreadable)
        notes.append(f"{len(encoded.unreadable)} unreadable images left out: {names}")
    return CmcResult(
        options,
        file,
        encoder.fingerprint,
        dataset,
        lengths,
        rows,
        encoded.unreadable,
        seconds,
        notes,
    )


def _data_config(options: CmcOptions, trained: DataConfig) -> DataConfig:
    """The model's own data set and split, where the options do not say otherwise."""
    first = trained.dataset.split("+")[0]
    name = options.dataset or first
    own = trained.model_copy(update={"dataset": first, "shares": ()})
    base = own if name == first else DataConfig(dataset=name)
    chosen = {
        key: value
        for key, value in (
            ("protocol", options.protocol),
            ("split", options.split),
            ("boxes", options.boxes),
        )
        if value is not None
    }
    return base.model_copy(update=chosen)


def _overlap(config: DataConfig, trained: DataConfig) -> list[str]:
    """A warning where test identities may have been trained on."""
    one_split = [
        ("single-shot" if data.protocol in SAME_IDENTITIES else data.protocol, data.split)
        for data in (config, trained)
    ]
    may_be = "identities tested here may be among those it was trained on"
    first, *others = trained.dataset.split("+")
    if config.dataset in others:
        return [f"the model was trained on images of {config.dataset} too: {may_be}"]
    if config.dataset != first or one_split[0] == one_split[1]:
        return []
    protocol = trained.protocol or "default"
    return [f"the model was trained on protocol {protocol}, split {trained.split}: {may_be}"]
