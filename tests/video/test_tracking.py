import numpy as np
import pytest

from reid_hash.app.track_eval import ALL, track_eval
from reid_hash.errors import DataError
from reid_hash.video.mot import Row, read_mot, write_mot
from reid_hash.video.tracking import compare, distinct, joined, measure

# two people who walk to the right, ten frames
TRUE = [
    Row(frame, who, (20.0 * frame + 200 * who, 10.0, 20.0 * frame + 200 * who + 30, 90.0))
    for frame in range(10)
    for who in (1, 2)
]


def written(path, rows):
    write_mot(path, rows)
    return path


def truth_file(path, rows, classes=None, seen=1.0):
    lines = []
    for i, row in enumerate(rows):
        left, top, right, bottom = row.box
        kind = 1 if classes is None else classes[i]
        numbers = (row.frame + 1, row.identity, left, top, right - left, bottom - top)
        lines.append(",".join(map(str, (*numbers, 1, kind, seen))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path


def test_what_is_written_is_read(tmp_path):
    found = read_mot(written(tmp_path / "a.txt", TRUE))
    assert found.frames.tolist() == [row.frame for row in TRUE]
    assert found.identities.tolist() == [row.identity for row in TRUE]
    assert found.boxes == pytest.approx(np.array([row.box for row in TRUE]))


def test_a_perfect_result_has_perfect_figures(tmp_path):
    truth = read_mot(truth_file(tmp_path / "gt.txt", TRUE), truth=True)
    found = measure(compare(truth, read_mot(written(tmp_path / "a.txt", TRUE))))
    assert (found.hota, found.mota, found.idf1) == pytest.approx((1, 1, 1))
    assert (found.switches, found.misses, found.false, found.boxes) == (0, 0, 0, 20)
    assert (found.people, found.identities) == (2, 2)


def test_identities_that_change_places_cost_half(tmp_path):
    truth = read_mot(truth_file(tmp_path / "gt.txt", TRUE), truth=True)
    turned = [row._replace(identity=3 - row.identity) if row.frame >= 5 else row for row in TRUE]
    found = measure(compare(truth, read_mot(written(tmp_path / "a.txt", turned))))
    assert found.idf1 == pytest.approx(0.5)
    assert found.switches == 2
    assert found.mota == pytest.approx(1 - 2 / 20)
    assert found.deta == pytest.approx(1)
    assert 0.3 < found.hota < 0.9


def test_misses_and_false_boxes_are_counted(tmp_path):
    truth = read_mot(truth_file(tmp_path / "gt.txt", TRUE), truth=True)
    ours = [row for row in TRUE if row.frame != 3] + [Row(0, 9, (600, 10, 630, 90))]
    found = measure(compare(truth, read_mot(written(tmp_path / "a.txt", ours))))
    assert (found.misses, found.false) == (2, 1)
    assert found.idf1 == pytest.approx(2 * 18 / (20 + 19))


def test_what_is_to_be_ignored_counts_neither_way(tmp_path):
    kinds = [1 if row.identity == 1 else 7 for row in TRUE]  # 7: somebody who stands still
    truth = read_mot(truth_file(tmp_path / "gt.txt", TRUE, kinds), truth=True)
    found = measure(compare(truth, read_mot(written(tmp_path / "a.txt", TRUE))))
    assert (found.boxes, found.false, found.misses, found.idf1) == (10, 0, 0, 1)
    hidden = read_mot(truth_file(tmp_path / "gt2.txt", TRUE, seen=0.2), truth=True)
    assert len(compare(hidden, read_mot(tmp_path / "a.txt"), visible=0.3).true[0]) == 0
    assert len(compare(hidden, read_mot(tmp_path / "a.txt"), least_height=100).ours[0]) == 0


def test_identities_are_joined_over_cameras(tmp_path):
    for camera in ("hall", "gate"):
        truth_file(tmp_path / "truth" / camera / "gt" / "gt.txt", TRUE)
        written(tmp_path / "same" / f"{camera}.txt", TRUE)
        names = [row._replace(identity=row.identity + 10 * (camera == "gate")) for row in TRUE]
        written(tmp_path / "other" / f"{camera}.txt", names)
    rows = track_eval(tmp_path / "truth", [tmp_path / "same", tmp_path / "other"])
    shown = [(camera, figures.idf1) for _, camera, figures in rows]
    assert [camera for camera, _ in shown] == ["gate", "hall", ALL] * 2
    assert [idf1 for _, idf1 in shown] == pytest.approx([1, 1, 1, 1, 1, 0.5])


def test_two_boxes_of_one_identity_count_both():
    numbers: dict = {}
    assert len(set(distinct([5, 5, 7], numbers).tolist())) == 3
    assert distinct([7, 5], numbers).tolist() == [2, 0]
    assert joined([]).true == []


def test_files_that_are_none_are_told_of(tmp_path):
    for text in ("1,2,3", "a,b,c,d,e,f", "1,1,nan,3,4,5"):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(DataError, match="no file of a MOT challenge"):
            read_mot(tmp_path / "bad.txt")
    with pytest.raises(DataError, match="no file of a MOT"):
        read_mot(tmp_path / "missing.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no ground truth"):
        track_eval(tmp_path / "empty", [tmp_path])
    truth_file(tmp_path / "t" / "a.txt", TRUE)
    with pytest.raises(DataError, match="no result"):
        track_eval(tmp_path / "t", [tmp_path / "empty"])
    (tmp_path / "none.txt").write_text("")
    assert len(read_mot(tmp_path / "none.txt")) == 0
