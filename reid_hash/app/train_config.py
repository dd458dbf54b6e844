"""The configuration of a training: from a file, the data set's own, or a network it starts from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reid_hash.app.runs import find_model
from reid_hash.config.reading import configs_folder, load_config
from reid_hash.config.schema import Config
from reid_hash.models.shipped import is_shipped
from reid_hash.nn.checkpoint import load_checkpoint
from reid_hash.training.loop import CONFIG_FILE


def training_config(
    dataset: str,
    name: str | None = None,
    settings: Sequence[str] = (),
    start: Path | None = None,
    resumed: Path | None = None,
) -> Config:
    """The configuration that `reid-hash train` uses.

    Args:
        dataset: or several, joined by +.
        name: of the configuration, or its file; None for that of the run which is resumed, else
            that of the network which is started from, else configs/DATASET.yaml of the (first) data
            set where there is one.
        settings: "section.key=value" each; they win.
        start: the network to start from: checkpoint, folder of a run, or name of a shipped model.
        resumed: folder of the run that is resumed.

    Raises:
        ConfigError, CheckpointError: a file is missing or wrong.
    """
    changes = [*settings, f"data.dataset={dataset}"]
    saved = None if resumed is None else resumed / CONFIG_FILE
    if start is not None:
        file = find_model(start, dataset)
        changes.append(f"train.start={json.dumps(file.stem if is_shipped(file) else str(file))}")
        changes.append("model.pretrained=null")  # its weights would be replaced at once
        if name is None and (saved is None or not saved.is_file()):
            return load_config(None, changes, base=_recipe(file))
    if name is None and saved is not None and saved.is_file():
        name = str(saved)
    first = dataset.split("+")[0]
    if name is None and (configs_folder() / f"{first}.yaml").is_file():
        name = first
    return load_config(name, changes)


def _recipe(file: Path) -> dict[str, Any]:
    """How a network was trained, without which images: those are another data set's."""
    config = load_checkpoint(file).net.config
    values = config.model_dump(mode="json", exclude={"seed"})
    values["data"] = {"height": config.data.height, "width": config.data.width}
    return values
