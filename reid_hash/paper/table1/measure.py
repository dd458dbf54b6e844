"""Figures of table 1's rows; what was measured once is read from where it is kept."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from reid_hash import __version__
from reid_hash.distances import hamming, weighted
from reid_hash.evaluation.describe import DRAWS
from reid_hash.evaluation.encoded import Encoded
from reid_hash.evaluation.reid import CURVE, Row, evaluate
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.paper.methods.hash_functions import fitted
from reid_hash.paper.methods.networks import Workplace, trained
from reid_hash.paper.methods.sources import Hashing, Network, epochs_of
from reid_hash.paper.table1.kept import Found, keep_rows, read_rows, row_key
from reid_hash.paper.table1.match import MATCHERS, cost, embedding_row, quickest, tested_pixels
from reid_hash.paper.table1.plan import RowSource, RowSpec
from reid_hash.utils.progress import counting


def measured(specs: Sequence[RowSpec], place: Workplace, seed: int) -> list[tuple[RowSpec, Row]]:
    """Measure rows; networks and functions that are missing are trained or fitted first.

    Args:
        specs: the rows.
        place: the data.
        seed: of the gallery draws.

    Returns:
        For each row its figures by weighted and by plain distance, where both differ. They also
        have `bytes` a person needs, `encode_ms` and `compare_ms`: milliseconds for a query's code
        or descriptor and for its distances to the whole gallery, and `query_ms`, their sum.
    """
    lengths: dict[RowSource, list[int]] = {}
    for spec in specs:
        lengths.setdefault(spec.source, []).append(spec.bits)
    rows = []
    found: dict[RowSource, Found] = {}
    for spec in specs:
        source = spec.source
        if source not in found:
            found[source] = _of_source(source, lengths[source], place, seed)
        rows += [
            (spec, Row({**row.figures, **epochs_of(source)}, row.curve, row.curve_std))
            for (bits, _), row in found[source].items()
            if bits == spec.bits
        ]
    return rows


def _of_source(source: RowSource, lengths: Sequence[int], place: Workplace, seed: int) -> Found:
    network = source if isinstance(source, Network) else source.network
    checkpoint = network and trained(network, place)
    dataset = place.dataset
    key = {
        "version": __version__,
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "split": place.split,
        "train": len(dataset.train),
        "queries": len(dataset.query),
        "skip_unreadable": place.skip_unreadable,
        "draws": DRAWS,
        "seed": seed,
        "ranks": list(CURVE),
        "network": checkpoint.fingerprint if checkpoint else "",
    }
    rows = read_rows(source.folder, key)
    missing = [bits for bits in lengths if not any(bits == of for of, _ in rows)]
    if missing:
        if isinstance(source, Network):
            assert isinstance(checkpoint, Checkpoint)
            if missing == [0]:
                new = [embedding_row(checkpoint, place, seed)]
            else:
                new = _network_rows(checkpoint, missing, place, seed)
        elif isinstance(source, Hashing):
            new = _hashing_rows(source, place, seed)
        else:
            new = [MATCHERS[source.method](source, place, seed)]
        rows |= {row_key(row): row for row in new}
        keep_rows(source.folder, key, rows.values())
    return rows


def _network_rows(
    checkpoint: Checkpoint, lengths: Sequence[int], place: Workplace, seed: int
) -> list[Row]:
    encoder = TorchEncoder(checkpoint, place.device)
    pixels = tested_pixels(place, *encoder.size)
    place.say("encoding the test images …")
    with counting(place.console, "encoding", len(pixels)) as progress:
        began = time.monotonic()
        outputs, embedding = encoder.outputs(pixels.images, progress=progress or False)
        codes = encoder.binarise(outputs)
        seconds = time.monotonic() - began
    encoded = Encoded(codes, codes, pixels, pixels, embedding, embedding)
    both = checkpoint.net.config.model.weights != "none"
    encode_ms = 1000 * seconds / len(pixels)
    weightings = (True, False) if both else (False,)
    return _code_rows(encoded, lengths, weightings, place, seed, {"encode_ms": encode_ms})


def _hashing_rows(source: Hashing, place: Workplace, seed: int) -> list[Row]:
    encoded, facts = fitted(source, place)
    return _code_rows(encoded, [source.bits], (False,), place, seed, facts)


def _code_rows(
    encoded: Encoded,
    lengths: Sequence[int],
    weightings: Sequence[bool],
    place: Workplace,
    seed: int,
    facts: Mapping[str, Any],
) -> list[Row]:
    rows = []
    for row in evaluate(encoded, place.dataset, lengths, weightings=weightings, seed=seed):
        bits = row.figures["bits"]
        codes = encoded.query.prefix(bits)
        distance = weighted if row.figures["weighted"] else hamming
        took = quickest(lambda codes=codes, distance=distance: distance(codes, codes))  # type: ignore[misc]
        figures = {
            **{key: value for key, value in row.figures.items() if key != "method"},
            **facts,
            **cost(-(-bits // 8), facts["encode_ms"], 1000 * took / len(codes)),
        }
        rows.append(Row(figures, row.curve, row.curve_std))
    return rows
