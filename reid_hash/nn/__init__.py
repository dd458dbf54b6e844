"""Networks, the hash head, losses, the batch sampler and checkpoints."""
