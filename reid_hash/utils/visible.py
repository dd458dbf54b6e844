"""Text from elsewhere on a terminal: characters that would command it are shown instead.

Names of cameras, sources, identities and files come from galleries, checkpoints and folders that
other people made. An escape sequence in them could hide lines, change the title of the window or
answer for the user; a sign that turns the direction of writing can show a name as another one.
"""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # commands that print no table do without it
    from rich.console import Console

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of Unicode that are shown by number: controls, formats such as the direction of
writing, halves of pairs, separators of lines and paragraphs."""
_JOINERS = "\u200c\u200d"  # formats without which Persian and Hindi are misspelt
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


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
    console.print(visible(line), soft_wrap=True, markup=False, highlight=False, emoji=False)


def _shown(character: str) -> str:
    number = ord(character)
    if number < 256:
        return _SHORT.get(character, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
