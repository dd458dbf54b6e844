"""What a browser may hand to the page's functions: plain values, and files that came in before.

Gradio takes a file description in place of any value, and copies the file that it names. Nothing of
that kind reaches it here: each request is written anew from what was checked.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reid_hash.utils.files import json_text
from reid_hash.web.inbox import Inbox, Refused

_LONGEST = 10_000  # characters of a text
_MOST = 1000  # entries of a list
_DEEPEST = 3  # of what an event tells
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PICTURE = re.compile(r"data:image/(?:jpeg|png|webp);base64,[A-Za-z0-9+/]+={0,2}")

Kinds = Mapping[int, Sequence[str]]
"""For each function of the page, by its number: the kinds of the components it is given."""


def kinds_of(page: Any) -> dict[int, list[str]]:
    """The kinds of the inputs of all functions of a page (gradio.Blocks)."""
    return {
        number: [block.get_block_name() for block in function.inputs]
        for number, function in page.fns.items()
    }


def checked(body: bytes, kinds: Kinds, inbox: Inbox) -> bytes:
    """A request to call a function, written anew from its checked values.

    Args:
        body: JSON with `data`, `fn_index` and what else Gradio's script sends.
        kinds: of the functions' inputs.
        inbox: where the files lie that visitors sent.

    Returns:
        JSON.

    Raises:
        Refused: it is anything else, or a value is not of its component's kind.
    """
    try:
        asked = json.loads(body)
        number, given = asked["fn_index"], asked.get("data") or []
        wanted = kinds[number]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(400, "no such function of this page") from error
    session = asked.get("session_hash")
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise Refused(400, "the request names no session")
    if not isinstance(given, list) or len(given) != len(wanted):
        raise Refused(422, "the function takes another number of values")
    trigger = asked.get("trigger_id")
    values = [_value(value, kind, inbox) for value, kind in zip(given, wanted, strict=True)]
    return json_text(
        {
            "data": values,
            "fn_index": number,
            "session_hash": session,
            "trigger_id": trigger if isinstance(trigger, int) else None,
            "event_data": _event(asked.get("event_data"), _DEEPEST),
        }
    ).encode()


def _value(value: Any, kind: str, inbox: Inbox) -> Any:
    if value is None or kind == "state":  # what a state holds the server knows itself
        return None
    if kind == "file":
        path = value.get("path") if isinstance(value, dict) else None
        if not isinstance(path, str):
            raise Refused(422, "a file is sent before it is used")
        file = inbox.claim(path)
        return {
            "path": str(file),
            "orig_name": file.name,
            "meta": {"_type": "gradio.FileData"},
        }
    if kind == "image":
        picture = value.get("url") if isinstance(value, dict) else None
        if not isinstance(picture, str) or not _PICTURE.fullmatch(picture):
            raise Refused(422, "a picture of the webcam comes with the request")
        return {"url": picture, "path": None, "meta": {"_type": "gradio.FileData"}}
    if isinstance(value, list) and len(value) <= _MOST:
        return [_plain(one) for one in value]
    return _plain(value)


def _plain(value: Any) -> Any:
    """A text, a number, true, false or nothing; Refused for all else."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and len(value) <= _LONGEST:
        return value
    raise Refused(422, "only texts and numbers are taken here")


def _event(value: Any, depth: int) -> Any:
    """What an event tells, without anything that is not plain."""
    if isinstance(value, dict) and depth:
        plain = {str(key): _event(one, depth - 1) for key, one in list(value.items())[:20]}
        return None if {"path", "url", "meta"} & set(plain) else plain
    try:
        return _plain(value)
    except Refused:
        return None
