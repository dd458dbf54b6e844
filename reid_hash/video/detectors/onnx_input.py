"""The size of an ONNX network's input, without a package that reads ONNX.

An ONNX file is a protocol buffer. Its first input's shape is found by the numbers of the fields:
ModelProto.graph 7, GraphProto.input 11, ValueInfoProto.type 2, TypeProto.tensor_type 1,
Tensor.shape 2, TensorShapeProto.dim 1, Dimension.dim_value 1.
"""

from collections.abc import Iterator
from pathlib import Path

from reid_hash.errors import DataError
from reid_hash.utils.onnx_file import fields

_PATH = (7, 11, 2, 1, 2)


def input_shape(file: Path, content: bytes) -> tuple[int, int]:
    """Height and width of the pictures that a network takes.

    Args:
        file: its name, for messages.
        content: its bytes.

    Raises:
        DataError: it is no ONNX file, or takes no pictures of fixed size.
    """
    data = memoryview(content)
    try:
        for field in _PATH:
            data = next(_messages(data, field))
        sizes = [_value(dimension) for dimension in _messages(data, 1)]
    except (StopIteration, IndexError, ValueError) as error:
        raise DataError(f"{file} is no ONNX file") from error
    if len(sizes) != 4 or sizes[1] != 3 or min(sizes[2:]) < 32:
        raise DataError(
            f"{file} is no detector in YOLOX form: its input is {sizes}, not [1, 3, height, width]"
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
