"""Points in time as seconds since 1970 in UTC, and as text."""

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from reid_hash.errors import ConfigError

TIME_LIMIT = 2.0**33
"""Seconds before and after 1970 (years 1697 to 2242) in which float64 resolves microseconds, so
that times survive a round trip through text."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_time(text: str) -> float:
    """Parse ISO 8601, such as 2026-03-01, 2026-03-01T12:00:00.25Z or 2026-03-01T14:00+02:00.

    Args:
        text: date, or date and time; UTC without an offset.

    Returns:
        Seconds since 1970, exact to the microsecond.

    Raises:
        ConfigError: the text is not a time, or is out of `TIME_LIMIT`.

    Example:
        >>> parse_time("2026-03-01T14:00+02:00") == parse_time("2026-03-01T12:00:00Z")
        True
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is no time in ISO 8601, such as 2026-03-01 or 2026-03-01T12:00:00Z"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - _EPOCH) // timedelta(microseconds=1) / 1_000_000
    if abs(seconds) >= TIME_LIMIT:
        raise ConfigError(f"{text}: a time lies between the years 1697 and 2242")
    return seconds


def format_time(seconds: float) -> str:
    """Format a time as ISO 8601 in UTC with microseconds; `parse_time` is the inverse.

    Example:
        >>> format_time(0.25)
        '1970-01-01T00:00:00.250000Z'
    """
    moment = _EPOCH + timedelta(microseconds=round(Fraction(seconds) * 1_000_000))
    return moment.isoformat().replace("+00:00", "Z")


def parse_age(text: str) -> timedelta:
    """Parse a duration: a number followed by s, m, h, d or w (seconds … weeks).

    Raises:
        ConfigError: the text is not a duration.

    Example:
        >>> parse_age("30d")
        datetime.timedelta(days=30)
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"{text!r} is no length of time; write a number with s, m, h, d or w: 30d"
        )
    try:
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
    except OverflowError as error:
        raise ConfigError(f"{text} is too long a time") from error


def parse_since(text: str, now: float) -> float:
    """Parse a time, or an age that is counted back from `now`.

    Example:
        >>> parse_since("1h", now=7200.0)
        3600.0
    """
    if _AGE.fullmatch(text.strip()):
        return now - parse_age(text).total_seconds()
    return parse_time(text)
