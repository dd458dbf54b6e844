"""Configuration of a training run: the schema, and reading from YAML files and `--set`."""

from reid_hash.config.reading import load_config
from reid_hash.config.schema import Config

__all__ = ["Config", "load_config"]
