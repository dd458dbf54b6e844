"""Detectors in YOLOX form, from an ONNX file (Ge et al. 2021)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import CheckpointError, DataError
from reid_hash.utils.onnx_file import (
    fields,
    first_line,
    import_onnxruntime,
    limit_memory,
    read_onnx,
)
from reid_hash.video.detectors.detector import suppress
from reid_hash.video.types import BgrFrame, Detections

_STRIDES = (8, 16, 32)
# where an ONNX file, a protocol buffer, tells its first input's shape: ModelProto.graph,
# GraphProto.input, ValueInfoProto.type, TypeProto.tensor_type, Tensor.shape
_SHAPE = (7, 11, 2, 1, 2)
_FILL = 114  # the grey that YOLOX is trained with around a picture

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Yolox:
    """A network whose output is [1, n, 5 + classes]: box, objectness, classes; class 0 is person.

    Its input is [1, 3, height, width] BGR in 0 … 255, the frame scaled into its upper left and
    the rest grey; boxes come relative to the cells of three grids of strides 8, 16 and 32.

    Args:
        file: the ONNX file.
        threads: of the network; all cores when left out.

    Attributes:
        engine: what runs it: "onnxruntime" where that is installed, else "OpenCV".

    Raises:
        DataError: the file cannot be read, or is of another form.
    """

    shapes = False

    def __init__(self, file: Path, threads: int | None = None) -> None:
        try:
            content = read_onnx(file)
        except CheckpointError as error:  # it is no checkpoint that is looked for here
            raise DataError(str(error)) from error
        self._size = _input_shape(file, content)
        self._run, self.engine = _load(file, content, threads)
        grids, strides = _cells(self._size)
        self._grids, self._strides = grids, strides
        try:
            found = self._run(np.full((1, 3, *self._size), _FILL, np.float32)).shape
        except Exception as error:  # each engine has its own
            raise DataError(f"{file}: the network cannot be run: {first_line(error)}") from error
        if len(found) != 3 or found[1] != len(grids) or found[2] < 6:
            raise DataError(
                f"{file} is no detector in YOLOX form: its output is {list(found)}, not "
                f"[1, {len(grids)}, 5 + classes]"
            )

    def __repr__(self) -> str:
        return f"Yolox({self._size[1]} × {self._size[0]} pixels, run by {self.engine})"

    def another(self) -> "Yolox":
        """See `Detector`: it keeps nothing between frames."""
        return self

    def detect(self, picture: BgrFrame) -> Detections:
        """See `Detector`."""
        height, width = self._size
        scale = min(height / picture.shape[0], width / picture.shape[1])
        rows = max(1, round(picture.shape[0] * scale))
        columns = max(1, round(picture.shape[1] * scale))
        canvas = np.full((height, width, 3), _FILL, np.uint8)
        canvas[:rows, :columns] = cv2.resize(picture, (columns, rows))
        pixels = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)
        raw = self._run(pixels)[0]
        scores = raw[:, 4] * raw[:, 5]
        likely = scores >= 0.05  # the exponential of all others is not needed
        raw, grids, strides = raw[likely], self._grids[likely], self._strides[likely, None]
        middle = (raw[:, :2] + grids) * strides
        half = np.exp(np.minimum(raw[:, 2:4], 20.0)) * strides / 2
        boxes = np.concatenate([middle - half, middle + half], axis=1) / scale
        return suppress(boxes.astype(np.float32), scores[likely], picture.shape)


def _cells(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of each cell [n, 2], and its stride [n]."""
    grids, strides = [], []
    for stride in _STRIDES:
        rows, columns = size[0] // stride, size[1] // stride
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        grids.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full(rows * columns, stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _load(file: Path, content: bytes, threads: int | None) -> tuple[Run, str]:
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        return _load_opencv(file, content), "OpenCV"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # its threads would otherwise keep a core busy while they wait for the next frame
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    limit_memory(options)
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name  # bytes that are no text are an error, too
    except Exception as error:  # it has a dozen classes of them
        raise DataError(f"{file} is no ONNX file that can be read") from error

    def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs: list[Any] = session.run(None, {name: pixels})
        return np.asarray(outputs[0], np.float32)

    return run, "onnxruntime"


def _load_opencv(file: Path, content: bytes) -> Run:
    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    except cv2.error as error:
        raise DataError(f"{file} is no ONNX file that can be read") from error

    def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        net.setInput(pixels)
        return np.asarray(net.forward(), np.float32)

    return run


def _input_shape(file: Path, content: bytes) -> tuple[int, int]:
    """Height and width of the pictures that a network takes, read without a package for ONNX.

    Args:
        file: its name, for messages.
        content: its bytes.

    Raises:
        DataError: it is no ONNX file, or takes no pictures of fixed size.
    """
    data = memoryview(content)
    try:
        for field in _SHAPE:
            data = next(_messages(data, field))
        sizes = [_value(dimension) for dimension in _messages(data, 1)]
    except (StopIteration, IndexError, ValueError) as error:
        raise DataError(f"{file} is no ONNX file") from error
    if len(sizes) != 4 or sizes[1] != 3 or not 32 <= min(sizes[2:]) <= max(sizes[2:]) <= 4096:
        raise DataError(
            f"{file} is no detector in YOLOX form: its input is {sizes}, not "
            "[1, 3, height, width] of 32 to 4,096 pixels"
        )
    return sizes[2], sizes[3]


def _value(dimension: memoryview) -> int:
    """A dimension's number; 0 where it has a name instead."""
    return next((value for number, value in fields(dimension) if number == 1), 0)  # type: ignore[misc, return-value]


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """All sub-messages of a field."""
    for number, value in fields(data):
        if number == wanted and isinstance(value, memoryview):
            yield value
