"""Camera rules: which gallery images a query ignores."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.errors import ConfigError

CAMERA_RULES = ("market", "cuhk03", "none")
"""Camera rules. "market" drops gallery images of the query's identity *and* camera (Zheng et al.,
ICCV 2015), "cuhk03" all images of the query's camera (Li et al., CVPR 2014), "none" nothing."""


def check_camera_rule(name: str) -> None:
    """Raise ConfigError unless `name` is one of `CAMERA_RULES`."""
    if name not in CAMERA_RULES:
        raise ConfigError(f"unknown camera rule {name!r}; choose {', '.join(CAMERA_RULES)}")


def valid_mask(
    camera_rule: str,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    query_cameras: ArrayLike,
    gallery_cameras: ArrayLike,
) -> NDArray[np.bool_]:
    """Mark the pairs that a camera rule keeps.

    Args:
        camera_rule: one of `CAMERA_RULES`.
        query_labels: [q] int, identity or class of each query, for all queries or a block of them.
        gallery_labels: [G] int.
        query_cameras: [q] int.
        gallery_cameras: [G] int.

    Returns:
        [q, G] bool, False for dropped pairs.

    Raises:
        ConfigError: the rule is unknown.

    Example:
        >>> valid_mask("market", [7], [7, 7, 8], [1], [1, 2, 1])
        array([[False,  True,  True]])
        >>> valid_mask("cuhk03", [7], [7, 7, 8], [1], [1, 2, 1])
        array([[False,  True, False]])
    """
    check_camera_rule(camera_rule)
    other_label = np.asarray(query_labels)[:, None] != np.asarray(gallery_labels)[None, :]
    if camera_rule == "none":
        return np.ones(other_label.shape, np.bool_)
    other_camera = np.asarray(query_cameras)[:, None] != np.asarray(gallery_cameras)[None, :]
    mask: NDArray[np.bool_] = other_camera
    if camera_rule == "market":
        mask = other_camera | other_label
    return mask
