"""Text from elsewhere does not command the terminal."""

import io
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from reid_hash.utils.terminal_text import remark, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m\x90q\x9c", "\\x9b31m\\x90q\\x9c"),  # the same of eight bits: C1
        ("a\rb\nc\td\x08\x7f\0", "a\\rb\\nc\\td\\x08\\x7f\\x00"),
        (
            "\u202egnp.exe\u202c \u2066x\u2069 \u200f",
            "\\u202egnp.exe\\u202c \\u2066x\\u2069 \\u200f",
        ),
        ("\u2028\u2029\x85\ufeff\u200b\u00ad", "\\u2028\\u2029\\x85\\ufeff\\u200b\\xad"),
        ("\udcff\U000e0041", "\\udcff\\U000e0041"),
        ("Zoë 木 می\u200cخواهم 👩\u200d🔬 é", "Zoë 木 می\u200cخواهم 👩\u200d🔬 é"),
        ("", ""),
        ("plain [bold] text\\", "plain [bold] text\\"),
    ],
)
def test_what_commands_is_shown(text, shown):
    assert visible(text) == shown


def test_kept_characters_stay():
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@settings(deadline=None)
@given(st.text(st.characters()))
def test_nothing_that_commands_is_left(text):
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert visible(shown) == shown
    assert {c for c in shown if unicodedata.category(c) == "Cf"} <= {"\u200c", "\u200d"}
    shown.encode()


def test_every_character_that_turns_the_direction_is_shown():
    for number in range(sys.maxunicode + 1):
        one = chr(number)
        if (
            unicodedata.bidirectional(one)
            in (*("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "B", "BN"),)
            and unicodedata.category(one) != "Cn"
        ):
            assert visible(one) != one or one in "\u200c\u200d"


def test_a_remark_is_one_line_as_it_is():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=20)
    remark(console, "note: [red]a[/red] :smile: \x1b[31m 123 'b'" + "x" * 40)
    assert out.getvalue() == "note: [red]a[/red] :smile: \\x1b[31m 123 'b'" + "x" * 40 + "\n"
