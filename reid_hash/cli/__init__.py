"""The command line: `reid-hash COMMAND`."""

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from io import StringIO
from types import TracebackType
from typing import Any

import click

from reid_hash.errors import ReidHashError
from reid_hash.utils.signals import interrupting
from reid_hash.utils.terminal_text import echo, encodable, make_streams_forgiving, visible


class _HelpFormatter(click.HelpFormatter):
    """Help without characters that the terminal's encoding lacks: click would write UTF-8."""

    def getvalue(self) -> str:
        return encodable(super().getvalue(), getattr(sys.stdout, "encoding", None))


class LazyGroup(click.Group):
    """A group of commands that are imported on demand: torch takes seconds to import.

    Args:
        commands_from: name → (module, one line of help); the module holds the command as
            `command`.
    """

    def __init__(
        self, *args: Any, commands_from: dict[str, tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.commands_from = commands_from or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order given."""
        return list(self.commands_from)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or None where there is none of that name."""
        if cmd_name not in self.commands_from:
            return None
        command: click.Command = import_module(self.commands_from[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_from.items()])


@click.group(
    cls=LazyGroup,
    commands_from={
        "quickstart": (
            "reid_hash.cli.quickstart",
            "The whole path on the built-in data",
        ),
        "train": ("reid_hash.cli.train", "Train a hash network on a data set"),
        "fit": ("reid_hash.cli.fit", "Codes for embeddings that others made"),
        "cmc": ("reid_hash.cli.cmc", "Evaluate re-identification: CMC curve, mAP, mINP"),
        "retrieval": (
            "reid_hash.cli.retrieval",
            "Evaluate image retrieval: mAP, precision, look-up",
        ),
        "reproduce": (
            "reid_hash.cli.reproduce",
            "The paper's figures: train what is missing, draw them",
        ),
        "encode": ("reid_hash.cli.encode", "Images to packed codes"),
        "export": ("reid_hash.cli.export", "A model as an ONNX file"),
        "models": ("reid_hash.cli.models", "The models that come with the toolkit"),
        "gallery": (
            "reid_hash.cli.gallery",
            "Keep sightings with their codes, to be searched",
        ),
        "search": ("reid_hash.cli.search", "Find the sightings nearest to an image"),
        "demo": ("reid_hash.cli.demo", "Recognise people in videos, cameras and streams"),
        "track-eval": ("reid_hash.cli.track_eval", "CLEAR, IDF1, HOTA of MOTChallenge files"),
        "serve": ("reid_hash.cli.serve", "A page and an HTTP service of a gallery"),
        "data": ("reid_hash.cli.data", "What a data set holds; write the built-in one to files"),
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="reid-hash", prog_name="reid-hash")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Person re-identification and image retrieval with compact, bit-scalable binary codes."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error is one line on standard error and an exit code.

    Args:
        arguments: those after the program's name; sys.argv's when left out.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # our own message names the bad image
    make_streams_forgiving()
    click.Context.formatter_class = _HelpFormatter  # click knows no other way for all commands
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    # --debug may stand anywhere: it is added to a command line that just failed
    given = ["--debug"] * debug + [argument for argument in given if argument != "--debug"]
    if debug:
        sys.excepthook = _show_traceback
    try:
        with interrupting():
            code = cli.main(given, prog_name="reid-hash", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.UsageError as error:
        usage = StringIO()
        error.show(usage)
        _print(visible(usage.getvalue().rstrip("\n"), keep="\n"))
        code = error.exit_code
    except click.ClickException as error:
        code = _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = _fail("interrupted", 1)
    except BrokenPipeError:
        code = 1  # the reader of a pipe went away: nobody is left to tell
    except ReidHashError as error:
        if debug:
            raise
        code = _fail(str(error), error.exit_code)
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        code = _fail(f"unexpected {kind}: {error}; run it again with --debug and report it", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    _print(f"error: {visible(line)}")
    return code


def _print(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        echo(text, err=True)


def _show_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a traceback without what in its messages could command the terminal."""
    _print(visible("".join(traceback.format_exception(kind, error, trace)), keep="\n"))
