"""`reid-hash serve --gallery PLACE`, and the keys of its service."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from reid_hash.app.runs import RUNS
from reid_hash.cli import options, show
from reid_hash.cli.gallery.fill import dataset_option, gallery_model_option
from reid_hash.errors import ConfigError, GalleryError
from reid_hash.gallery.open import Place, has_gallery
from reid_hash.gallery.service.address import ServiceAddress
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.foreign.network import Network
from reid_hash.models.shipped import WALKERS_GALLERY
from reid_hash.utils.signals import stop_signals
from reid_hash.utils.terminal_text import echo
from reid_hash.utils.timestamps import format_time
from reid_hash.web.api.keys import Keys, Role
from reid_hash.web.api.state import State, state_folder
from reid_hash.web.settings import Limits, Settings

option = partial(options.option, Settings)

PASSWORD = "REID_HASH_PASSWORD"  # nosec B105  # the name of a variable

SECRET = "REID_HASH_WEBHOOK_SECRET"  # nosec B105  # likewise

MQTT_PASSWORD = "REID_HASH_MQTT_PASSWORD"  # nosec B105  # likewise

state_option = click.option(
    "--state",
    type=options.FOLDER,
    help="Folder of the service's keys, receipts and audit log; PLACE.service when left out.",
)


@click.group(
    "serve", short_help="A page and an HTTP service of a gallery", invoke_without_command=True
)
@click.option("--gallery", "place", type=options.GALLERY, help="Its folder or address.")
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
@click.option(
    "--page/--no-page",
    default=True,
    show_default=True,
    help="Without the page, no Gradio is needed.",
)
@state_option
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=Limits.rate,
    show_default=True,
    help="Requests a second that the service takes of each key.",
)
@option(
    "--webhook",
    "webhooks",
    multiple=True,
    metavar="URL",
    help="Send events there, signed with $REID_HASH_WEBHOOK_SECRET; may be given several times.",
)
@option(
    "--mqtt",
    metavar="URL",
    help="Publish events to this broker, mqtt://[USER@]HOST[:PORT][/TOPIC], or mqtts:// with TLS; "
    "the user's password is in $REID_HASH_MQTT_PASSWORD.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@options.network_options
@gallery_model_option
@dataset_option
@options.device_option
@options.verbosity_options
def command(
    place: Place | None,
    demo: bool,
    password_file: Path | None,
    detector: str | None,
    opened: bool,
    model: Path | Network | None,
    state: Path | None,
    rate: float,
    **given: Any,
) -> None:
    """Serve a gallery: a page to explore it, and below /api/v1 a service for programs.

    Only this machine reaches it, unless --host says otherwise; then the page needs a password, and
    the service keys: `reid-hash serve key`. Ctrl-C ends.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    if demo == (place is not None):
        raise click.UsageError("name a gallery with --gallery DIR, or take the walkers with --demo")
    if isinstance(place, ServiceAddress):
        raise click.UsageError(f"{place} is served already; serve a folder or a database")
    # not an option: other users of the machine see command lines
    password = _first_line(password_file) if password_file else os.environ.get(PASSWORD)
    # gradio takes seconds to import, and --help needs none of it
    from reid_hash.web.server import Server

    with contextlib.ExitStack() as stack:
        if place is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reid-hash-")))
            state = state or place / "service"
        packed = demo and model is None
        if packed:
            model = Path("walkers")  # which made the codes of the packed gallery
        settings = Settings(
            gallery=place,
            password=password,
            model=model,
            detector=detector or ("motion" if demo else Settings.detector),
            demo=demo,
            runs=RUNS,
            state=state,
            limits=Limits(rate=rate),
            webhook_secret=os.environ.get(SECRET),
            mqtt_password=os.environ.get(MQTT_PASSWORD) if given["mqtt"] else None,
            **given,
        )
        if demo and isinstance(place, Path):
            _fill(place, None if packed else model)
        server = stack.enter_context(Server(settings))
        url = settings.url or server.url
        if settings.page:
            show.line(f"the page is at {url} (Ctrl-C ends it)")
        else:
            show.line(f"the service is at {url}/api/v1 (Ctrl-C ends it)")
        if opened:
            click.launch(server.url)
        stop = stack.enter_context(stop_signals())
        server.wait(lambda: stop.stopped)


def _fill(folder: Path, model: Path | Network | None) -> None:
    """Make the gallery of the drawn walkers: as packed, or by another model."""
    if model is None:
        Gallery.load(folder, WALKERS_GALLERY).close()
        return
    from reid_hash.app.walkers import make_walkers_gallery

    make_walkers_gallery(folder, model, console=options.progress_console())


@command.group("key", short_help="Who may ask the service for what")
def key() -> None:
    """Make, list and take back keys of the service; a server that runs heeds it at once."""


gallery_option = click.option(
    "--gallery", "place", type=options.GALLERY, help="Whose service; its folder or address."
)


@key.command("add")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=click.Choice(["read", "write", "erase"]),
    multiple=True,
    required=True,
    help="read: search, look at; write: add, correct; erase: forget, prune. May be repeated.",
)
@gallery_option
@state_option
def add_key(name: str, roles: tuple[Role, ...], place: Place | None, state: Path | None) -> None:
    """Make a key for NAME, and print it: this is the only time that it is shown."""
    with _keys(place, state) as keys:
        made = keys.add(name, roles)
    echo(made)


@key.command("list")
@gallery_option
@state_option
def list_keys(place: Place | None, state: Path | None) -> None:
    """List the keys, without what is secret of them."""
    with _keys(place, state) as keys:
        found = keys.list()
    if not found:
        show.line("there is no key")
        return
    columns = [show.Column(name) for name in ("name", "roles", "made", "id")]
    rows = [[one.name, " ".join(one.roles), format_time(one.made)[:10], one.id] for one in found]
    show.table(columns, rows)


@key.command("remove")
@click.argument("name")
@gallery_option
@state_option
def remove_key(name: str, place: Place | None, state: Path | None) -> None:
    """Take back the key of NAME, which may also be the key's id."""
    with _keys(place, state) as keys:
        keys.remove(name)
    show.line(f"the key of {name} is no longer taken")


@contextlib.contextmanager
def _keys(place: Place | None, state: Path | None) -> Iterator[Keys]:
    if state is None and place is None:
        raise click.UsageError("name a gallery with --gallery PLACE, or its --state DIR")
    if state is None and isinstance(place, Path) and not has_gallery(place):
        raise GalleryError(f"{place} is no gallery; make one with `reid-hash gallery create`")
    with contextlib.closing(State(state or state_folder(place))) as kept:  # type: ignore[arg-type]
        yield Keys(kept)


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} holds no password: it cannot be read") from error
