import numpy as np
import pytest

from reid_hash.distances import hamming, weighted
from reid_hash.evaluation.reid import evaluate
from reid_hash.metrics import open_set_draws
from tests.evaluation.test_reid import example


@pytest.mark.parametrize("single_shot", [False, True])
def test_rows_have_the_mean_over_draws_of_who_is_enrolled(single_shot):
    encoded, dataset = example(single_shot)
    labels, cameras = encoded.query_pixels.labels, encoded.query_pixels.cameras
    rows = list(evaluate(encoded, dataset, [7, 24], draws=6, seed=2, open_set=True))
    assert len(rows) == 4
    for row in rows:
        codes = encoded.query.prefix(row.figures["bits"])
        distances = (weighted if row.figures["weighted"] else hamming)(codes, codes)
        drawn = open_set_draws(
            *([(slice(0, len(codes)), distances)], labels, labels, cameras, cameras),
            dataset.camera_rule,
            single_shot=single_shot,
            draws=6,
            seed=2,
        )
        tpir = np.array([one.tpir for one in drawn])
        assert row.figures["tpir_at_fpir_1"] == pytest.approx(tpir.mean())
        assert row.figures["tpir_at_fpir_1_std"] == pytest.approx(tpir.std())
    assert rows[2].figures["tpir_at_fpir_1"] > rows[0].figures["tpir_at_fpir_1"]


def test_it_is_left_out_unless_it_is_asked_for():
    encoded, dataset = example()
    rows = evaluate(encoded, dataset, [24], embedding=True, rerank=True)
    assert not any("tpir_at_fpir_1" in row.figures for row in rows)
    rows = evaluate(encoded, dataset, [24], embedding=True, rerank=True, draws=3, open_set=True)
    assert all(0 <= row.figures["tpir_at_fpir_1"] <= 1 for row in rows)
