"""Text on any terminal: whatever its encoding and width, and whatever names hold.

Names of cameras, sources, identities and files come from galleries, checkpoints and folders that
other people made. An escape sequence in them could hide lines, change the title of the window or
answer for the user; a sign that turns the direction of writing can show a name as another one.
Characters that would command the terminal are shown by their numbers instead, and so are those
that its encoding does not have.
"""

import codecs
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:  # commands that print no table do without it
    from rich.console import Console

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of Unicode that are shown by number: controls, formats such as the direction of
writing, halves of pairs, separators of lines and paragraphs."""
_JOINERS = "\u200c\u200d"  # formats without which Persian and Hindi are misspelt
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ASCII = {
    **{"–": "-", "—": "-", "−": "-", "─": "-", "…": "...", "·": "/", "±": "+-", "×": "x"},
    **{"≤": "<=", "≥": ">=", "→": "->", "←": "<-", "β": "beta", "§": "section ", "\u00a0": " "},
}
"""What stands for the toolkit's own signs where an encoding lacks them."""
_HANDLER = "reid_hash.visible"


def visible(text: str, keep: str = "") -> str:
    r"""Text in which every character that a terminal obeys is shown by its number.

    Args:
        text: from anywhere.
        keep: characters that stay, such as a line's end in text of several lines.

    Returns:
        The same text where it has none.

    Example:
        >>> visible("door\x1b[2J 1"), visible("Zoë 木")
        ('door\\x1b[2J 1', 'Zoë 木')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _shown(one)
        if unicodedata.category(one) in _HIDDEN and one not in _JOINERS and one not in keep
        else one
        for one in text
    )


def remark(console: "Console", line: str) -> None:
    """Print one line on a console as it is, without markup, breaks or colours."""
    shown = encodable(visible(line), console.encoding)
    console.print(shown, soft_wrap=True, markup=False, highlight=False, emoji=False)


def encodable(text: str, encoding: str | None) -> str:
    """Text whose characters all exist in an encoding; the others are replaced by ASCII.

    Args:
        text: of any characters.
        encoding: of a stream; an unknown one, or None, counts as UTF-8.

    Example:
        >>> encodable("54.2 ±1.3 … 木", "ascii"), encodable("±", "cp1252")
        ('54.2 +-1.3 ... \\\\u6728', '±')
    """
    if text.isascii():
        return text
    with suppress(LookupError):
        return text.encode(encoding or "utf-8", _HANDLER).decode(encoding or "utf-8")
    return text


def make_streams_forgiving() -> None:
    """Let standard output and error replace what their encoding lacks, whoever writes to them."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # not a text file, or closed
            stream.reconfigure(errors=_HANDLER)  # type: ignore[union-attr]


def echo(text: str, err: bool = False) -> None:
    """Print on standard output or error, at once, in whatever encoding it has."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # a program without a console has none
        print(encodable(text, getattr(stream, "encoding", None)), file=stream, flush=True)


def make_console(stderr: bool = False) -> "Console":
    """Make a console of rich for standard output or error: the one way to have one.

    Nothing that is printed on it is taken for markup, as a file named `[red]x` would be. A dumb
    terminal has the width it really has.
    """
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if console.is_dumb_terminal:
        console.width = terminal_width(sys.stderr if stderr else sys.stdout) or 80
    return console


def terminal_width(stream: TextIO) -> int | None:
    """Columns of the terminal that a stream goes to; None where it is no terminal.

    The environment's COLUMNS counts first, for pipes too: nobody sets it who wants no width.
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    with suppress(AttributeError, ValueError, OSError):
        if stream.isatty():
            return os.get_terminal_size(stream.fileno()).columns or 80
    return None


def _shown(character: str) -> str:
    number = ord(character)
    if number < 256:
        return _SHORT.get(character, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded: the handler of encoding errors."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_ASCII.get(one) or _shown(one) for one in lost), error.end


codecs.register_error(_HANDLER, _replace)
