"""Detectors: what they find, and what is said of those that cannot be had."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from reid_hash.errors import ConfigError, DataError
from reid_hash.video.detectors.classical import Motion
from reid_hash.video.detectors.coco import cached_file
from reid_hash.video.detectors.detector import open_detector, suppress
from reid_hash.video.score import read_truth
from reid_hash.video.types import iou

SHARED = Path(os.environ.get("REID_HASH_SHARED", Path(__file__).parents[4] / "shared"))
TINY = "ssdlite320_mobilenet_v3_large"


def shared(name):
    if not (SHARED / name).is_file():
        pytest.skip(f"{name} is not in {SHARED}; set REID_HASH_SHARED")
    return SHARED / name


def frame_300():
    video = cv2.VideoCapture(str(shared("data/vtest.avi")))
    for _ in range(301):
        _, frame = video.read()
    return frame


# the six people of frame 300 of vtest.avi, drawn by hand
SIX = np.array(
    [
        [187, 158, 217, 235],
        [241, 156, 263, 221],
        [296, 158, 327, 232],
        [314, 211, 346, 295],
        [580, 159, 612, 234],
        [616, 160, 643, 230],
    ],
    np.float32,
)


@pytest.mark.slow
def test_hog_finds_all_six_people_of_a_real_frame():
    hog = open_detector("hog", say=lambda line: None)
    found = hog.detect(frame_300())
    sure = found.boxes[found.scores >= 0.5]
    assert (iou(SIX, sure).max(axis=1) > 0.5).all()
    assert len(hog.detect(np.zeros((37, 21, 3), np.uint8)).boxes) == 0


@pytest.mark.parametrize("engine", ["onnxruntime", "OpenCV"])
def test_an_onnx_file_finds_people_whatever_runs_it(engine, monkeypatch):
    frame = frame_300()
    file = shared("models/yolox_nano_coco_416.onnx")
    if engine == "OpenCV":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    else:
        pytest.importorskip("onnxruntime")
    said = []
    detector = open_detector(str(file), threads=1, say=said.append)
    assert said == [f"detector: {file.name} in YOLOX form, run by {engine}"]
    found = detector.detect(frame)
    assert (iou(SIX, found.boxes[found.scores > 0.5]).max(axis=1) > 0.7).all()
    assert len(detector.detect(np.zeros((33, 501, 3), np.uint8)).boxes) == 0
    assert detector.another() is detector


def test_motion_finds_the_walkers(film):
    for filmed in film:
        truth = read_truth(filmed.truth, least_height=30, visible=0.9)
        video, motion = cv2.VideoCapture(str(filmed.video)), Motion()
        hits = people = 0
        for number in range(56):
            _, frame = video.read()
            found = motion.detect(frame)
            boxes = truth.boxes.get(number, np.zeros((0, 4), np.float32))
            if number >= 16:
                people += len(boxes)
                hits += int((iou(boxes, found.boxes).max(axis=1, initial=0) > 0.5).sum())
        assert people > 20
        assert hits > 0.7 * people


def test_nobody_is_found_where_nothing_moves():
    motion = Motion()
    for _ in range(5):
        assert len(motion.detect(np.full((121, 77, 3), 90, np.uint8)).boxes) == 0
    assert motion.another() is not motion


def test_boxes_are_cut_to_the_frame_and_doubles_are_dropped():
    boxes = np.array([[-9, 10, 50, 90], [-8, 11, 50, 90], [70, 10, 300, 90], [5, 5, 6, 6]])
    scores = np.array([0.6, 0.9, 0.8, 0.9], np.float32)
    found = suppress(boxes.astype(np.float32), scores, (100, 200))
    kept = sorted(map(tuple, found.boxes.tolist()))
    assert kept == [(0, 11, 50, 90), (70, 10, 200, 90)]
    assert len(suppress(boxes[:0].astype(np.float32), scores[:0], (100, 200)).boxes) == 0


def test_torchvision_is_used_where_its_weights_are_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    from torchvision.models import get_model

    torch.manual_seed(0)
    net = get_model(TINY, weights=None, weights_backbone=None)
    cached_file(TINY).parent.mkdir(parents=True)
    torch.save(net.state_dict(), cached_file(TINY))
    said = []
    detector = open_detector(f"torchvision:{TINY}", say=said.append)
    assert said == [f"detector: {TINY} of torchvision, trained on COCO"]
    found = detector.detect(np.random.default_rng(0).integers(0, 255, (90, 131, 3), np.uint8))
    assert found.boxes.shape == (len(found.scores), 4)  # its weights are random: nothing is right
    assert (found.scores <= 1).all()
    cached_file(TINY).write_bytes(b"no weights")
    with pytest.raises(DataError, match="is damaged"):
        open_detector(f"torchvision:{TINY}", say=said.append)


def test_auto_says_what_it_chose_and_why_where_nothing_can_be_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    said = []
    open_detector("auto", say=said.append)
    assert "looks for the weights" in said[0]
    assert "auto chose hog" in said[1]
    assert "because torchvision's weights are neither on this machine" in said[1]
    with pytest.raises(DataError, match="cannot be downloaded"):
        open_detector("torchvision", say=said.append)


def test_detectors_that_are_none_are_named(tmp_path):
    say = [].append
    for name, kind, message in (
        ("nosuch", ConfigError, "there is no detector nosuch; choose auto, torchvision"),
        ("torchvision:nosuch", DataError, "torchvision has no model nosuch"),
        ("torchvision:resnet18", DataError, "detects nothing"),
        ("nosuch.onnx", DataError, "no such file"),
    ):
        with pytest.raises(kind, match=message):
            open_detector(name, say=say)
    for data in (b"", b"no network at all", bytes(200), b"\x08\x08\x3a\x7f"):
        (tmp_path / "x.onnx").write_bytes(data)
        with pytest.raises(DataError, match="no ONNX file"):
            open_detector(str(tmp_path / "x.onnx"), say=say)


def test_another_network_is_no_detector(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def write(shape):
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.save(model, tmp_path / "x.onnx")

    write([1, 3, 64, 64])
    with pytest.raises(DataError, match=r"its output is \[1, 3, 64, 64\]"):
        open_detector(str(tmp_path / "x.onnx"), say=print)
    write([1, 128])
    with pytest.raises(DataError, match="its input is"):
        open_detector(str(tmp_path / "x.onnx"), say=print)
