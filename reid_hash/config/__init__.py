"""Configurations of runs: their schema, and reading them from YAML files and single settings."""

from reid_hash.config.reading import load_config
from reid_hash.config.schema import Config

__all__ = ["Config", "load_config"]
