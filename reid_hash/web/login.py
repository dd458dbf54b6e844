"""Who may see the page: one password, asked for once a visit, and not to be guessed."""

import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from html import escape

WINDOW = 60.0
"""Seconds over which wrong passwords are counted."""

WRONG = 5
"""Wrong passwords from one address within `WINDOW`; after that it waits."""

WRONG_IN_ALL = 60
"""Wrong passwords from all addresses within `WINDOW`; after that everybody waits."""

_VISIT = 12 * 3600.0  # seconds after which the password is asked for again
_VISITS = 1000  # at a time; the oldest ends first
_LONGEST = 1024  # characters of a password that are looked at


class Throttled(Exception):
    """Too many wrong passwords; nobody is told whether this one was right.

    Attributes:
        seconds: to wait.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wait {seconds:.0f} seconds")
        self.seconds = seconds


class Login:
    """Checks passwords, and remembers who gave the right one.

    Args:
        password: the right one; white space around it does not count.
        clock: seconds from any start.
    """

    def __init__(self, password: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._password = _bytes(password)
        self._clock = clock
        self._turn = threading.Lock()
        self._wrong: deque[tuple[float, str]] = deque()  # when, and from where
        self._visits: dict[str, float] = {}  # token → when it ends

    def enter(self, given: str, address: str) -> str | None:
        """Check a password.

        Args:
            given: what the visitor typed.
            address: where the visitor is.

        Returns:
            The token of a new visit, or None where the password is wrong.

        Raises:
            Throttled: there were too many wrong ones.
        """
        with self._turn:
            now = self._clock()
            while self._wrong and now - self._wrong[0][0] >= WINDOW:
                self._wrong.popleft()
            here = [when for when, where in self._wrong if where == address]
            if len(here) >= WRONG:
                raise Throttled(here[0] + WINDOW - now)
            if len(self._wrong) >= WRONG_IN_ALL:
                raise Throttled(self._wrong[0][0] + WINDOW - now)
            if not hmac.compare_digest(_bytes(given[:_LONGEST]), self._password):
                self._wrong.append((now, address))
                return None
            token = secrets.token_urlsafe(32)
            self._visits[token] = now + _VISIT
            while len(self._visits) > _VISITS:
                del self._visits[next(iter(self._visits))]
            return token

    def is_open(self, token: str | None) -> bool:
        """Whether a token is of a visit that has not ended."""
        with self._turn:
            ends = self._visits.get(token or "")
            return ends is not None and self._clock() < ends

    def leave(self, token: str | None) -> None:
        """End a visit."""
        with self._turn:
            self._visits.pop(token or "", None)


def _bytes(password: str) -> bytes:
    return password.strip().encode("utf-8", "surrogatepass")


def login_page(title: str, problem: str = "") -> str:
    """The form that asks for the password, as a page of its own."""
    said = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid;
  place-items: center; }}
form {{ display: grid; gap: 12px; width: min(320px, 86vw); }}
h1 {{ font-size: 20px; margin: 0; }}
input, button {{ font: inherit; padding: 8px 10px; border-radius: 6px; border: 1px solid #8888; }}
button {{ background: #0072B2; color: white; border: 0; cursor: pointer; }}
[role=alert] {{ margin: 0; color: #D55E00; }}
</style>
</head>
<body>
<form method="post" action="login">
<h1>{escape(title)}</h1>
{said}
<label for="password">Password of this page</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus
  required>
<button>Log in</button>
</form>
</body>
</html>
"""
