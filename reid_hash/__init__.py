"""Person re-identification and image retrieval with compact, bit-scalable binary codes."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("reid-hash")
except PackageNotFoundError:  # run from a checkout that was not installed
    __version__ = "0+unknown"
