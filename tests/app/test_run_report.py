import json

import numpy as np

from reid_hash.app.run_report import ranking_rows, read_history, write_run_report
from reid_hash.app.train import RunResult
from reid_hash.distances import weighted
from reid_hash.evaluation.reid import evaluate
from reid_hash.nn.checkpoint import Checkpoint
from reid_hash.nn.hashnet import HashNet
from tests.evaluation.test_reid import example
from tests.helpers import tiny_config


def run_result(folder, encoded_and_dataset=None):
    encoded, dataset = encoded_and_dataset or example(single_shot_protocol=True)
    net = HashNet(tiny_config("model.bits=24"))
    trained = {"images": 10, "identities": 2, "steps": 5, "seconds": 1.0}
    checkpoint = Checkpoint(net, np.ones(24, np.float32), np.arange(24), trained)
    rows = list(evaluate(encoded, dataset, [8, 24], embedding=True, draws=3))
    return RunResult(folder, checkpoint, dataset, encoded, rows)


def test_ranking_rows_are_the_nearest_of_the_other_camera(tmp_path):
    run = run_result(tmp_path)
    encoded = run.encoded
    distances = weighted(encoded.query, encoded.gallery)
    rows = ranking_rows(run, rows=4, top=5)
    assert [row.query_name for row in rows] == ["0", "19", "39", "59"]  # spread, not chosen
    for row in rows:
        i = int(row.query_name)
        others = encoded.gallery_pixels.cameras != encoded.query_pixels.cameras[i]
        expected = np.sort(distances[i][others])[:5]
        np.testing.assert_allclose(row.distances, expected)
        for name, match in zip(row.names, row.matches, strict=True):
            assert encoded.gallery_pixels.cameras[int(name)] != encoded.query_pixels.cameras[i]
            assert match == (int(name) // 6 == i // 6)


def test_the_report_says_what_was_run(tmp_path):
    run = run_result(tmp_path)
    (tmp_path / "metrics.jsonl").write_text(
        json.dumps({"step": 1, "epoch": 1, "loss": 2.0}) + '\n{"step": 2, "lo'  # cut off
    )
    assert read_history(tmp_path) == [{"step": 1, "epoch": 1, "loss": 2.0}]
    page = write_run_report(run).read_text(encoding="utf-8")
    for text in ("x, p: 60 queries", "cuhk03: a query is ranked", "5 steps in 1 s", "bits: 24"):
        assert text in page
    assert f"{100 * run.rows[0].figures['rank1']:.1f}" in page


def test_a_run_without_a_test_set_has_a_report_too(tmp_path):
    run = run_result(tmp_path)
    bare = RunResult(tmp_path, run.checkpoint, run.dataset, None, [])
    assert ranking_rows(bare) == []
    assert "no query and gallery" in write_run_report(bare).read_text(encoding="utf-8")
