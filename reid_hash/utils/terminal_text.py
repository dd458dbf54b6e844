"""Text output that is safe on any terminal, encoding and width, whatever names contain.

Names of cameras, sources, identities and files come from galleries, checkpoints and folders that
other people made. An escape sequence in a name could hide lines, change the window title or answer
for the user; a direction mark can disguise one name as another. Characters that control the
terminal are therefore shown by number, and so are characters that its encoding lacks.
"""

import codecs
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:  # only needed by commands that print tables
    from rich.console import Console

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories shown by number: controls, format characters such as direction marks, lone
surrogates, line and paragraph separators."""
_JOINERS = "\u200c\u200d"  # format characters without which Persian and Hindi are misspelt
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ASCII = {
    **{"–": "-", "—": "-", "−": "-", "─": "-", "…": "...", "·": "/", "±": "+-", "×": "x"},
    **{"≤": "<=", "≥": ">=", "→": "->", "←": "<-", "β": "beta", "§": "section ", "\u00a0": " "},
}
"""Replacements for the toolkit's own symbols if an encoding lacks them."""
_HANDLER = "reid_hash.visible"


def visible(text: str, keep: str = "") -> str:
    r"""Escape text so that characters which control a terminal are shown by number.

    Args:
        text: untrusted text.
        keep: characters to keep, such as the newlines of multi-line text.

    Returns:
        The escaped text; unchanged if there is nothing to escape.

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
    """Print one line on a console as it is, without markup, wrapping or colours."""
    shown = encodable(visible(line), console.encoding)
    console.print(shown, soft_wrap=True, markup=False, highlight=False, emoji=False)


def encodable(text: str, encoding: str | None) -> str:
    """Replace characters that an encoding lacks by ASCII.

    Args:
        text: any text.
        encoding: encoding of a stream; unknown ones and None count as UTF-8.

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
    """Let standard output and error replace characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # not a text file, or closed
            stream.reconfigure(errors=_HANDLER)  # type: ignore[union-attr]


def echo(text: str, err: bool = False) -> None:
    """Print on standard output or error, at once, in any encoding."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # a program without a console has no stream
        print(encodable(text, getattr(stream, "encoding", None)), file=stream, flush=True)


def make_console(stderr: bool = False) -> "Console":
    """Make a rich console for standard output or error; all consoles are made here.

    Nothing printed on it is interpreted as markup, which a file named `[red]x` would contain. A
    dumb terminal gets its real width.
    """
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if console.is_dumb_terminal:
        console.width = terminal_width(sys.stderr if stderr else sys.stdout) or 80
    return console


def terminal_width(stream: TextIO) -> int | None:
    """Return the number of columns of a stream's terminal, or None without a terminal.

    The environment's COLUMNS takes precedence, even for pipes.
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
    """Replace characters that cannot be encoded, as an error handler of codecs."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_ASCII.get(one) or _shown(one) for one in lost), error.end


codecs.register_error(_HANDLER, _replace)
