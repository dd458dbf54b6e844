"""Commands on narrow terminals, in encodings that lack characters, and without a terminal."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.cells import cell_len

from reid_hash.cli import show
from reid_hash.gallery.sighting import Sighting
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.torch_encoder import TorchEncoder
from reid_hash.training.loop import train
from reid_hash.utils.terminal_text import encodable
from tests.helpers import coloured_pixels, on_terminal, tiny_config

ENCODINGS = ("utf-8", "cp1252", "latin-1", "ascii")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A network, a Market-1501 folder, and a gallery with names of all scripts and of markup."""
    folder = tmp_path_factory.mktemp("world")
    pixels = coloured_pixels(identities=12, images=12)
    train(tiny_config("train.epochs=1"), pixels, folder / "run", device="cpu")
    for part in ("query", "bounding_box_test"):
        (folder / "market" / part).mkdir(parents=True)
    for i, (image, label) in enumerate(zip(pixels.images, pixels.labels, strict=True)):
        part = "query" if i % 3 == 0 else "bounding_box_test"
        name = f"{label + 1:04}_c{1 + i % 2}s1_{i:06}_00.png"
        cv2.imwrite(str(folder / "market" / part / name), image)
    cv2.imwrite(str(folder / "[red]x 木.png"), pixels.images[0])
    encoder = TorchEncoder.load(folder / "run" / "model.safetensors", "cpu")
    codes = encoder.encode(pixels.images)
    file = str(folder / "run" / "model.safetensors")
    with Gallery.create(folder / "g", codes.bits, codes.weights, codes.model, file) as gallery:
        long = "[red]a [bold]very[/bold] long/path/of/pictures/of/the/Große Straße 木/±β/"
        gallery.add(
            codes,
            [
                Sighting(f"[b]cam{i % 2}", 1e9 + i, f"{long}{i:06}.png", frame=i, name=f"Ада{k}")
                for i, k in enumerate(pixels.labels.tolist())
            ],
        )
    return folder


def commands(world):
    market = [
        "--dataset",
        "market1501",
        "--data",
        world / "market",
        "--model",
        world / "run",
        "--device",
        "cpu",
    ]
    return {
        "cmc": ["cmc", *market, "--bits", "8,16"],
        "models": ["models"],
        "card": ["models", "small"],
        "search": ["search", world / "[red]x 木.png", "--gallery", world / "g", "--top", "3"],
        "info": ["gallery", "info", world / "g", "--identities"],
        "calibrate": ["gallery", "calibrate", world / "g", "--far", "0.05"],
        "data": ["data", "info"],
        "help": ["search", "--help"],
        "wrong": ["gallery", "info", world / "[red]none 木"],
    }


NAMES = tuple(commands(Path()))


def run(arguments, cwd, columns=None, **environment):
    """Run a command, on a terminal of some columns or in a pipe; gives (exit code, its output).

    In a pipe that is standard output and error; on a terminal standard output alone, for notes are
    lines as they are, which the terminal wraps.
    """
    command = [sys.executable, "-m", "reid_hash", *map(str, arguments)]
    unset = ("COLUMNS", "PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LC_CTYPE", "NO_COLOR")
    inherited = {key: text for key, text in os.environ.items() if key not in unset}
    # the root of the repository is found wherever the command runs
    inherited["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment = {**inherited, "OMP_NUM_THREADS": "1", **environment}
    if columns is None:
        done = subprocess.run(command, capture_output=True, check=False, env=environment, cwd=cwd)
        return done.returncode, done.stdout + done.stderr
    return on_terminal(command, columns, cwd=cwd, env=environment)


def plain(data, encoding):
    """Lines without colours and progress bars, which the terminal has wiped."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode(encoding))
    return [line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").split("\n")]


def words(lines):
    return sorted(re.findall(r"\d+\.\d+", " ".join(lines)))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("help", "wrong")])
def test_narrow_terminals_show_every_figure(world, tmp_path, name):
    command = commands(world)[name]
    code, data = run(command, tmp_path)
    assert code == 0, data.decode()
    whole = set(words(plain(data, "utf-8")))
    for columns, term in ((80, "xterm-256color"), (40, "dumb")):
        code, data = run(command, tmp_path, columns, TERM=term)
        assert code == 0
        lines = plain(data, "utf-8")
        assert whole <= set(words(lines)), (columns, lines)
        if name != "card":  # a text that somebody wrote, in lines of its own
            assert "…" not in "".join(lines)
            # a path is one word, which no line is broken in
            words_only = [line for line in lines if str(world) not in line]
            assert max(map(cell_len, words_only)) <= columns, lines


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("encoding", "columns"), [("cp1252", None), ("ascii", None), ("ascii", 60)]
)
def test_encodings_lose_no_answer(world, tmp_path, name, encoding, columns):
    code, data = run(commands(world)[name], tmp_path, columns, PYTHONIOENCODING=encoding)
    assert code == (1 if name == "wrong" else 0), data
    text = data.decode(encoding)  # strictly: no UTF-8 in a file of another encoding
    assert "â€" not in text
    if name == "search" and columns is None:
        assert "[red]a [bold]very[/bold] long" in text
    if name in ("info", "search") and columns is None:
        assert "\\u0410" in text  # a name in Cyrillic


def test_the_c_locale(world, tmp_path):
    plain_c = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for name, columns in (("search", None), ("cmc", 40)):
        code, data = run(commands(world)[name], tmp_path, columns, **plain_c)
        assert code == 0, data
        data.decode("ascii")


def test_a_closed_output_is_no_failure_of_the_encoding(world, tmp_path):
    """Without standard output, as programs without a console are started."""
    code = "import sys; sys.stdout = sys.stderr = None; from reid_hash.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "models"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


COLUMNS = [show.Column("method"), show.Column("bits", right=True), show.Column("path", folds=True)]
COLUMNS += [show.Column(f"rank-{k}", right=True) for k in (1, 5, 10, 20)]


@pytest.mark.parametrize("width", [40, 47, 60, 80, 120, 300])
@pytest.mark.parametrize("keys", [0, 2])
def test_tables_fit_and_are_whole(capsys, monkeypatch, width, keys):
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [
        ["ours 木木 " + "m" * row, str(64 << row), "a/very/long/path/" * (row + 2)]
        + [f"{54.2 + row:.1f} ±{1.3 + k:.1f}" for k in range(4)]
        for row in range(3)
    ]
    show.table(COLUMNS, rows, keys)
    out = capsys.readouterr().out
    assert max(map(cell_len, out.splitlines())) <= width
    for row in rows:
        for figure in row[3:]:
            assert figure in out
        squeezed = re.sub(r"\s", "", out)
        assert row[1] in squeezed


def test_signs_that_an_encoding_lacks_have_stand_ins():
    assert encodable("54.2 ±1.3", "ascii") == "54.2 +-1.3"
    assert encodable("木", "no such encoding") == "木"
    for encoding in ENCODINGS:
        text = encodable("".join(map(chr, np.arange(32, 0xD7FF))), encoding)
        text.encode(encoding)


@pytest.mark.parametrize("width", [40, 80])
def test_results_of_retrieval_reproduce_and_demo_are_whole(capsys, monkeypatch, width):
    from types import SimpleNamespace

    from reid_hash.cli import demo, reproduce
    from reid_hash.paper.table1.table import PLAIN
    from reid_hash.video.summary import Person, Visit

    figures = (*reproduce.COLUMNS, *show.COLUMNS)
    record = {name: 0.1017 + i / 100 for i, name in enumerate(figures)}
    records = [
        {**record, "method": f"BS-DRSCH, network {bits}", "bits": bits, "weighted": weighted}
        | {"rank1_std": 0.0123, "bytes": 12_345.0, "query_ms": 1.25}
        for bits in (16, 4096)
        for weighted in (True, False)
    ]
    visits = [Visit("door [red]x", 5, 1000.25, 1012.5, 9, None, "", b"")]
    people = [Person(3, "Ada [b]木[/b]", True, visits)]
    found = SimpleNamespace(people=people, nameless=0, start=1000.0)
    seen = []
    for columns in (str(width), ""):
        monkeypatch.setenv("COLUMNS", columns)
        show.results_table(records, figures, plain=PLAIN)
        demo._people(found)
        seen.append(capsys.readouterr().out)
    narrow, wide = (set(re.findall(r"±?\d[\d,.]*", text)) for text in seen)
    assert wide <= narrow
    assert "±1.2" in narrow
    assert "12,345" in narrow
    assert max(map(cell_len, seen[0].splitlines())) <= width
    assert "…" not in seen[0]
    assert "Ada [b]木[/b]" in seen[0]
    assert "[red]x" in seen[0]
