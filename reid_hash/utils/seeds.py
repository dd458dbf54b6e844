"""Seeds that follow from numbers, so that a draw depends on nothing that ran before it."""

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """Mix numbers, such as a run's seed and a step, into a seed of 32 bits.

    PyTorch's generator on the CPU looks at no more than 32 bits of its seed, so that shifting one
    number beside another would lose it.

    Args:
        numbers: each ≥ 0.

    Example:
        >>> mixed_seed(0, 1) != mixed_seed(1, 0)
        True
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
