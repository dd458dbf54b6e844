import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import reid_hash
from reid_hash.errors import ReidHashError
from reid_hash.utils.files import PRIVATE, json_text, replacing, write_text


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_told_in_one_line(tmp_path):
    with pytest.raises(ReidHashError, match="the disk is full"), replacing(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_really_full_device_raises(tmp_path):
    with (
        pytest.raises(ReidHashError, match="the disk is full"),
        replacing(tmp_path / "a"),
        open("/dev/full", "w") as full,
    ):
        full.write("x")
        full.flush()


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReidHashError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_the_mode_is_that_of_an_ordinary_file(tmp_path):
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "b").stat().st_mode
    )


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_file_may_be_private_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        for name, mode in (("a", None), ("b", PRIVATE), ("c", 0o640)):
            with replacing(tmp_path / name, mode) as temporary:
                assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
                temporary.write_text("x")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "abc"]
    assert modes == [0o666 & ~umask, 0o600, 0o640]


def test_json_has_null_in_place_of_what_is_not_finite():
    value = {"a": [1.5, float("nan")], "b": {"c": (float("inf"), None)}, "d": np.float64("-inf")}
    assert json.loads(json_text(value)) == {"a": [1.5, None], "b": {"c": [None, None]}, "d": None}


def test_no_json_is_written_but_through_the_helper():
    # what is hashed, is an SQL parameter, a setting of YAML or an answer of the service, which
    # refuses NaN by itself, is no file of a person
    others = {"query.py", "rows.py", "sources.py", "io.py", "train.py", "files.py", "route.py"}
    package = Path(reid_hash.__file__).parent
    found = {path.name for path in package.rglob("*.py") if "json.dump" in path.read_text()}
    assert found <= others
