"""Training: the loop, the objective and its losses, batches, the optimiser, the refit."""
