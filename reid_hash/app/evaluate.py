"""Evaluation: a model and a data set in, figures by code length out."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

from matplotlib.figure import Figure
from rich.console import Console

from reid_hash.app.runs import (
    LENGTHS,
    RETRIEVAL_LENGTHS,
    USUAL_DATASET,
    StrPath,
    find_model,
    lengths_up_to,
    recorded_data_root,
)
from reid_hash.config.schema import DataConfig
from reid_hash.data import data_root, load_dataset
from reid_hash.data.dataset import Dataset
from reid_hash.data.random_halves import READERS as HALVED
from reid_hash.data.random_halves import TEN_HALVES
from reid_hash.errors import ConfigError
from reid_hash.evaluation import describe
from reid_hash.evaluation.encoded import (
    Embedded,
    check_lengths,
    check_matches,
    embed_dataset,
    encode_dataset,
)
from reid_hash.evaluation.open_set import open_set_line
from reid_hash.evaluation.reid import Row, curves, evaluate_floats
from reid_hash.evaluation.reid import evaluate as evaluate_reid
from reid_hash.evaluation.retrieval import TOP, RetrievalRow, evaluate_retrieval, shortage_notes
from reid_hash.models.foreign.network import Network
from reid_hash.models.load import open_model
from reid_hash.models.shipped import is_shipped
from reid_hash.report.plots import bits_plot, cmc_plot
from reid_hash.utils.progress import counting

SAME_IDENTITIES = (None, "single-shot", "cross-camera")
"""Protocols of CUHK03 that train and test the same identities; None is the usual one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateOptions:
    """What `evaluate`, `reid-hash cmc` and `reid-hash retrieval` take.

    Attributes:
        dataset: name of the data set; None for the one that the model was trained on.
        model: checkpoint, ONNX file, folder of a run, or name of a shipped model; or a network
            that was not trained here, as a `Network`; None for the newest run of the data set, else
            a shipped model.
        data: the data root; None for the usual one.
        bits: a code length or several; None for the usual ones up to the model's.
        protocol: split and evaluation; None for the one that the model was trained under.
        split: which of several published splits; None likewise.
        boxes: CUHK03's boxes, labeled or detected; None likewise.
        camera_rule: which gallery images a query must not find: market, cuhk03 or none; None
            likewise.
        task: "reid" for CMC, mAP and mINP; "retrieval" for mAP, precision and look-up in data sets
            with classes; None for the one that fits the data set.
        draws: gallery draws of a single-shot protocol.
        rerank: k-reciprocal re-ranking of every row; of re-identification, as all below.
        asymmetric: also rank queries that keep their real values against codes.
        open_set: also report TPIR at 1 % FPIR, with half of the identities as strangers.
        embedding: also evaluate the float embedding.
        seed: of the draws; None for 0.
        device: where to compute: auto, cpu, cuda or mps.
        skip_unreadable: leave out images that cannot be read.
        runs: folder of all runs; None where there are none.
    """

    dataset: str | None = None
    model: StrPath | Network | None = None
    data: StrPath | None = None
    bits: int | Iterable[int] | None = None
    protocol: str | None = None
    split: int | None = None
    boxes: str | None = None
    camera_rule: str | None = None
    task: Literal["reid", "retrieval"] | None = None
    draws: int = describe.DRAWS
    rerank: bool = False
    asymmetric: bool = False
    open_set: bool = False
    embedding: bool = False
    seed: int | None = None
    device: str = "auto"
    skip_unreadable: bool = False
    runs: Path | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Sequence[Mapping[str, Any]]):
    """Figures with what they are figures of; a sequence of the records that `--json` writes.

    Attributes:
        options: what was asked.
        model: the checkpoint's file, the ONNX file, or the network that was not trained here.
        fingerprint: of the model.
        trained_seed: seed of the model's training; 0 where it is not known.
        dataset: what was evaluated.
        split: which published split or draw of it.
        lengths: code lengths.
        rows: one for each length and distance.
        unreadable: images that were left out.
        seconds: it took to read and encode, and to evaluate.
        notes: what a reader of the figures must know.
    """

    options: EvaluateOptions
    model: Path | Network
    fingerprint: str
    trained_seed: int
    dataset: Dataset
    split: int
    lengths: Sequence[int]
    rows: Sequence[Row] | Sequence[RetrievalRow]
    unreadable: Sequence[str]
    seconds: Mapping[str, float]
    notes: Sequence[str] = ()

    @property
    def records(self) -> list[dict[str, Any]]:
        """Flat records of the rows."""
        return [dict(row.figures) for row in self.rows]

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.records[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        where = f"{self.dataset.name}, {self.dataset.protocol}"
        return f"<evaluation on {where}: {describe.summary(self.records)}>"

    @property
    def retrieval(self) -> bool:
        """Whether these are figures of image retrieval, and not of re-identification."""
        return _is_retrieval(self.options, self.dataset)

    @property
    def headlines(self) -> list[str]:
        """Lines to print above the table."""
        options, draws = self.options, self.options.draws
        model = f"model {self.model} ({self.fingerprint})"
        if self.retrieval:
            return [
                f"{describe.protocol_line(self.dataset, 0)} (split {self.split})",
                *(f"{name}: {words}" for name, words in describe.rules(self.dataset)),
                f"ties: {describe.TIES}",
                f"{model}, trained with seed {self.trained_seed}",
            ]
        return [
            describe.protocol_line(self.dataset, draws),
            f"camera rule {describe.CAMERA_RULES[self.dataset.camera_rule]}",
            f"ties: {describe.TIES}",
            *([f"open set: {open_set_line(draws)}"] if options.open_set else []),
            model + (", k-reciprocal re-ranking" if options.rerank else ""),
        ]

    def as_object(self) -> dict[str, Any]:
        """The object that `--json` writes."""
        options = self.options
        about: dict[str, Any] = {"fingerprint": self.fingerprint}
        seed, draws = options.seed or 0, options.draws
        if self.retrieval:
            seed, draws = self.trained_seed, 0
            about |= {
                "split": self.split,
                "queries": len(self.dataset.query),
                "database": len(self.dataset.gallery),
                "curves": curve_objects([r for r in self.rows if isinstance(r, RetrievalRow)]),
            }
        else:
            about |= {
                "rerank": options.rerank,
                "open_set": open_set_line(draws) if options.open_set else None,
            }
        about |= {"unreadable": list(self.unreadable), "seconds": dict(self.seconds)}
        return describe.result_object(
            self.dataset, str(self.model), seed, self.records, draws, **about
        )

    def plots(self) -> dict[str, Figure]:
        """By file name: CMC curves, or figures by code length."""
        if self.retrieval:
            names = ("map", f"precision_at_{TOP}")
            return {name: bits_plot(self.records, name) for name in names}
        rows = [row for row in self.rows if isinstance(row, Row)]
        title = describe.protocol_line(self.dataset, self.options.draws)
        return {"cmc": cmc_plot(curves(rows), title)}


def evaluate(
    dataset: str | None = None, *, console: Console | None = None, **options: Any
) -> Evaluation:
    """Evaluate a model's codes: what `reid-hash cmc` and `reid-hash retrieval` do.

    Args:
        dataset: name of the data set; None for the one that the model was trained on.
        console: for progress; None for none.
        **options: see `EvaluateOptions`.

    Returns:
        The records, one for each code length and distance, and what they are figures of.

    Raises:
        ReidHashError: the model, the data or an option is missing or wrong.
        TypeError: there is no option of that name.

    Example:
        records = evaluate("walkers", model="walkers", bits=[16, 64], asymmetric=True)
        print(records[0]["rank1"])
    """
    asked = EvaluateOptions(dataset, **options)
    if asked.rerank and asked.asymmetric:
        raise ConfigError(
            "--rerank needs distances within the gallery, and --asymmetric has none: choose one"
        )
    file = find_model(asked.model, dataset or USUAL_DATASET, asked.runs)
    encoder = open_model(file, asked.device)
    trained = encoder.config.data if encoder.config else None
    bits = [asked.bits] if isinstance(asked.bits, int) else list(asked.bits or ())
    if encoder.bits:
        check_lengths(bits, encoder.bits)
    elif bits or asked.asymmetric or not asked.embedding:
        alone = "evaluate them with --float, without --bits and --asymmetric, or "
        raise ConfigError(
            f"{file} gives floats, and no codes: {'' if asked.task == 'retrieval' else alone}fit a "
            "head with `reid-hash fit --network` and name it with --head"
        )
    config = _data_config(asked, trained)
    seed = encoder.config.seed if encoder.config else 0
    # walkers are drawn from the run's seed: another one would bring people of the training back
    drawn_from = seed if trained and config.dataset in trained.dataset.split("+") else 0
    own = file if isinstance(file, Path) else None
    root = Path(asked.data) if asked.data is not None else own and recorded_data_root(own)
    _log.info("data: %s in %s", config.dataset, data_root(root))
    found = load_dataset(config, root, drawn_from)
    retrieval = _is_retrieval(asked, found)
    check_matches(found, asked.open_set)
    if retrieval:
        found = found.with_notes(*shortage_notes(found))
    usual = RETRIEVAL_LENGTHS if retrieval else LENGTHS
    lengths = bits or (lengths_up_to(encoder.bits, usual) if encoder.bits else [])
    began = time.monotonic()
    images = len(found.query) + (len(found.gallery) if found.gallery is not found.query else 0)
    with counting(console, "encoding", images) as progress:
        made = encode_dataset if encoder.bits else embed_dataset
        encoded = made(encoder, found, asked.skip_unreadable, progress)
    read = time.monotonic()
    rows: list[Row] | list[RetrievalRow]
    draws: dict[str, Any] = {
        "draws": asked.draws,
        "seed": asked.seed or 0,
        "open_set": asked.open_set,
    }
    overlap: list[str] = []
    if isinstance(encoded, Embedded):
        rows = [evaluate_floats(encoded, found, rerank=asked.rerank, **draws)]
    elif retrieval:
        rows = list(evaluate_retrieval(encoded, found, lengths))
        overlap = _overlap_of_classes(config, trained) if trained else []
    else:
        rows = list(
            evaluate_reid(
                encoded,
                found,
                lengths,
                asymmetric=asked.asymmetric,
                embedding=asked.embedding,
                rerank=asked.rerank,
                **draws,
            )
        )
        overlap = _overlap_of_persons(config, trained) if trained else []
    seconds = {"encode": read - began, "evaluate": time.monotonic() - read}
    _log.info("encoding took %.1f s, evaluation %.1f s", *seconds.values())
    notes = [*found.notes, *overlap]
    if asked.model is None and not retrieval and own is not None and is_shipped(own):
        notes.append(f"no run of {found.name} here: this is the shipped model {own.stem}")
    weightless = [bits for bits in lengths if not encoder.bit_weights[:bits].any()]
    if weightless:
        shown = ", ".join(map(str, weightless))
        notes.append(f"the first {shown} bits all have weight 0: they have plain rows alone")
    if encoded.unreadable:
        names = "; ".join(encoded.unreadable)
        notes.append(f"{len(encoded.unreadable)} unreadable images left out: {names}")
    return Evaluation(
        asked,
        file,
        encoder.fingerprint,
        seed,
        found,
        config.split,
        lengths,
        rows,
        encoded.unreadable,
        seconds,
        notes,
    )


def _is_retrieval(options: EvaluateOptions, dataset: Dataset) -> bool:
    """Whether it is evaluated by image retrieval.

    Raises:
        ConfigError: the options do not fit the data set.
    """
    retrieval = dataset.by_class if options.task is None else options.task == "retrieval"
    if retrieval and not dataset.by_class:
        raise ConfigError(
            f"{dataset.name} is a data set of persons and cameras: evaluate it with "
            f"`reid-hash cmc --dataset {dataset.name}`"
        )
    for name in ("rerank", "asymmetric", "open_set", "embedding"):
        if retrieval and getattr(options, name):
            raise ConfigError(
                f"{name} is of re-identification, and {dataset.name} has classes: leave it out"
            )
    return retrieval


def _data_config(options: EvaluateOptions, trained: DataConfig | None) -> DataConfig:
    """The model's own data set and split, where the options do not say otherwise."""
    if trained is None:
        trained = DataConfig(dataset=USUAL_DATASET)
    first = trained.dataset.split("+")[0]
    name = options.dataset or first
    own = trained.model_copy(update={"dataset": first, "shares": ()})
    base = own if name == first else DataConfig(dataset=name)
    protocol = options.protocol
    if protocol is None and options.split is None and name != first and name in HALVED:
        protocol = TEN_HALVES  # a network that has seen none of it is tested on all of them
    given = {
        "protocol": protocol,
        "split": options.split,
        "boxes": options.boxes,
        "camera_rule": options.camera_rule,
    }
    if options.protocol is not None and options.camera_rule is None:
        given["camera_rule"], base = None, base.model_copy(update={"camera_rule": None})
    return base.model_copy(update={k: v for k, v in given.items() if v is not None})


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


def _overlap_of_persons(config: DataConfig, trained: DataConfig) -> list[str]:
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


def _overlap_of_classes(config: DataConfig, trained: DataConfig) -> list[str]:
    """A warning where queries may have been trained on."""
    if config.dataset != trained.dataset:
        return [f"the model was trained on {trained.dataset}"]
    if (config.protocol or "full", config.split) == (trained.protocol or "full", trained.split):
        return []
    return [
        f"the model was trained on protocol {trained.protocol or 'default'}, split {trained.split}:"
        " queries of this one may be among its training images"
    ]
