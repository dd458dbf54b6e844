"""Networks, the hash head, and checkpoints."""
