"""Options that several commands share."""

import functools
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from reid_hash.app.runs import USUAL_DATASET
from reid_hash.errors import DataError, GalleryError, UnreadableError
from reid_hash.gallery.clickhouse.address import is_clickhouse, parse_address
from reid_hash.gallery.open import Place
from reid_hash.gallery.service.address import is_service, parse_service
from reid_hash.models.foreign.inputs import PRESETS
from reid_hash.models.foreign.network import Network
from reid_hash.utils.terminal_text import echo, make_console, visible

Command = Callable[..., Any]


def option(owner: type, *names: str, **settings: Any) -> Callable[[Command], Command]:
    """A click option that fills a field of a dataclass, and has its default from there.

    Args:
        owner: the dataclass of the command's options.
        names: as click takes them. The field is the name without dashes, else the first one.
        settings: what else click takes.
    """
    named = [name for name in names if not name.startswith("-")]
    field = named[0] if named else names[-1].split("/")[0].lstrip("-").replace("-", "_")
    return click.option(*names, default=getattr(owner, field), **settings)


FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


class GalleryPlace(click.ParamType):  # type: ignore[type-arg]
    """A gallery: its folder, or an address, which as a path would lose a slash."""

    name = "gallery"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """Read what was given."""
        text = str(value)
        if not is_clickhouse(text) and not is_service(text):
            folder: Path = FOLDER.convert(value, param, ctx)  # type: ignore[assignment]
            return folder
        try:
            return parse_service(text) if is_service(text) else parse_address(text)
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
dataset_option = click.option(
    "--dataset", default=USUAL_DATASET, show_default=True, help="Whose newest run to use."
)
_NETWORK = {
    "network": "file",
    "head": "head",
    "preset": "preset",
    "color": "color",
    "white": "white",
    "mean": "mean",
    "std": "std",
    "growing": "growing",
    "input_size": "size",
    "network_output": "output",
    "weights": "weights",
}
"""The options of a network that was not trained here, and the fields of `Network` they fill."""

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
camera_rule_option = click.option(
    "--camera-rule",
    type=click.Choice(["market", "cuhk03", "none"]),
    help="Which gallery images a query must not find: of its identity and camera (market), of its "
    "camera (cuhk03), or no image (none, for people before one camera); else the protocol's rule.",
)
json_option = click.option(
    "--json", "json_file", type=FILE, help="Write every printed figure to this file."
)


def advising(advice: str) -> Callable[[Command], Command]:
    """Let a command say what to do where images cannot be read; it names its own options only."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def advised(*args: Any, **kwargs: Any) -> Any:
            try:
                return command(*args, **kwargs)
            except UnreadableError as error:
                raise DataError(f"{error}; {advice}") from error

        return advised

    return decorate


def skip_option(command: Command) -> Command:
    """Add --skip-unreadable, and the advice to use it where images cannot be read."""
    return click.option(
        "--skip-unreadable",
        is_flag=True,
        help="Leave out images that cannot be read, and say which; else they are an error.",
    )(advising("mend them, or leave them out with --skip-unreadable")(command))


def _numbers(count: int, example: str) -> Callable[..., Any]:
    """A callback that reads some numbers with commas or × between them."""

    def parse(_: click.Context, parameter: click.Parameter, value: str | None) -> Any:
        if value is None:
            return None
        try:
            found = [float(part) for part in re.split("[,x×]", value)]
        except ValueError:
            found = []
        if len(found) != count:
            raise click.BadParameter(f"{value!r} is not {count} numbers, such as {example}")
        return tuple(found)

    return parse


def network_options(command: Command) -> Command:
    """Add --network and what belongs to it; it reaches the command in place of a file as `model`.

    To be written above `model_option` or one like it.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **given: Any) -> Any:
        asked = {field: given.pop(name) for name, field in _NETWORK.items()}
        if asked["size"] is not None:
            asked["size"] = tuple(map(int, asked["size"]))
        if asked["file"] is not None:
            if given.get("model") is not None:
                raise click.UsageError("--model and --network name two models: leave one out")
            given["model"] = Network(**asked)
        else:
            named = [name for name, field in _NETWORK.items() if asked[field] is not None]
            if named:
                shown = ", ".join(f"--{name.replace('_', '-')}" for name in named)
                raise click.UsageError(f"{shown}: belongs to --network, which is missing")
        return command(*args, **given)

    for decorate in reversed(
        (
            click.option(
                "--network",
                help="Anybody's network in place of --model: an ONNX file, OpenVINO's .xml, "
                "torchreid's or FastReID's .pth, or timm:NAME.",
            ),
            click.option(
                "--head", help="Of --network: the head of `reid-hash fit` that makes codes."
            ),
            click.option(
                "--preset",
                type=click.Choice(list(PRESETS)),
                help="Of --network: what its input is; else the options below, else a guess.",
            ),
            click.option("--color", type=click.Choice(["rgb", "bgr"]), help="Order of channels."),
            click.option("--white", type=float, help="The brightest pixel's value: 1 or 255."),
            click.option(
                "--mean", callback=_numbers(3, "0.485,0.456,0.406"), help="Of each channel."
            ),
            click.option(
                "--std", callback=_numbers(3, "0.229,0.224,0.225"), help="Of each channel."
            ),
            click.option(
                "--growing",
                type=click.Choice(["linear", "cubic"]),
                help="How pictures are scaled that are smaller than the input.",
            ),
            click.option(
                "--input-size",
                callback=_numbers(2, "256x128"),
                help="Height × width, where the file leaves it open.",
            ),
            click.option("--network-output", help="Which output, where the file has several."),
            click.option(
                "--weights",
                help="Of timm:NAME: a file, or `timm` to download them; else random ones.",
            ),
        )
    ):
        wrapped = decorate(wrapped)
    return wrapped


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


embeddings_option = click.option(
    "--embeddings",
    type=FILE,
    help="Vectors in place of images: .npy, .npz or .parquet with `embeddings` [n, d] and, where "
    "known, `identities`, `cameras`, `tracks`, `times` and `names`, or a flat index of FAISS "
    "(.faiss, .index); the model is a head that `reid-hash fit` wrote.",
)


def check_either(images: object, vectors: object, images_name: str, vectors_name: str) -> None:
    """Raise click.UsageError unless just one of images and vectors is given."""
    if bool(images) == bool(vectors):
        both = "not both" if images else "one is needed"
        raise click.UsageError(f"give {images_name} or {vectors_name}, {both}")


class _Details(logging.Handler):
    """Prints what rooms log on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        echo(visible(record.getMessage()), err=True)


def _print_details(ctx: click.Context) -> None:
    """Print until the command ends which files it chose, and at the end how long it took."""
    logger, handler = logging.getLogger("reid_hash"), _Details()
    level, began = logger.level, time.monotonic()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    @ctx.call_on_close
    def stop() -> None:
        logger.info("took %.1f s", time.monotonic() - began)
        logger.removeHandler(handler)
        logger.setLevel(level)


def verbosity_options(command: Command) -> Command:
    """Add -q, for results and errors only, and -v, for files chosen and times taken."""

    def quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.meta["quiet"] = True
            logger = logging.getLogger("reid_hash")
            level = logger.level
            logger.setLevel(logging.ERROR)  # what was guessed is a remark
            ctx.call_on_close(lambda: logger.setLevel(level))

    def verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            _print_details(ctx)

    command = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=verbose,
        help="Say which model, data and settings are used, and how long it takes.",
    )(command)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=quiet,
        help="Results and errors only.",
    )(command)


def progress_console() -> Console | None:
    """Where progress and remarks go: standard error, or nowhere after -q."""
    quiet = click.get_current_context().meta.get("quiet", False)
    return None if quiet else make_console(stderr=True)


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
