"""Files of the MOT challenges: frame, identity, left, top, width, height, score, and so on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_hash.errors import DataError, one_line
from reid_hash.utils.files import write_text
from reid_hash.video.types import Boxes

Floats = NDArray[np.float64]

_PERSON = 1  # the class of pedestrians in ground truths


class Row(NamedTuple):
    """A box of a result.

    Attributes:
        frame: from 0.
        identity: whose it is, at least 1.
        box: left, top, right, bottom.
        score: how sure it is, 0 to 1.
    """

    frame: int
    identity: int
    box: Sequence[float]
    score: float = 1.0


@dataclass(frozen=True, eq=False)
class MotFile:
    """The boxes of one camera.

    Attributes:
        frames: [n] int64, from 0.
        identities: [n] int64; -1 in files of detections.
        boxes: [n, 4] float32, left, top, right, bottom.
        scores: [n] float64; of a ground truth, 1 for what counts and 0 for what is to be ignored.
        seen: [n] float64, share of each that is visible; 1 where the file does not say.
    """

    frames: NDArray[np.int64] = field(repr=False)
    identities: NDArray[np.int64] = field(repr=False)
    boxes: Boxes = field(repr=False)
    scores: Floats = field(repr=False)
    seen: Floats = field(repr=False)

    def __len__(self) -> int:
        return len(self.frames)

    def of(self, frame: int) -> NDArray[np.int64]:
        """Rows of a frame."""
        return np.flatnonzero(self.frames == frame)


def read_mot(file: Path, truth: bool = False) -> MotFile:
    """Read a file of a MOT challenge.

    Args:
        file: frames count from 1.
        truth: a ground truth: the seventh column says what counts, the eighth the class, the ninth
            how much is visible. People alone count.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        text = file.read_text(encoding="utf-8")
        rows = [list(map(float, line.split(","))) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no file of a MOT challenge: {one_line(error)}") from error
    if any(len(row) < 6 for row in rows):
        raise DataError(
            f"{file} is no file of a MOT challenge: a row is frame, identity, left, top, width, "
            "height, and so on, separated by commas"
        )
    if not np.isfinite([row[:6] for row in rows]).all():
        raise DataError(f"{file} is no file of a MOT challenge: a number is not finite")
    table = np.array([(row + [1.0, 1.0, 1.0])[:9] if len(row) < 9 else row[:9] for row in rows])
    table = table.reshape(-1, 9)
    boxes = table[:, 2:6].astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    scores, seen = table[:, 6].copy(), np.ones(len(table))
    if truth:
        scores = ((scores == 1) & np.isin(table[:, 7], (_PERSON, -1))).astype(float)
        seen = np.where(table[:, 8] < 0, 1.0, table[:, 8])
    return MotFile(
        table[:, 0].astype(np.int64) - 1, table[:, 1].astype(np.int64), boxes, scores, seen
    )


def write_mot(file: Path, rows: Iterable[Row]) -> None:
    """Write boxes of one camera as a result of a MOT challenge; frames count from 1.

    Raises:
        ReidHashError: it cannot be written.
    """
    lines = []
    for row in sorted(rows, key=lambda row: (row.frame, row.identity)):
        left, top, right, bottom = (float(value) for value in row.box)
        lines.append(
            f"{row.frame + 1},{row.identity},{left:.2f},{top:.2f},{right - left:.2f},"
            f"{bottom - top:.2f},{row.score:.3f},-1,-1,-1\n"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, "".join(lines))
