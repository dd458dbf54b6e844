"""Rows that an earlier version kept in runs/reproduce are found again, and not measured anew."""

import dataclasses
import json

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.config.schema import Config, DataConfig
from reid_hash.evaluation.reid import Row
from reid_hash.evaluation.retrieval import RetrievalRow
from reid_hash.metrics import retrieval
from reid_hash.paper.methods.kept import kept_rows
from reid_hash.paper.methods.sources import Hashing, Network
from reid_hash.paper.table1.plan import Matching

# as written by the version before the two caches were one
LEVELS = [round(0.05 * i, 2) for i in range(21)]
RETRIEVAL = {
    "of": {"version": "0.1.0", "fingerprint": "abc", "weights": [1.0]},
    "rows": [
        {
            "figures": {"method": "drsch", "bits": 8, "weighted": by_weight, "map": 1.0},
            "curves": {
                "map": 1.0,
                "map_at": {"500": 1.0},
                "precision_at": {"500": 0.004},
                "recall_at": {"500": 1.0},
                "ndcg_at": {"500": 1.0},
                "radius": 2,
                "precision_radius": 1.0,
                "empty_ball_share": 0.0,
                "precision_curve": [
                    list(range(100, 1001, 100)),
                    [2 / returned for returned in range(100, 1001, 100)],
                ],
                "pr_curve": [LEVELS, [1.0] * 21],
                "queries": 1,
                "queries_without_match": 0,
            },
        }
        for by_weight in (True, False)
    ],
}
REID = {
    "of": {"version": "0.1.0", "draws": 100},
    "rows": [
        {
            "figures": {"bits": 64, "weighted": True, "rank1": 0.5},
            "curve": [0.5, 1.0],
            "curve_std": [0.0, 0.1],
        },
        {
            "figures": {"bits": 3200, "weighted": None, "rank1": 0.25},
            "curve": [0.25, 1.0],
            "curve_std": None,
        },
    ],
}


def refuse(missing):
    pytest.fail(f"measured again: {missing}")


def test_retrieval_rows_of_an_earlier_version_are_read(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps(RETRIEVAL))
    rows = kept_rows(RetrievalRow, tmp_path, RETRIEVAL["of"], [8], refuse)
    assert list(rows) == [(8, True), (8, False)]
    same, other = (Codes.from_outputs(np.array([row])) for row in ([1.0] * 8, [-1.0] * 8))
    gallery = Codes(np.concatenate([same.packed, other.packed, same.packed]), 8)
    expected = retrieval(same, gallery, np.array([0]), np.array([0, 1, 0]))
    read = dataclasses.asdict(rows[8, True].curves)
    for name, value in dataclasses.asdict(expected).items():
        if isinstance(value, tuple):
            for array, wanted in zip(read[name], value, strict=True):
                np.testing.assert_allclose(array, wanted)
        else:
            assert read[name] == value, name


def test_reid_rows_of_an_earlier_version_are_read(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps(REID))
    rows = kept_rows(Row, tmp_path, REID["of"], [64, 0], refuse)
    assert list(rows) == [(64, True), (0, None)]
    np.testing.assert_array_equal(rows[64, True].curve_std, [0.0, 0.1])
    np.testing.assert_array_equal(rows[0, None].curve, [0.25, 1.0])
    assert rows[0, None].curve_std is None


@pytest.mark.parametrize(("kind", "held", "bits"), [(RetrievalRow, RETRIEVAL, 8), (Row, REID, 64)])
def test_what_is_written_is_what_was_read(tmp_path, kind, held, bits):
    (tmp_path / "evaluation.json").write_text(json.dumps(held))
    old = kept_rows(kind, tmp_path, held["of"], [bits], refuse)
    asked = []

    def measure(missing):
        asked.append(list(missing))
        row = old[bits, True]
        return [dataclasses.replace(row, figures={**row.figures, "bits": 2 * bits})]

    new = kept_rows(kind, tmp_path, held["of"], [bits, 2 * bits], measure)
    assert asked == [[2 * bits]]
    assert list(new) == [*old, (2 * bits, True)]
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert written["of"] == held["of"]
    assert written["rows"][: len(old)] == held["rows"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"of": {"version": "0.1.0"}, "rows": [{}]}'])
def test_rows_that_are_damaged_or_of_another_key_are_measured(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    row = Row({"bits": 8, "weighted": False}, np.array([1.0]))
    for key in ({"version": "0.1.0"}, {"version": "other"}):
        assert kept_rows(Row, tmp_path, key, [8], lambda missing: [row]) == {(8, False): row}


def test_folders_have_the_names_that_they_had():
    network = Network("drsch", Config(), 3)
    persons = DataConfig(dataset="cuhk03")
    sources = {
        "walkers/drsch-128-adf6f0b9": network,
        "cuhk03/ksh-32-ece395c0": Hashing("ksh", 32, "network", persons, 0, network),
        "cuhk03/ksh-32-99d948d6": Hashing("ksh", 32, "hog", persons, 0, None),
        "cuhk03/kissme-blocks-f6f443ae": Matching("kissme", persons, 1, "blocks"),
        "cuhk03/fpnn-26acd628": Matching("fpnn", persons, 1, epochs=40),
    }
    for folder, source in sources.items():
        assert source.folder.as_posix() == f"runs/reproduce/{folder}"
