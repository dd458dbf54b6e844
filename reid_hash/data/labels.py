"""Labels of images: one class each, or several.

Single-label: [n] integers, the class or identity of each image. Multi-label: [n, classes] bool,
True if the image has the class. An image is relevant to a query if they share a label.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_hash.errors import MetricError


def is_multi_label(labels: ArrayLike) -> bool:
    """Tell multi-label from single-label.

    Args:
        labels: [n] int, or [n, classes] bool.

    Raises:
        MetricError: the labels are neither.

    Example:
        >>> is_multi_label([3, 1]), is_multi_label([[True, False]])
        (False, True)
    """
    values = np.asarray(labels)
    # An empty list counts as single labels, whatever type NumPy gives it.
    if values.ndim == 1 and (values.dtype.kind in "iu" or not len(values)):
        return False
    if values.ndim == 2 and values.dtype == np.bool_:
        return True
    raise MetricError(
        "labels are integers [n], one class an image, or bool [n, classes]; "
        f"not {values.dtype} of shape {list(values.shape)}"
    )


def check_same_kind(query_labels: ArrayLike, gallery_labels: ArrayLike) -> bool:
    """Check whether both are multi-label; False means that both are single-label.

    Raises:
        MetricError: they are of different kinds, or have different numbers of classes.
    """
    multi, other = is_multi_label(query_labels), is_multi_label(gallery_labels)
    if multi != other:
        raise MetricError("query and gallery must both be single-label, or both multi-label")
    if multi and np.shape(query_labels)[1] != np.shape(gallery_labels)[1]:
        raise MetricError(
            f"query labels know {np.shape(query_labels)[1]} classes, gallery labels "
            f"{np.shape(gallery_labels)[1]}"
        )
    return multi


def relevance(query_labels: ArrayLike, gallery_labels: ArrayLike) -> NDArray[np.bool_]:
    """Mark the gallery images that share a label with each query.

    Args:
        query_labels: [Q] int, or [Q, classes] bool.
        gallery_labels: [G] int or [G, classes] bool, like `query_labels`.

    Returns:
        [Q, G] bool.

    Raises:
        MetricError: the labels are of different kinds.

    Example:
        >>> relevance([1], [1, 2])
        array([[ True, False]])
        >>> relevance(np.array([[True, True]]), np.array([[False, True], [False, False]]))
        array([[ True, False]])
    """
    if not check_same_kind(query_labels, gallery_labels):
        equal: NDArray[np.bool_] = np.asarray(query_labels)[:, None] == np.asarray(gallery_labels)
        return equal
    # A sum of booleans as a float matrix product: fast with BLAS, exact up to 2^24 classes.
    products = np.asarray(query_labels, np.float32) @ np.asarray(gallery_labels, np.float32).T
    mask: NDArray[np.bool_] = products > 0
    return mask


def shared_labels(query_labels: ArrayLike, gallery_labels: ArrayLike) -> NDArray[np.int64]:
    """Count the labels that each pair shares.

    Args:
        query_labels: [Q] int, or [Q, classes] bool.
        gallery_labels: [G] int or [G, classes] bool, like `query_labels`.

    Returns:
        [Q, G] int64: 0 or 1 for single labels, 0 … classes for multi-label.

    Raises:
        MetricError: the labels are of different kinds.

    Example:
        >>> shared_labels(np.array([[True, True]]), np.array([[True, True], [False, True]]))
        array([[2, 1]])
    """
    if not check_same_kind(query_labels, gallery_labels):
        return relevance(query_labels, gallery_labels).astype(np.int64)
    products = np.asarray(query_labels, np.float32) @ np.asarray(gallery_labels, np.float32).T
    return products.astype(np.int64)
