"""Training: the loop, objective and losses, batches, optimiser, and refit."""

from reid_hash.training.augmentation import Augment
from reid_hash.training.estimate import seconds_a_step, training_steps
from reid_hash.training.log import TrainingLog
from reid_hash.training.loop import Stopped, Training, train
from reid_hash.training.objective import TrainingModel
from reid_hash.training.optimiser import Muon, build_optimiser
from reid_hash.training.refit import freeze
from reid_hash.training.sampler import BalancedSampler

__all__ = [
    "Augment",
    "BalancedSampler",
    "Muon",
    "Stopped",
    "Training",
    "TrainingLog",
    "TrainingModel",
    "build_optimiser",
    "freeze",
    "seconds_a_step",
    "train",
    "training_steps",
]
