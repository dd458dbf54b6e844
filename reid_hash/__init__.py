"""Person re-identification and image retrieval with compact, bit-scalable binary codes.

What most programs need is here, and is imported when it is used: `import reid_hash` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reid_hash.app.evaluate import evaluate
    from reid_hash.app.fit import fit
    from reid_hash.app.train import train
    from reid_hash.codes import Codes
    from reid_hash.config import load_config
    from reid_hash.data import load_dataset
    from reid_hash.distances import hamming, weighted
    from reid_hash.errors import ReidHashError
    from reid_hash.gallery import Gallery, Sighting
    from reid_hash.index import WeightedIndex
    from reid_hash.models import Encoder, list_models, load_model

    __version__: str

__all__ = [
    "Codes",
    "Encoder",
    "Gallery",
    "ReidHashError",
    "Sighting",
    "WeightedIndex",
    "__version__",
    "evaluate",
    "fit",
    "hamming",
    "list_models",
    "load_config",
    "load_dataset",
    "load_model",
    "train",
    "weighted",
]

# names, not imports: a module that imports the root would otherwise depend on every room
_ROOMS = {
    "Codes": "codes",
    "Encoder": "models",
    "Gallery": "gallery",
    "ReidHashError": "errors",
    "Sighting": "gallery",
    "WeightedIndex": "index",
    "evaluate": "app.evaluate",
    "fit": "app.fit",
    "hamming": "distances",
    "list_models": "models",
    "load_config": "config",
    "load_dataset": "data",
    "load_model": "models",
    "train": "app.train",
    "weighted": "distances",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _ROOMS:
        value = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("reid-hash")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0+unknown"
