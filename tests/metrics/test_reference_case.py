"""A published reference case of Market-1501's evaluation, where it is at hand."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from reid_hash import metrics

SHARED = Path(os.environ.get("REID_HASH_SHARED", Path(__file__).parents[3] / "shared"))
ARCHIVE = SHARED / "data" / "reid-evaluation-check.zip"


@pytest.fixture(scope="module")
def case():
    if not ARCHIVE.is_file():
        pytest.skip(f"{ARCHIVE.name} is not in {ARCHIVE.parent}; set REID_HASH_SHARED")
    with zipfile.ZipFile(ARCHIVE) as archive:

        def read(name):
            text = archive.read(f"reid-evaluation-check/{name}.txt").decode()
            return np.loadtxt(io.StringIO(text))

        names = ("query_id", "gallery_id", "query_cam", "gallery_cam")
        labels, in_gallery, cameras, seen_by = (read(name).astype(np.int64) for name in names)
        distances = read("query_gallery_distance").reshape(len(labels), len(in_gallery))
        curve, area = read("expected_cmc"), float(read("expected_map"))
    valid = metrics.valid_mask("market", labels, in_gallery, cameras, seen_by)
    return metrics.tie_groups(distances, labels[:, None] == in_gallery, valid), curve, area


def test_curve(case):
    groups, curve, _ = case
    assert groups.n_relevant.min() > 0
    got = metrics.cmc(groups, range(1, 101)).mean(axis=0)
    np.testing.assert_allclose(got.round(2), curve[:100], rtol=0, atol=1e-9)


def test_mean_average_precision(case):
    groups, _, area = case
    summary = metrics.summarise(groups)
    assert area == 0.64034
    assert summary["map_trapezoid"] == pytest.approx(area, abs=1e-5)
    assert summary["map"] == pytest.approx(0.66519, abs=1e-5)


def test_invented_case():
    """Two queries, Market rule, a tie that the dropped image takes no part in.

    Query 1 (identity 1, camera 0) sees, nearest first: [dropped 1/0], other | {1/1, other} | 1/1.
    Query 2 (identity 2, camera 1) sees: 2/0 first, and nothing else of it.
    """
    labels, cameras = np.array([1, 2]), np.array([0, 1])
    in_gallery, seen_by = np.array([1, 3, 1, 3, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    distances = np.array([[0.5, 0.1, 0.5, 0.5, 0.7, 0.9], [0.9, 0.8, 0.7, 0.6, 0.5, 0.1]])
    valid = metrics.valid_mask("market", labels, in_gallery, cameras, seen_by)
    groups = metrics.tie_groups(distances, labels[:, None] == in_gallery, valid)
    assert groups.n_valid.tolist() == [5, 6]
    # Query 1: relevant at 2 and 4, or at 3 and 4.
    np.testing.assert_allclose(metrics.cmc(groups, [1, 2, 3]), [[0, 0.5, 1], [1, 1, 1]])
    step = (1 / 2 + 2 / 4 + 1 / 3 + 2 / 4) / 4
    lines = ((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4 + (0 + 1 / 3 + 1 / 3 + 2 / 4) / 4) / 2
    summary = metrics.summarise(groups)
    assert summary["map"] == pytest.approx((step + 1) / 2)
    assert summary["map_trapezoid"] == pytest.approx((lines + 1) / 2)
    assert summary["minp"] == pytest.approx((2 / 4 + 1) / 2)
