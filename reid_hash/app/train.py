"""A training run from end to end: configuration, data, loop, evaluation, report."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from rich.console import Console

from reid_hash.app.run_report import write_run_report
from reid_hash.app.runs import (
    LENGTHS,
    RETRIEVAL_LENGTHS,
    StrPath,
    find_model,
    kept_in,
    lengths_up_to,
    new_run,
    record_run,
    resumable_run,
)
from reid_hash.codes import Codes
from reid_hash.config.reading import configs_folder, load_config
from reid_hash.config.schema import Config, DataConfig
from reid_hash.data import data_root, load_dataset
from reid_hash.data.dataset import Dataset
from reid_hash.data.hold_out import hold_out
from reid_hash.data.images import Pixels, decode
from reid_hash.data.joined import join
from reid_hash.errors import CheckpointError, ConfigError, DataError
from reid_hash.evaluation import describe
from reid_hash.evaluation.encoded import Encoded, check_matches, encode_dataset
from reid_hash.evaluation.reid import Row, evaluate
from reid_hash.evaluation.retrieval import TOP, RetrievalRow, evaluate_retrieval, shortage_notes
from reid_hash.models.frozen import frozen_floats
from reid_hash.models.run_files import CONFIG_FILE, MODEL_FILE, REPORT_FILE
from reid_hash.models.shipped import is_shipped
from reid_hash.models.torch_encoder import TorchEncoder, network_outputs
from reid_hash.nn.checkpoint import Checkpoint, load_checkpoint
from reid_hash.nn.frozen import PREFIX, FrozenNetwork
from reid_hash.nn.hashnet import HashNet
from reid_hash.training.distributed import world_size
from reid_hash.training.frozen import growing_of, is_frozen, settle_frozen
from reid_hash.training.loop import train as train_network
from reid_hash.utils.files import is_ordinary
from reid_hash.utils.terminal_text import remark

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainOptions:
    """What `train` and `reid-hash train` take.

    Attributes:
        dataset: name of a data set, or of several joined by +; the first is evaluated.
        data: the data root, or one for each of several joined data sets; none for the usual one.
        config: a YAML file, or the name of a shipped one; see `training_config` for the default.
        start: the network to start from: a checkpoint, the folder of a run, or a shipped model.
        bits: length of the code, `model.bits`; None for the configuration's.
        camera_rule: which gallery images a query must not find, `data.camera_rule`; None for the
            configuration's.
        settings: changes to the configuration, "section.key=value" each.
        resume: continue the stopped run in `output`, else the newest one in `runs`.
        output: folder of the run; None for a new one, `runs`/DATASET/TIME.
        seed: of all random draws; None for the configuration's.
        device: where to compute: auto, cpu, cuda or mps.
        skip_unreadable: leave out images that cannot be read.
        runs: folder of all runs; None where there are none.
    """

    dataset: str
    data: StrPath | Sequence[StrPath] = ()
    config: str | None = None
    start: StrPath | None = None
    bits: int | None = None
    camera_rule: str | None = None
    settings: str | Sequence[str] = ()
    resume: bool = False
    output: StrPath | None = None
    seed: int | None = None
    device: str = "auto"
    skip_unreadable: bool = False
    runs: Path | None = None


@dataclass(frozen=True, eq=False, repr=False)
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
        """Flat records of the rows, as `--json` has them."""
        return [row.figures for row in self.rows]

    @property
    def model(self) -> Path:
        """The file of the trained network."""
        return self.folder / MODEL_FILE

    @property
    def report(self) -> Path:
        """The HTML page about the run."""
        return self.folder / REPORT_FILE

    def __repr__(self) -> str:
        return f"<run on {self.dataset.name} in {self.folder}: {describe.summary(self.records)}>"


def train(dataset: str, *, console: Console | None = None, **options: Any) -> RunResult | None:
    """Train a hash network, evaluate it, and write the report: what `reid-hash train` does.

    Args:
        dataset: name of a data set, or of several joined by +.
        console: for progress and remarks; None for none.
        **options: see `TrainOptions`.

    Returns:
        The run, or None in all but the first of several processes.

    Raises:
        ReidHashError: a file, a setting or the data is missing or wrong.
        TypeError: there is no option of that name.

    Example:
        run = train("walkers", bits=64, settings=["train.epochs=1"], output="my-run")
        print(run.model, run.records[0]["rank1"])
    """
    asked = TrainOptions(dataset, **options)
    roots = [asked.data] if isinstance(asked.data, str | os.PathLike) else asked.data
    folder = None if asked.output is None else Path(asked.output)
    if folder is None and asked.resume:
        folder = resumable_run(dataset, asked.runs)
    settings = [asked.settings] if isinstance(asked.settings, str) else [*asked.settings]
    if asked.bits is not None:
        settings.append(f"model.bits={asked.bits}")
    if asked.camera_rule is not None:
        settings.append(f"data.camera_rule={asked.camera_rule}")
    if asked.seed is not None:
        settings.append(f"seed={asked.seed}")
    config = training_config(
        dataset, asked.config, settings, asked.start, folder if asked.resume else None, asked.runs
    )
    if folder is None:
        if asked.runs is None:
            raise ConfigError("name a folder for the run: output=…, or runs=… for all runs")
        folder = new_run(dataset, asked.runs)
    run = train_run(
        config,
        [Path(root) for root in roots],
        folder,
        resume=asked.resume,
        device=asked.device,
        skip_unreadable=asked.skip_unreadable,
        console=console,
    )
    if run is not None:
        write_run_report(run)
    return run


def training_config(
    dataset: str,
    name: str | None = None,
    settings: Sequence[str] = (),
    start: StrPath | None = None,
    resumed: Path | None = None,
    runs: Path | None = None,
) -> Config:
    """The configuration of a training.

    Args:
        dataset: or several, joined by +.
        name: of the configuration, or its file; None for that of the run which is resumed, else
            that of the network which is started from, else configs/DATASET.yaml of the (first) data
            set where there is one.
        settings: "section.key=value" each; they win.
        start: the network to start from: checkpoint, folder of a run, or name of a shipped model.
        resumed: folder of the run that is resumed.
        runs: folder of all runs; None where there are none.

    Raises:
        ConfigError, CheckpointError: a file is missing or wrong.
    """
    changes = [*settings, f"data.dataset={dataset}"]
    saved = None if resumed is None else resumed / CONFIG_FILE
    if start is not None:
        file = find_model(start, dataset, runs)
        changes.append(f"train.start={json.dumps(file.stem if is_shipped(file) else str(file))}")
        changes.append("model.pretrained=null")  # its weights would be replaced at once
        if name is None and (saved is None or not saved.is_file()):
            return load_config(None, changes, base=_recipe(file))
    if name is None and saved is not None and saved.is_file():
        name = str(saved)
    first = dataset.split("+")[0]
    if name is None and (configs_folder() / f"{first}.yaml").is_file():
        name = first
    _log.info("configuration: %s", name or "defaults")
    return load_config(name, changes)


def _recipe(file: Path) -> dict[str, Any]:
    """How a network was trained, without which images: those are another data set's."""
    config = load_checkpoint(file).net.config
    values = config.model_dump(mode="json", exclude={"seed"})
    values["data"] = {"height": config.data.height, "width": config.data.width}
    return values


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
    folder: Path,
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
        folder: of the run.
        resume: go on with the run in `folder`.
        device: where to compute.
        skip_unreadable: leave out images that cannot be read.
        console: for progress and remarks.

    Returns:
        The result, or None in all but the first of several processes.

    Raises:
        CheckpointError: another run is in `folder`, and it is not resumed.
        ReidHashError: the data is missing or wrong, or training failed.
    """
    config = settle_frozen(config)
    if not resume:
        check_vacant(folder, config)
    if int(os.environ.get("RANK", "0")):
        console = None  # of several processes the first one speaks
    dataset = load_for(config, data)
    _log.info("data: %s; run: %s", ", ".join(map(str, data)) or data_root(None), folder)
    if not len(dataset.train):
        raise DataError(
            f"{dataset.name} has no training images here"
            + "".join(f"; {note}" for note in dataset.notes if "train" in note)
        )
    if len(dataset.query):  # it is evaluated at the end, and should fail now if it must
        check_matches(dataset)
    if dataset.by_class:
        dataset = dataset.with_notes(*shortage_notes(dataset))
    if console is not None:
        for note in dataset.notes:
            remark(console, f"note: {note}")
        remark(console, f"reading {len(dataset.train):,} training images …")
    size, growing = (config.data.height, config.data.width), growing_of(config)
    if console is not None and is_frozen(config):
        remark(
            console,
            f"note: the floats of {config.model.backbone.removeprefix(PREFIX)} are made once, of "
            f"images of {size[0]}×{size[1]} as they are: nothing in `augment` applies",
        )
    pixels = decode(dataset.train, *size, skip_unreadable, growing=growing)
    if pixels.unreadable and console is not None:
        _name_unreadable(pixels.unreadable, console)
    evaluate_net = None
    if config.train.evaluate_every and len(dataset.query):
        evaluate_net = _Watcher(dataset, config, pixels, skip_unreadable)
    checkpoint = train_network(
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


def check_vacant(folder: Path, config: Config) -> None:
    """Raise CheckpointError where a training in `folder` would destroy what is there.

    Args:
        folder: of the new run.
        config: of the new run; a file of this configuration may be there already.
    """
    kept = kept_in(folder)
    if kept:
        way = "resume it (--resume), or " if kept == "a stopped run" else ""
        raise CheckpointError(f"{folder} holds {kept}; {way}name another folder (--output)")
    file = folder / CONFIG_FILE
    if os.path.lexists(file) and not _is_text(file, config.to_yaml()):
        raise CheckpointError(
            f"{file} is there already, and would be overwritten; name another folder (--output)"
        )


def _is_text(file: Path, text: str) -> bool:
    try:
        return is_ordinary(file) and file.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _rows(encoded: Encoded, dataset: Dataset, seed: int) -> list[Row] | list[RetrievalRow]:
    lengths = lengths_up_to(encoded.query.bits, RETRIEVAL_LENGTHS if dataset.by_class else LENGTHS)
    if dataset.by_class:
        return list(evaluate_retrieval(encoded, dataset, lengths))
    return list(evaluate(encoded, dataset, lengths, embedding=True, seed=seed))


def _name_unreadable(unreadable: Sequence[str], console: Console) -> None:
    remark(console, f"note: {len(unreadable)} images cannot be read and are left out:")
    for reason in unreadable:
        remark(console, f"  {reason}")


class _Watcher:
    """Evaluates a network while it is trained; nothing is chosen by its figures."""

    def __init__(
        self, dataset: Dataset, config: Config, train: Pixels, skip_unreadable: bool
    ) -> None:
        self.dataset = dataset
        size, growing = (config.data.height, config.data.width), growing_of(config)
        self.query = decode(dataset.query, *size, skip_unreadable, growing=growing)
        if dataset.gallery is dataset.query:
            self.gallery = self.query
        elif dataset.gallery is dataset.train:
            self.gallery = train
        else:
            self.gallery = decode(dataset.gallery, *size, skip_unreadable, growing=growing)
        self._inputs: dict[int, NDArray[Any]] = {}

    def _input(self, net: HashNet, pixels: Pixels) -> NDArray[Any]:
        """The images, or what a frozen backbone gives for them, which is made once."""
        if not isinstance(net.backbone, FrozenNetwork):
            return pixels.images
        if id(pixels) not in self._inputs:
            self._inputs[id(pixels)] = frozen_floats(net, pixels.images)
        return self._inputs[id(pixels)]

    def __call__(self, net: HashNet) -> dict[str, float]:
        """Figures of the full code, unweighted: weights are fixed at the end."""
        device = next(net.parameters()).device
        images = self._input(net, self.query)
        query, query_embedding = network_outputs(net, images, device, flip=False)
        gallery, gallery_embedding = query, query_embedding
        if self.gallery is not self.query:
            images = self._input(net, self.gallery)
            gallery, gallery_embedding = network_outputs(net, images, device, flip=False)
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
