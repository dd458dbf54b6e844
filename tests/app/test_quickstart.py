import re

import pytest

from reid_hash.app.quickstart import quickstart
from reid_hash.codes import load_codes
from reid_hash.errors import CheckpointError
from reid_hash.nn.checkpoint import load_checkpoint


def test_a_run_is_not_overwritten(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"a finished run; name another folder \(--output\)"):
        quickstart(tmp_path)


@pytest.mark.slow
def test_the_whole_path_on_the_built_in_data(tmp_path):
    result = quickstart(
        tmp_path / "run",
        device="cpu",
        settings=["train.epochs=1", "train.identities_per_batch=32"],
        film=2,
    )
    run = result.run
    assert result.demo.frames == 50
    assert result.demo.score.true > 2
    assert result.video.stat().st_size > 10_000
    assert "Who was where" in result.timeline.read_text(encoding="utf-8")
    codes, names = load_codes(result.codes)
    assert len(codes) == len(names) == 800
    assert codes.model == load_checkpoint(tmp_path / "run" / "model.safetensors").fingerprint
    lengths = [r["bits"] for r in run.records if r["weighted"]]
    assert lengths == [8, 16, 32, 64, 128]
    best = max(r["rank1"] for r in run.records)
    assert 0.02 < best < 0.9  # one epoch: better than chance, far from perfect
    page = result.report.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)""", page)
    assert "walkers" in page
    for record in run.records:
        assert f"{100 * record['rank1']:.1f}" in page
