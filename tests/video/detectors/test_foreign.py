import sys
import types

import numpy as np
import pytest
import supervision

from reid_hash.errors import ConfigError, DataError
from reid_hash.video.detectors.detector import open_detector
from reid_hash.video.mot import Row, write_mot
from reid_hash.video.types import Detections

PICTURE = np.zeros((100, 200, 3), np.uint8)


def found(boxes, classes, scores):
    return supervision.Detections(
        np.array(boxes, float), class_id=np.array(classes), confidence=np.array(scores)
    )


def test_detections_go_to_supervision_and_back():
    ours = Detections(np.float32([[1, 2, 30, 80]]), np.float32([0.7]))
    back = Detections.from_supervision(ours.to_supervision())
    assert back.boxes.tolist() == ours.boxes.tolist()
    assert back.scores.tolist() == ours.scores.tolist()
    two = found([[0, 0, 9, 9], [5, 5, 20, 60]], [2, 0], [0.9, 0.8])
    assert Detections.from_supervision(two, people=0).boxes.tolist() == [[5, 5, 20, 60]]
    assert Detections.from_supervision(supervision.Detections(two.xyxy)).scores.tolist() == [1, 1]


def test_a_detector_of_another_package_finds_people_alone(monkeypatch):
    seen = []

    class RFDETRBase:
        def predict(self, picture, threshold):
            seen.append(picture[0, 0].tolist())
            return found([[10, 10, 40, 90], [50, 10, 80, 90]], [1, 3], [0.9, 0.9])

    monkeypatch.setitem(sys.modules, "rfdetr", types.SimpleNamespace(RFDETRBase=RFDETRBase))
    said = []
    detector = open_detector("rfdetr:base", say=said.append)
    picture = PICTURE.copy()
    picture[..., 0] = 7  # blue
    assert detector.another().detect(picture).boxes.tolist() == [[10, 10, 40, 90]]
    assert seen == [[0, 0, 7]]
    assert "rfdetr" in said[0]


def test_a_package_that_is_not_there_is_told_of(monkeypatch):
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(ConfigError, match="pip install ultralytics"):
        open_detector("ultralytics:yolo.pt")
    broken = types.SimpleNamespace(YOLO=lambda file: 1 / 0)
    monkeypatch.setitem(sys.modules, "ultralytics", broken)
    with pytest.raises(DataError, match=r"cannot open yolo\.pt with ultralytics"):
        open_detector("ultralytics:yolo.pt")


def test_detections_come_from_files_one_a_camera(tmp_path):
    write_mot(tmp_path / "a.txt", [Row(0, 1, (1, 2, 31, 82), 0.6), Row(2, 1, (5, 2, 35, 82), 0.9)])
    write_mot(tmp_path / "b.txt", [Row(1, 4, (9, 9, 39, 89), -1)])
    first = open_detector(f"{tmp_path / 'a.txt'},{tmp_path / 'b.txt'}", say=lambda line: None)
    second = first.another()
    assert [first.detect(PICTURE).boxes.tolist() for _ in range(3)] == [
        [[1, 2, 31, 82]],
        [],
        [[5, 2, 35, 82]],
    ]
    shown = [second.detect(PICTURE) for _ in range(2)]
    assert [len(one.boxes) for one in shown] == [0, 1]
    assert shown[1].scores.tolist() == [1]
    with pytest.raises(ConfigError, match="for 2 sources"):
        first.another()
    with pytest.raises(DataError, match="no file of a MOT"):
        open_detector(str(tmp_path / "c.txt"))
