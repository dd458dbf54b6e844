"""No command asks the network, or leaves anything in the home folder, without being told to."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from reid_hash.data.walkers import write_video
from reid_hash.training.loop import train
from tests.gallery.galleries import make
from tests.helpers import coloured_pixels, tiny_config

HOOK = """
import os, sys
_LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None)
def _hook(event, arguments):
    if event == "socket.getaddrinfo" or event == "socket.gethostbyname":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host not in _LOCAL:
        with open(os.environ["ASKED"], "a") as file:
            file.write(f"{event} {host}\\n")
        raise ConnectionRefusedError(event)
sys.addaudithook(_hook)
"""
SERVE = """
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings
import urllib.request
from pathlib import Path
with Server(Settings(Path("g"), port=0, detector="motion")) as server:
    urllib.request.urlopen(server.url).read()
"""

FONTS = r"\.(cache|config)/matplotlib/fontlist-[^/]*\.json"
FILM = ("demo", "camera1.mp4", "--detector", "motion", "--no-video", "--device", "cpu")
COMMANDS = {
    "quickstart": ("train", "walkers", "--config", "tiny.yaml", "--device", "cpu", "-q"),
    "export": ("export", "onnx", "--model", "run", "-o", "m.onnx"),
    "encode": ("encode", "a.png", "--model", "kept.onnx", "-o", "c.npz"),
    "cmc": ("cmc", "--model", "run", "--dataset", "walkers", "--bits", "16", "--plot", "p.png"),
    "demo": (*FILM, "--model", "kept.onnx"),
    "info": ("gallery", "info", "g"),
    "models": ("models",),
    "serve": (),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the commands take: a run, its ONNX file, a picture, a film and a gallery."""
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'reid-hash[onnx]'")
    from reid_hash.models.onnx_export import export_onnx

    folder = tmp_path_factory.mktemp("made")
    checkpoint = train(tiny_config("train.epochs=1"), coloured_pixels(), folder / "run")
    export_onnx(checkpoint, folder / "kept.onnx")
    (folder / "tiny.yaml").write_text(tiny_config("train.epochs=1").to_yaml())
    cv2.imwrite(str(folder / "a.png"), coloured_pixels().images[0])
    write_video(folder, identities=2, seconds=2, fps=8, size=(320, 180))
    make(folder / "g").close()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_asked_and_nothing_is_left(made, tmp_path, command):
    if command == "serve":
        pytest.importorskip("gradio", reason="needs the extra: pip install 'reid-hash[web]'")
    work, home, site = (
        shutil.copytree(made, tmp_path / "work"),
        tmp_path / "home",
        tmp_path / "site",
    )
    home.mkdir()
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOOK)
    asked, trace = tmp_path / "asked", tmp_path / "trace"
    # a library's own code is not seen by Python: where strace is, every call is
    tracer = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmmsg", "-o", str(trace)]
    tracing = shutil.which("strace") is not None
    code = ["-c", SERVE] if command == "serve" else ["-m", "reid_hash", *COMMANDS[command]]
    root = Path(__file__).parents[2]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "MPL", "ORT_", "HF_"))}
    done = subprocess.run(
        [*(tracer if tracing else ()), sys.executable, *code],
        cwd=work,
        env={
            **kept,
            **{"HOME": str(home), "ASKED": str(asked), "PYTHONPATH": f"{site}:{root}"},
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not asked.exists(), asked.read_text()
    if tracing:
        addresses = re.findall(
            r'sin_port=htons\((\d+)\).*?inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)',
            trace.read_text(errors="replace"),
        )
        outside = [
            (host, port)
            for port, host in addresses
            if port == "53" or (host != "::1" and not host.startswith("127."))
        ]
        assert outside == []
    left = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    # Matplotlib keeps which fonts are installed, so that it need not look at each start: no id
    assert [name for name in left if not re.fullmatch(FONTS, name)] == []
