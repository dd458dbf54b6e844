import re
from html.parser import HTMLParser

import numpy as np
import pytest

from reid_hash.errors import ReidHashError
from reid_hash.report.formats import best_text, figure_columns, meanings, percent
from reid_hash.report.grid import RankingRow, ranking_grid
from reid_hash.report.pages import html
from reid_hash.report.pages.html import Report, result_table, write_report
from reid_hash.report.plots.cmc_curves import Curve, cmc_plot


class Page(HTMLParser):
    """Collects the tags with their attributes, and the cells of the table."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.bold, self.text = [], [], [], ""
        self._cell = self._strong = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True
        self._strong |= tag == "strong"

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = False
        if tag == "strong":
            self._strong = False

    def handle_data(self, data):
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data
        if self._strong:
            self.bold.append(data)


RECORDS = [
    {"bits": 64, "weighted": True, "rank1": 0.5234, "rank1_std": 0.012, "map": 0.41, "queries": 9},
    {"bits": 64, "weighted": False, "rank1": 0.5, "rank1_std": 0.0, "map": None},
    {"bits": 20, "weighted": True, "rank1": 0.3, "map": 0.4149},
]


def small_plot():
    return cmc_plot([Curve("a", [1, 2], [0.5, 0.6])], "plot")


def written(tmp_path, **parts):
    path = tmp_path / "new" / "report.html"
    write_report(path, Report(**{"title": "Title", **parts}))
    return path.read_text(encoding="utf-8")


def test_all_records_are_there_with_their_numbers(tmp_path):
    page = Page(written(tmp_path, records=RECORDS))
    assert page.rows == [
        ["code,bits", "distance", "bytesa person", "rank-1", "mAP"],
        ["64", "weighted", "8", "52.3 ± 1.2", "41.0"],
        ["64", "unweighted", "8", "50.0 ± 0.0", "–"],
        ["20", "weighted", "3", "30.0", "41.5"],
    ]
    assert page.bold == ["52.3", "41.5"]


def test_one_record_has_no_best(tmp_path):
    page = Page(written(tmp_path, records=RECORDS[:1]))
    assert page.rows[1] == ["64", "weighted", "8", "52.3 ± 1.2", "41.0"]
    assert page.bold == []


def test_methods_get_a_column_where_they_differ():
    ours, theirs = {**RECORDS[0], "method": "ours"}, {**RECORDS[1], "method": "theirs"}
    table = result_table([ours, {**theirs, "reported": True, "weighted": None}])
    assert table.methods
    assert [row.method for row in table.rows] == ["ours", "theirs (as reported)"]
    assert [row.weighted for row in table.rows] == ["weighted", "–"]
    assert [row.starts for row in table.rows] == [False, True]
    assert not result_table([ours, ours]).methods


def test_an_empty_report(tmp_path):
    text = written(tmp_path)
    assert "No results." in text
    assert not Page(text).rows


def test_the_page_is_self_contained(tmp_path):
    image = np.zeros((8, 4, 3), np.uint8)
    grid = ranking_grid([RankingRow(image, "q", [image], ["g"], [True], [1.0])], "grid")
    figures = [("A curve", small_plot()), ("A grid", grid)]
    text = written(
        tmp_path, summary="s", facts=[("a", "b")], notes=["n"], records=RECORDS, figures=figures
    )
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    page = Page(text)
    assert not {"script", "iframe", "object", "a"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data"):
            if name in attributes:
                assert attributes[name].startswith("data:"), (tag, name)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    kinds = [image["src"].split(";")[0] for image in images]
    assert kinds == ["data:image/png", "data:image/jpeg"]
    assert [image["alt"][:4] for image in images] == ["Plot", "Grid"]
    assert images[0]["width"] == "820"
    assert ("html", {"lang": "en"}) in page.tags


def test_light_dark_and_print(tmp_path):
    text = written(tmp_path)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text


def test_all_text_is_escaped(tmp_path):
    evil = '<script>alert(1)</script>"\' onload="x'
    figure = small_plot()
    figure.set_label(evil)
    text = written(
        tmp_path,
        title=evil,
        summary=evil,
        facts=[(evil, evil), ("command", evil)],
        notes=[evil],
        records=[{**RECORDS[0], "method": evil}, {**RECORDS[1], "method": "b"}],
        figures=[(evil, figure)],
        config=evil,
    )
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any("onload" in attributes for _, attributes in page.tags)
    assert page.text.count("<script>alert(1)</script>") == 10
    (alt,) = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert alt == evil


def test_what_was_run_is_told(tmp_path):
    text = written(
        tmp_path,
        summary="In short.",
        facts=[("Command", "reid-hash cmc"), ("Seed", "0"), ("machine", "")],
        notes=["Mind this."],
        config="train:\n  epochs: 3\n",
    )
    assert "<code>reid-hash cmc</code>" in text
    assert re.search(r"<dt>Seed</dt>\s*<dd>0</dd>", text)
    assert "machine" not in text  # nothing is known of it
    for part in ("In short.", "Mind this.", "train:\n  epochs: 3"):
        assert part in text


def test_an_unwritable_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReidHashError, match="cannot write"):
        write_report(tmp_path / "file" / "report.html", Report("t"))


def test_a_failure_leaves_the_old_report(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(html, "_picture", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(path, Report("t", figures=[("c", small_plot())]))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("report.html", "old")]


def test_columns_are_sorted_by_rank_and_leave_out_what_is_no_figure():
    records = [{"map": 0.1, "rank10": 0.2, "queries": 5, "rank1_std": 0.1}, {"rank5": 0.1}]
    assert figure_columns(records) == ["rank5", "rank10", "map"]
    retrieval = {"map": 0.1, "precision_at_500": 0.2, "precision_radius_2": 0.3}
    assert figure_columns([retrieval]) == list(retrieval)
    assert figure_columns([{"minp": None, "map": float("nan")}]) == []
    assert [line.split(":")[0] for line in meanings(list(retrieval))] == [
        "mAP",
        "precision at k",
        "precision in radius r",
    ]


def test_the_best_is_judged_as_printed():
    assert best_text([{"map": 0.5001}, {"map": 0.5004}], "map") is None
    assert best_text([{"map": 0.5}, {"map": 0.6}, {}], "map") == "60.0"
    shares = [{"empty_ball_share": 0.5}, {"empty_ball_share": 0.1}]
    assert best_text(shares, "empty_ball_share") == "10.0"


def test_percent_leaves_out_what_is_missing():
    assert percent({"map": 1.0, "map_std": float("nan")}, "map") == "100.0"
    assert percent({"map": None}, "map") == "–"
    assert percent({"map": True}, "map") == "–"
