"""Where runs are kept, and which model a command uses when none is named."""

import datetime
import itertools
import json
import logging
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from reid_hash import __version__
from reid_hash.data import data_root
from reid_hash.errors import CheckpointError
from reid_hash.models.foreign.network import Network
from reid_hash.models.load import model_file
from reid_hash.models.run_files import METRICS_FILE, MODEL_FILE, STATE_FILE
from reid_hash.models.shipped import default_model
from reid_hash.utils.files import is_elsewhere, is_ordinary, json_text, write_text

StrPath = str | os.PathLike[str]

RUN_FILE = "run.json"
"""What a run notes of the machine it ran on; not part of the model."""

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
"""Code lengths that a run is evaluated at, up to its own."""

RETRIEVAL_LENGTHS = (16, 24, 32, 48, 64, 128)
"""The same for image retrieval: the paper's lengths."""

PERSONS = ("cuhk03", "market1501", "walkers")
"""Data sets that the shipped models, trained on pedestrians, are of use for."""

USUAL_DATASET = "cuhk03"
"""Whose newest run is used where neither a model nor a data set is named."""

RUNS = Path("runs")
"""The folder of all runs that the command line uses, below the working directory."""

_log = logging.getLogger(__name__)


def new_run(dataset: str, runs: Path) -> Path:
    """A folder that is not there yet for a run that starts now: RUNS/DATASET/TIME."""
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in itertools.count(1):
        folder = runs / dataset / (now if number == 1 else f"{now}_{number}")
        if not folder.exists():
            return folder
    raise AssertionError("counting has no end")


def kept_in(folder: Path) -> str:
    """What a new training in a folder would destroy, in words; "" where there is nothing."""

    if os.path.lexists(folder / STATE_FILE):
        return "a stopped run"
    if os.path.lexists(folder / MODEL_FILE):
        return "a finished run"
    metrics = folder / METRICS_FILE
    # a run that was killed before its first epoch ended leaves an empty file
    return "the figures of a run" if metrics.is_file() and metrics.stat().st_size else ""


def newest_run(dataset: str, file: str, runs: Path | None) -> Path | None:
    """The newest run of a data set that holds `file`, or None; by the time of the file."""
    if runs is None:
        return None
    found = sorted((runs / dataset).glob(f"*/{file}"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def resumable_run(dataset: str, runs: Path | None) -> Path:
    """The newest run of a data set that was stopped.

    Raises:
        CheckpointError: there is none.
    """

    run = newest_run(dataset, STATE_FILE, runs)
    if run is None:
        where = "" if runs is None else f" in {runs / dataset}"
        raise CheckpointError(
            f"no stopped run of {dataset}{where}; name the run's folder with --output"
        )
    return run


@overload
def find_model(model: StrPath | None, dataset: str, runs: Path | None = None) -> Path: ...
@overload
def find_model(
    model: StrPath | Network | None, dataset: str, runs: Path | None = None
) -> Path | Network: ...
def find_model(
    model: StrPath | Network | None, dataset: str, runs: Path | None = None
) -> Path | Network:
    """Find a checkpoint: the named one, else the newest run's, else a shipped one.

    Args:
        model: a checkpoint, the folder of a run, or the name of a shipped model. None for the
            newest run of `dataset`; where there is no run and `dataset` shows persons, for the
            shipped model. A network that was not trained here is given back as it is.
        dataset: name of the data set.
        runs: folder of all runs; None to look at none.

    Raises:
        CheckpointError: there is none.
    """
    if isinstance(model, Network):
        _log.info("network: %s", model)
        return model
    file = _find_model(None if model is None else Path(model), dataset, runs)
    _log.info("model: %s", file)
    return file


def _find_model(model: Path | None, dataset: str, runs: Path | None) -> Path:
    if model is not None:
        return model_file(model)
    run = newest_run(dataset, MODEL_FILE, runs)
    if run is None and dataset in PERSONS:
        shipped = default_model(dataset)
        if shipped is not None:
            return shipped.file
    if run is None:
        files = () if runs is None else runs.glob(f"*/*/{MODEL_FILE}")
        others = sorted({path.parent.parent.name for path in files})
        where = "" if runs is None else f" in {runs / dataset}"
        hint = f" (there are models of: {', '.join(others)}; see --dataset)" if others else ""
        raise CheckpointError(
            f"there is no trained model for {dataset}{where}{hint}; train one with "
            f"`reid-hash train {dataset}`, or name one with --model"
        )
    return run / MODEL_FILE


def lengths_up_to(bits: int, usual: Sequence[int] = LENGTHS) -> list[int]:
    """The usual code lengths up to `bits`, which is the last."""
    return sorted({*(b for b in usual if b < bits), bits})


def record_run(folder: Path, data: Path) -> None:
    """Write `RUN_FILE`: the command, the data root, versions and the machine."""
    facts = {
        "command": shlex.join(["reid-hash", *sys.argv[1:]]),
        "data_root": str(data.absolute()),
        "version": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    write_text(folder / RUN_FILE, json_text(facts, indent=2) + "\n")


def recorded_data_root(model: Path) -> Path | None:
    """The data root that a model was trained from, where no other is given or usual.

    Args:
        model: a checkpoint.

    Returns:
        The root noted beside the checkpoint if it is still there and neither $REID_HASH_DATA nor
        ./data would be used; else None.
    """
    if os.environ.get("REID_HASH_DATA") or data_root(None).is_dir():
        return None
    if not is_ordinary(model.parent / RUN_FILE):
        return None
    try:
        noted = json.loads((model.parent / RUN_FILE).read_text(encoding="utf-8"))["data_root"]
        root = Path(noted)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    # the run may be a copy from elsewhere
    return root if not is_elsewhere(noted) and root.is_dir() else None
