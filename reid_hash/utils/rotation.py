"""The rotation of ITQ (Gong & Lazebnik, CVPR 2011), for the baseline and the start of a fit."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def rotate(
    projected: NDArray[np.float32], iterations: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Find a rotation with small quantisation error, starting from a random one.

    Args:
        projected: V, [n, bits].
        iterations: number of iterations.
        random: generator of the first rotation.

    Returns:
        (R [bits, bits] float64, orthogonal; the error after each iteration).
    """
    n, bits = projected.shape
    # ‖B − V R‖² = n · bits + ‖V‖² − 2 tr(Bᵀ V R)
    constant = 1 + float(np.square(projected, dtype=np.float64).sum()) / (n * bits)
    rotation: Floats = np.linalg.qr(random.normal(size=(bits, bits)))[0]
    history = []
    for _ in range(iterations):
        codes = np.where(projected @ rotation.astype(np.float32) > 0, np.float32(1), np.float32(-1))
        left, singular, right = np.linalg.svd((codes.T @ projected).astype(np.float64))
        rotation = (left @ right).T
        history.append(constant - 2 * float(singular.sum()) / (n * bits))
    return rotation, np.array(history)
