"""Figures of tracking results against ground truths: `reid-hash track-eval`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reid_hash.errors import DataError
from reid_hash.video.mot import read_mot
from reid_hash.video.tracking import Tracking, compare, joined, measure

ALL = "all"
"""The camera of the row that is of all cameras together, identities joined."""


def track_eval(
    truth: Path, results: Sequence[Path], visible: float = 0.0, least_height: float = 0.0
) -> list[tuple[str, str, Tracking]]:
    """Compare results of MOT challenges with the truth.

    Args:
        truth: a file, or a folder with a file for each camera: camera1.txt, or in the layout of
            the challenges camera1/gt/gt.txt.
        results: likewise, files for a file, or folders with files of the same names.
        visible: people of whom a smaller share is visible are ignored.
        least_height: as are smaller ones, in pixels.

    Returns:
        (result, camera, figures), in order. Where there are several cameras, the last row of each
        result is of all, with the identities that their files share.

    Raises:
        DataError: a file is missing, or none of a MOT challenge.
    """
    truths = _files(truth)
    rows = []
    for result in results:
        cameras = []
        for name, file in truths.items():
            ours = _result(result, name, alone=truth.is_file())
            one = compare(read_mot(file, True), read_mot(ours), visible, least_height)
            rows.append((str(result), name, measure(one)))
            cameras.append(one)
        if len(cameras) > 1:
            rows.append((str(result), ALL, measure(joined(cameras))))
    return rows


def to_json(rows: Sequence[tuple[str, str, Tracking]]) -> dict[str, Any]:
    """Everything, for --json."""
    return {
        "results": [
            {"result": result, "camera": camera, **asdict(figures)}
            for result, camera, figures in rows
        ]
    }


def _files(truth: Path) -> dict[str, Path]:
    if truth.is_file():
        return {truth.stem: truth}
    found = {file.parent.parent.name: file for file in sorted(truth.glob("*/gt/gt.txt"))}
    found = found or {file.stem: file for file in sorted(truth.glob("*.txt"))}
    if not found:
        raise DataError(f"{truth} holds no ground truth: neither NAME.txt nor NAME/gt/gt.txt")
    return found


def _result(result: Path, name: str, alone: bool) -> Path:
    file = result if alone and not result.is_dir() else result / f"{name}.txt"
    if not file.is_file():
        raise DataError(f"there is no result {file} for the ground truth {name}")
    return file
