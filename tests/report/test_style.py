import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from reid_hash.errors import ReidHashError
from reid_hash.report.plots.cmc_curves import Curve, cmc_plot
from reid_hash.report.style import length_style, save_figure, share_limits, shorten

CURVE = Curve("a", [1, 2], [0.5, 0.6])


def test_png_has_twice_the_nominal_size(tmp_path):
    figure = Figure(figsize=(3, 2))
    save_figure(figure, tmp_path / "new" / "folder" / "a.PNG")
    data = (tmp_path / "new" / "folder" / "a.PNG").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20], "big") == 600
    assert int.from_bytes(data[20:24], "big") == 400


@pytest.mark.parametrize("name", ["a.svg", "a.png"])
def test_the_same_plot_gives_the_same_bytes(tmp_path, name):
    both = []
    for _ in range(2):
        save_figure(cmc_plot([CURVE], "title"), tmp_path / name)
        both.append((tmp_path / name).read_bytes())
    assert both[0] == both[1]
    assert (b"<svg" in both[0]) == name.endswith("svg")


@pytest.mark.parametrize("name", ["a.pdf", "a"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ReidHashError, match=r"\.png or \.svg"):
        save_figure(Figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReidHashError, match="cannot write"):
        save_figure(Figure(), tmp_path / "file" / "a.png")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"old")

    def fail(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(ReidHashError):
        save_figure(Figure(), tmp_path / "a.png")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"old")]


def test_no_display_and_no_global_state_are_touched():
    program = (
        "import sys, reid_hash.report.plots, reid_hash.report.grid, reid_hash.report.pages.html;"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_lengths_of_a_usual_sweep_are_told_apart():
    usual = [length_style(bits) for bits in (8, 16, 24, 32, 48, 64, 96, 128, 256, 512)]
    assert len({colour for colour, _ in usual}) == len(usual)
    assert len({marker for _, marker in usual}) == len(usual)
    every = [length_style(bits) for bits in range(1, 129)]
    assert len(set(every)) > 100


def test_limits_have_air_but_stay_near_the_range():
    assert share_limits(0.5, 0.5) == pytest.approx((0.45, 0.55))
    low, high = share_limits(0.2, 0.8)
    assert 0.1 < low < 0.2
    assert 0.8 < high < 0.9
    assert share_limits(0.0, 1.0) == pytest.approx((-0.01, 1.01))


def test_shorten_keeps_both_ends():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcdefg", 5) == "ab…fg"
    assert len(shorten("x" * 99, 10)) == 10
