"""Checks whether a stopped training can be resumed: its configuration and its images."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reid_hash.config.reading import parse_config
from reid_hash.config.schema import Config
from reid_hash.data.images import Pixels
from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.run_files import MODEL_FILE
from reid_hash.nn.checkpoint import read_facts

_EVERY = 8  # every 8th pixel of an image's middle row enters the fingerprint


def check_same_config(state: Path, config: Config) -> None:
    """Raise unless a saved state has this configuration, naming the differences."""
    if not state.exists():
        done = state.with_name(MODEL_FILE).exists()
        reason = "the run is finished" if done else "no state was saved there"
        raise CheckpointError(f"nothing to resume in {state.parent}: {reason}")
    # parsed, since a state may be older than some keys of the configuration
    saved = parse_config(read_facts(state)["config"], str(state)).model_dump(mode="json")
    wanted = config.model_dump(mode="json")
    if saved != wanted:
        changed = [
            f"{section}.{key} was {saved[section].get(key)}, now {value}"
            for section, values in wanted.items()
            if isinstance(values, dict) and isinstance(saved.get(section), dict)
            for key, value in values.items()
            if saved[section].get(key) != value
        ]
        raise ConfigError(
            "cannot resume with another configuration: "
            + ("; ".join(changed) or f"seed was {saved.get('seed')}, now {config.seed}")
        )


def fingerprint(pixels: Pixels, classes: int) -> dict[str, Any]:
    """Make a fingerprint of training images, which is cheap compared with reading them.

    Args:
        pixels: the training images.
        classes: number of identities or classes.

    Returns:
        JSON values: `number` of images, `classes`, and a `checksum` of labels, cameras and some
        pixels of each image's middle row.
    """
    middle = pixels.images[:, pixels.images.shape[1] // 2, ::_EVERY]
    checksum = 0
    for part in (pixels.labels, pixels.cameras, middle):
        checksum = zlib.crc32(np.ascontiguousarray(part).data, checksum)
    return {"number": len(pixels), "classes": classes, "checksum": checksum}


def other_images(before: object, now: Mapping[str, Any]) -> str | None:
    """Describe how the images of a resumed training differ from before; None if they do not.

    Args:
        before: fingerprint of the images in the saved state; None in states of older versions.
        now: fingerprint of the current images.

    Raises:
        ConfigError: the number of identities or classes differs, so the network does not match.
    """
    if not isinstance(before, Mapping) or before == now:
        return None
    if before.get("classes") != now["classes"]:
        raise ConfigError(
            f"cannot resume with other images: there were {before.get('classes')} identities or "
            f"classes, now {now['classes']}; give the images of the run, or start another one"
        )
    if before.get("number") != now["number"]:
        what = f"there were {before.get('number')} images, now {now['number']}"
    else:
        what = f"as many ({now['number']}), but of other content, labels or cameras"
    return f"this training is resumed with other images than it began with: {what}"
