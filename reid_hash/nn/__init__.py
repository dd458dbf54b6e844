"""Networks, the hash head, and checkpoints."""

__all__ = [
    *("backbones", "checkpoint", "folding", "fpnn", "frozen", "hashnet", "head", "other_weights"),
]
