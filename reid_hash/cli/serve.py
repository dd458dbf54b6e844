"""`reid-hash serve --gallery DIR`."""

import contextlib
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import click

from reid_hash.app.runs import RUNS
from reid_hash.cli import options, show
from reid_hash.cli.gallery.fill import dataset_option, gallery_model_option
from reid_hash.errors import ConfigError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.foreign.network import Network
from reid_hash.models.shipped import WALKERS_GALLERY
from reid_hash.utils.signals import stop_signals
from reid_hash.web.settings import Settings

option = partial(options.option, Settings)

PASSWORD = "REID_HASH_PASSWORD"  # nosec B105  # the name of a variable


@click.command("serve", short_help="The gallery page in a browser")
@click.option("--gallery", "folder", type=options.FOLDER, help="Its folder.")
@option("--demo", is_flag=True, help="A gallery of drawn walkers; nothing to prepare.")
@option("--host", show_default=True, help="Address to listen at.")
@option(
    "--port",
    type=click.IntRange(0, 65535),
    show_default=True,
    help="Port to listen at; 0 takes one that is free.",
)
@click.option(
    "--password-file",
    type=options.FILE,
    help="Ask for the password in this file; else for that in $REID_HASH_PASSWORD, if any.",
)
@option(
    "--url",
    help="The page's address as visitors see it, where a proxy stands before it, such as "
    "https://people.example.org.",
)
@option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="Address of a proxy that is believed when it says where a visitor is "
    "(X-Forwarded-For); may be given several times.",
)
@click.option(
    "--detector",
    help="Of the video page: auto, torchvision, hog, motion, or an ONNX file in YOLOX form; auto "
    "when left out, and motion for --demo.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@options.network_options
@gallery_model_option
@dataset_option
@options.device_option
@options.verbosity_options
def command(
    folder: Path | None,
    demo: bool,
    password_file: Path | None,
    detector: str | None,
    opened: bool,
    model: Path | Network | None,
    **given: Any,
) -> None:
    """Serve a page to explore a gallery: search by bits, curves, people, video. Ctrl-C ends.

    Only this machine reaches it, unless --host says otherwise; then a password is needed.
    """
    if demo == (folder is not None):
        raise click.UsageError("name a gallery with --gallery DIR, or take the walkers with --demo")
    # not an option: other users of the machine see command lines
    password = _first_line(password_file) if password_file else os.environ.get(PASSWORD)
    # gradio takes seconds to import, and --help needs none of it
    from reid_hash.web.server import Server

    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reid-hash-")))
        packed = demo and model is None
        if packed:
            model = Path("walkers")  # which made the codes of the packed gallery
        settings = Settings(
            gallery=folder,
            password=password,
            model=model,
            detector=detector or ("motion" if demo else Settings.detector),
            demo=demo,
            runs=RUNS,
            **given,
        )
        if packed:
            Gallery.load(folder, WALKERS_GALLERY).close()
        elif demo:
            from reid_hash.app.walkers import make_walkers_gallery

            make_walkers_gallery(folder, model, console=options.progress_console())
        server = stack.enter_context(Server(settings))
        show.line(f"the page is at {settings.url or server.url} (Ctrl-C ends it)")
        if opened:
            click.launch(server.url)
        stop = stack.enter_context(stop_signals())
        server.wait(lambda: stop.stopped)


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} holds no password: it cannot be read") from error
