"""Read a configuration from YAML files and single settings; errors name the key.

One YAML file describes a run. `configs/` has one file per data set, and `configs/paper/` the
settings of Zhang et al. 2015. `--set section.key=value` changes single values.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from reid_hash.config.schema import Config
from reid_hash.errors import ConfigError


def configs_folder() -> Path:
    """Return the folder of shipped configurations: in the wheel, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def load_config(
    path: str | os.PathLike[str] | None = None,
    settings: Iterable[str] = (),
    base: Mapping[str, Any] | None = None,
) -> Config:
    """Read a configuration and apply single settings.

    Args:
        path: a YAML file, or the name of a shipped configuration such as "cuhk03" or
            "paper/cuhk03". Default: the schema's defaults.
        settings: "section.key=value" strings, with the value in YAML; they override the file.
        base: configuration to start from instead of a file.

    Raises:
        ConfigError: the file does not exist or is not YAML, a key is unknown, or a value is out of
            range.

    Example:
        >>> load_config(settings=["model.bits=64", "seed=3"]).model.bits
        64
    """
    source = "the settings"
    values: dict[str, Any] = dict(base or {})
    if path is not None:
        source, values = _read(Path(path))
    changed: set[str] = set()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set wants section.key=value, not {setting!r}")
        changed.add(key.strip())
        *sections, name = key.strip().split(".")
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {setting}: {section} is a value, not a section")
        try:
            inner[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {setting}: the value is not YAML") from error
    return parse_config(values, source, changed)


def parse_config(values: Mapping[str, Any], source: str, changed: Collection[str] = ()) -> Config:
    """Validate values against the schema; ConfigError names the first wrong key.

    Args:
        values: values by section and key.
        source: origin of the values, for the message.
        changed: keys, with their sections, that come from --set and not from `source`.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if any(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in changed):
            source = "--set"
        if first["type"] == "extra_forbidden":
            known = _keys_beside(first["loc"])
            reason = f"unknown key {key}; known here: {', '.join(known)}"
        else:
            said = first["msg"].removeprefix("Value error, ")
            reason = f"{key}: {said}" if key else said
        more = len(error.errors()) - 1
        also = f" (and {more} more)" if more else ""
        raise ConfigError(f"{source}: {reason}{also}") from error


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.suffix:
        path = configs_folder() / f"{path}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        folder = configs_folder()
        names = sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml"))
        raise ConfigError(
            f"no configuration {path}; give a YAML file or one of: {', '.join(names)}"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise ConfigError(f"cannot read the configuration {path}: {reason}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no configuration: sections with keys are expected")
    return str(path), values
