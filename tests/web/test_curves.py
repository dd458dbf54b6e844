"""Curves of a gallery's own sightings, against the metrics on a matrix of distances."""

import numpy as np
import pytest

from reid_hash.codes import Codes
from reid_hash.distances import weighted
from reid_hash.errors import CodeError, GalleryError
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.metrics import summarise, tie_groups, valid_mask
from reid_hash.report.plots.difference import difference_plot
from reid_hash.web.curves_tab import code_of_person, compare, figures_of, measure, plot_html


def test_figures_are_those_of_a_plain_ranking(page_gallery):
    found = measure(page_gallery.gallery)
    labels, cameras, ids = page_gallery.gallery.labelled(1000)
    codes, _ = page_gallery.gallery.codes(ids=ids)
    who = np.array(labels)
    valid = valid_mask("market", labels, labels, cameras, cameras)
    for record in found.records:
        if not record["weighted"]:
            continue
        short = codes.prefix(record["bits"])
        groups = tie_groups(weighted(short, short), who[:, None] == who, valid)
        plain = summarise(groups, [1, 5])
        assert record["rank1"] == pytest.approx(plain["rank1"])
        assert record["map"] == pytest.approx(plain["map"])
    assert [record["bits"] for record in found.records[::2]] == [8, 16, 32, 64, 128]
    assert found.records[-1]["rank1"] > found.records[0]["rank1"]
    assert "44 sightings of 11 people" in found.about
    assert "other cameras" in found.about
    pages = [plot_html(figure) for figure in figures_of(found)]
    assert all(page.count("data:image/svg+xml;base64,") == 1 for page in pages)


def test_one_camera_counts_other_pictures(tmp_path):
    codes = Codes.from_outputs([[1.0, 1], [1, 1], [-1, -1], [-1, 1]])
    nobody = pytest.raises(GalleryError, match="two people whose identity is known")
    with Gallery.create(tmp_path / "g", 2) as gallery, nobody:
        measure(gallery)
    with Gallery.create(tmp_path / "h", 2, model="m") as gallery:
        made = Codes(codes.packed, 2, model="m")
        gallery.add(made, [Sighting(name=name) for name in ("a", "a", "b", "b")])
        found = measure(gallery)
    assert "other pictures" in found.about
    assert found.records[0]["bits"] == 2
    # each "a" finds the other; each "b" is as far from the other as from an "a", or farther
    assert 0.5 <= found.records[0]["rank1"] < 1


def test_nobody_seen_twice_is_told(tmp_path):
    codes = Codes.from_outputs([[1.0, 1], [-1, 1]], model="m")
    with Gallery.create(tmp_path / "g", 2, model="m") as gallery:
        gallery.add(codes, [Sighting(name="a"), Sighting(name="b")])
        with pytest.raises(GalleryError, match="two sightings to compare"):
            measure(gallery)


def test_the_code_of_a_person_is_the_majority(page_gallery):
    seen = [one.id for one in page_gallery.gallery.sightings(identities=[4])]
    codes, _ = page_gallery.gallery.codes(ids=seen)
    code = code_of_person(page_gallery.gallery, 4)
    share = codes.unpack().mean(axis=0)
    assert (code.unpack()[0] == np.where(share == 0.5, codes.unpack()[0], share > 0.5)).all()
    figure = compare(page_gallery.gallery, [4, 4], ("Ann", "Ann"), 64)
    assert "0 of 64 bits differ, with 0 % of the weight" in figure.get_label()


def test_a_difference_is_weighed():
    one = Codes.from_outputs([[1.0, 1, -1]], weights=[2, 1, 1])
    other = Codes.from_outputs([[-1.0, 1, -1]], weights=[2, 1, 1])
    label = difference_plot(one, other, ("Ann", "$x$")).get_label()
    assert label == "Bits of Ann and $x$: 1 of 3 bits differ, with 50 % of the weight."
    with pytest.raises(CodeError, match="one code is compared with one"):
        difference_plot(one[:0], other, ("a", "b"))
    with pytest.raises(CodeError, match="cannot be compared"):
        difference_plot(one.prefix(2), other, ("a", "b"))
