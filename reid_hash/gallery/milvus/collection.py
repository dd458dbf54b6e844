"""How a collection is made: shards and type of index by the number of sightings."""

import math
from typing import NamedTuple

_SHARD = 100_000_000  # sightings
_SHARDS = 16  # Milvus's own limit for a collection
_FLAT = 100_000_000  # sightings up to which comparing all is quick enough
_SEGMENT_BYTES = 2**30  # Milvus's usual size of a segment; each has an index of its own
_PROBED = 1 / 16  # share of the lists that a search looks at


class Plan(NamedTuple):
    """How a collection is made.

    Attributes:
        shards: parts that take writes beside each other.
        kind: Milvus's type of index.
        lists: of a `BIN_IVF_FLAT`; 0 for another.
        probes: how many of them a search looks at.
    """

    shards: int = 1
    kind: str = "BIN_FLAT"
    lists: int = 0
    probes: int = 0


def plan(expected: int, bits: int) -> Plan:
    """How to make a collection for a number of sightings.

    Args:
        expected: how many sightings there will be.
        bits: length of their codes.

    Example:
        >>> plan(1_000_000, 128)
        Plan(shards=1, kind='BIN_FLAT', lists=0, probes=0)
        >>> plan(1_000_000_000, 128).kind
        'BIN_IVF_FLAT'
    """
    shards = min(max(1, math.ceil(expected / _SHARD)), _SHARDS)
    if expected <= _FLAT:
        return Plan(shards)
    in_segment = min(_SEGMENT_BYTES // (bits // 8 + 1), expected)
    lists = min(4 * math.isqrt(in_segment), 65_536)
    return Plan(shards, "BIN_IVF_FLAT", lists, max(1, round(lists * _PROBED)))
