"""The models that come with the toolkit: `reid_hash/models/NAME.safetensors`, each with its card.

A card is Markdown for people, with the facts on top as YAML between two lines of dashes, as model
hubs have it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
WALKERS_GALLERY = FOLDER / "walkers-gallery.npz"
"""Drawn walkers with their codes by the model `walkers`, as `gallery export` writes a gallery; made
by tools/pack_walkers_gallery.py, since drawing and encoding them takes longer than all else that
the page does before it answers."""
DEFAULTS = ("base", "small")
"""Which one is used where none is named: the first that is there."""


@dataclass(frozen=True)
class ShippedModel:
    """A model that comes with the toolkit.

    Attributes:
        name: what `--model` calls it.
        file: its checkpoint.
        card: its card.
        facts: from the top of the card: `summary`, `trained_on`, `licence`, `parameters`, `input`
            (height × width), `bits`, `fingerprint`, `command`, and `rank1` by code length.
    """

    name: str
    file: Path
    card: Path
    facts: dict[str, Any]


def shipped_models() -> list[ShippedModel]:
    """All that are there, by size."""
    files = sorted(FOLDER.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    return [_shipped(path) for path in files]


def list_models() -> list[str]:
    """Names of the models that come with the toolkit, by size, as `load_model` takes them."""
    return [model.name for model in shipped_models()]


def shipped_model(name: str) -> ShippedModel | None:
    """The one of a name, or None."""
    return next((model for model in shipped_models() if model.name == name), None)


def default_model(dataset: str | None = None) -> ShippedModel | None:
    """The one that is used where none is named, or None where none is there.

    Args:
        dataset: what it is used on; the walkers have a model of their own.
    """
    found = {model.name: model for model in shipped_models()}
    if dataset in found:
        return found[dataset]
    return next((found[name] for name in DEFAULTS if name in found), None)


def is_shipped(file: Path) -> bool:
    """Whether a checkpoint is one of those that come with the toolkit."""
    return file.parent == FOLDER


def _shipped(file: Path) -> ShippedModel:
    card = file.with_suffix(".md")
    _, facts, _ = card.read_text(encoding="utf-8").split("---\n", 2)
    return ShippedModel(file.stem, file, card, yaml.safe_load(facts))
