"""Seeds derived from numbers, so that a draw does not depend on what ran before it."""

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """Mix numbers, such as a run's seed and a step, into a 32-bit seed.

    PyTorch's CPU generator uses only 32 bits of its seed, so numbers combined by shifting would
    lose bits.

    Args:
        numbers: numbers ≥ 0.

    Example:
        >>> mixed_seed(0, 1) != mixed_seed(1, 0)
        True
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
