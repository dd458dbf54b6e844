"""Baselines that papers compare with: hash functions and metrics on image features.

>>> import numpy as np
>>> random = np.random.default_rng(0)
>>> labels = np.arange(200) % 2
>>> features = random.normal(size=(200, 16)) + 3 * labels[:, None]
>>> codes = LSH(bits=32).fit(features, labels).encode(features)
>>> codes.bits, len(codes)
(32, 200)
"""

from reid_hash.baselines.bre import BRE
from reid_hash.baselines.function import SAMPLES, FeatureHash, HashFunction
from reid_hash.baselines.itq import ITQ
from reid_hash.baselines.kissme import KISSME
from reid_hash.baselines.ksh import KSH
from reid_hash.baselines.lsh import LSH
from reid_hash.baselines.mlh import MLH
from reid_hash.baselines.spectral import SpectralHash

HASH_FUNCTIONS: dict[str, type[FeatureHash]] = {
    "lsh": LSH,
    "sh": SpectralHash,
    "itq": ITQ,
    "bre": BRE,
    "mlh": MLH,
    "ksh": KSH,
}
"""The hash functions by their names on the command line."""

__all__ = [
    "BRE",
    "HASH_FUNCTIONS",
    "ITQ",
    "KISSME",
    "KSH",
    "LSH",
    "MLH",
    "SAMPLES",
    "FeatureHash",
    "HashFunction",
    "SpectralHash",
]
