"""What several pages share: remarks, errors in one line, clicks on cards."""

import functools
import logging
from collections.abc import Callable
from html import escape
from typing import Any

from reid_hash.errors import ReidHashError

CLICK = """
element.addEventListener('click', event => {
  const card = event.target.closest('[data-id]');
  if (card) trigger('click', {id: card.dataset.id});
});
"""
"""Script of an HTML element: clicking a card gives the number in its `data-id`."""

_LOG = logging.getLogger(__name__)


def note(text: str) -> str:
    """A remark as HTML."""
    return f'<p class="rh-note">{escape(text)}</p>'


def problem(error: Exception) -> str:
    """What went wrong, as HTML in one line; what nobody foresaw is also logged."""
    if isinstance(error, ReidHashError):
        return f'<p class="rh-error" role="alert">{escape(str(error))}</p>'
    _LOG.error("unexpected error", exc_info=error)
    text = f"unexpected {type(error).__name__}; the terminal where the page was started says more"
    return f'<p class="rh-error" role="alert">{text}</p>'


def calm(work: Callable[..., str]) -> Callable[..., str]:
    """Make a function that gives HTML say what went wrong in place of failing."""

    @functools.wraps(work)
    def wrapped(*arguments: Any) -> str:
        try:
            return work(*arguments)
        except Exception as error:
            return problem(error)

    return wrapped


def number_of(event: Any) -> int | None:
    """The number of the card that was clicked; None where the browser sent something else."""
    try:
        text = str(getattr(event, "id", ""))
    except TypeError:  # Gradio's event holds nothing
        return None
    return int(text) if text.isdecimal() and len(text) < 19 else None
