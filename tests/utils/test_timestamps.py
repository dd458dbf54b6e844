import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reid_hash.errors import ConfigError
from reid_hash.utils.timestamps import TIME_LIMIT, format_time, parse_age, parse_since, parse_time

micros = int(TIME_LIMIT) * 10**6 - 1


@given(st.integers(-micros, micros))
@example(micros)
@example(-micros)
@example(1_767_225_599_999_999)
def test_a_time_as_text_and_back_is_the_same(microseconds):
    seconds = microseconds / 1_000_000
    text = format_time(seconds)
    assert parse_time(text) == seconds
    assert format_time(parse_time(text)) == text


@given(st.floats(-TIME_LIMIT, TIME_LIMIT, exclude_min=True, exclude_max=True))
def test_any_time_is_written_to_the_microsecond(seconds):
    assert abs(parse_time(format_time(seconds)) - seconds) <= 1e-6


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:00:00.5Z", 0.5),
        ("1970-01-01T02:00+02:00", 0.0),
        (" 1970-01-01 00:00:01 ", 1.0),
    ],
)
def test_iso_8601(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "30d", "2026-13-01", "1600-01-01", "9999-01-01"])
def test_what_is_no_time(text):
    with pytest.raises(ConfigError):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2592000), ("1.5h", 5400), ("0s", 0), ("2 w", 1209600)]
)
def test_ages(text, seconds):
    assert parse_age(text).total_seconds() == seconds
    assert parse_since(text, now=5e9) == 5e9 - seconds


@pytest.mark.parametrize("text", ["", "d", "-3d", "3y", "3", "9" * 30 + "w", "1e5d"])
def test_what_is_no_age(text):
    with pytest.raises(ConfigError):
        parse_age(text)
    assert math.isfinite(parse_since("2026-01-01", 0.0))
