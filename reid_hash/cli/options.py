"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from reid_hash.errors import GalleryError
from reid_hash.gallery.milvus.address import is_milvus, parse_address
from reid_hash.gallery.open import Place

Command = Callable[..., Any]
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


class GalleryPlace(click.ParamType):  # type: ignore[type-arg]
    """A gallery: its folder, or its address on Milvus, which as a path would lose a slash."""

    name = "gallery"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """Read what was given."""
        if not is_milvus(str(value)):
            folder: Path = FOLDER.convert(value, param, ctx)  # type: ignore[assignment]
            return folder
        try:
            return parse_address(str(value))
        except GalleryError as error:
            self.fail(str(error), param, ctx)


class ModelPath(click.Path):
    """A file, a run's folder or a shipped model's name; ./NAME is what is here, never a name."""

    name = "path"

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(  # type: ignore[override]
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Read what was given; as a path, ./NAME would be NAME."""
        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        return path.absolute() if str(path) != str(value) and len(path.parts) == 1 else path


GALLERY = GalleryPlace()
MODEL = ModelPath()

data_option = click.option(
    "--data",
    type=FOLDER,
    help="Folder of the data sets; else $REID_HASH_DATA, else ./data.",
)
model_option = click.option(
    "--model",
    type=MODEL,
    help="Checkpoint, ONNX file, folder of a run, or name of a shipped model (see reid-hash "
    "models); else the newest run of the data set, else a shipped model.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=None, help="Of all random draws."
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
json_option = click.option(
    "--json", "json_file", type=FILE, help="Write every printed figure to this file."
)
skip_option = click.option(
    "--skip-unreadable",
    is_flag=True,
    help="Leave out images that cannot be read, and say which; else they are an error.",
)


def parse_methods(
    _: click.Context, parameter: click.Parameter, value: str | None
) -> list[str] | None:
    """Read "dsch,ksh" as names of methods; which there are is known to the command."""
    return None if value is None else value.split(",")


methods_option = click.option(
    "--methods",
    callback=parse_methods,
    help="Networks: dsch, drsch, bs-drsch, dsrh, recipe. Hash functions on features: lsh, sh, itq, "
    "bre, mlh, ksh. Several with commas, or all.",
)
features_option = click.option(
    "--features",
    type=click.Choice(["network", "pixels", "hog", "blocks"]),
    help="What lsh, sh, itq, bre, mlh and ksh start from: the paper's network, trained to classify "
    "(network, the usual one), raw pixels, HOG, or colour and texture of blocks.",
)
fast_option = click.option(
    "--fast",
    is_flag=True,
    help="Trainings of networks scaled down to a twentieth of their epochs; the figures say so.",
)


def verbosity_options(command: Command) -> Command:
    """Add -q and -v; the command gets `verbosity`: 0 quiet, 1 usual, 2 more."""

    def quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.meta["verbosity"] = 0

    def verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.meta["verbosity"] = 2

    command = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=verbose, help="Say more."
    )(command)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=quiet,
        help="Results and errors only.",
    )(command)


def verbosity() -> int:
    """0 after -q, 2 after -v, else 1."""
    return int(click.get_current_context().meta.get("verbosity", 1))


def progress_console() -> Console | None:
    """Where progress and remarks go: standard error, or nowhere after -q."""
    return Console(stderr=True, highlight=False) if verbosity() else None


def parse_bits(_: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    """Read "16,32,64" as code lengths: sorted, each once."""
    if value is None:
        return None
    try:
        lengths = sorted({int(part) for part in value.split(",")})
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is no length or list of lengths, such as 64 or 16,32,64"
        ) from error
    if lengths[0] < 1:
        raise click.BadParameter(f"a code has at least 1 bit, not {lengths[0]}")
    return lengths
