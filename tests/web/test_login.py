"""Passwords are compared whole, and not to be guessed."""

import pytest

from reid_hash.web.login import WINDOW, WRONG, WRONG_IN_ALL, Login, Throttled, login_page


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def login(clock):
    return Login(" a secret\n", clock)


@pytest.mark.parametrize("given", ["a secret", "  a secret", "a secret\r\n"])
def test_the_right_password_opens(login, given):
    token = login.enter(given, "here")
    assert login.is_open(token)
    login.leave(token)
    assert not login.is_open(token)


@pytest.mark.parametrize(
    "given", ["", "a", "asecret", "A SECRET", "a secret!", "\ud800", "x" * 9999]
)
def test_a_wrong_one_does_not(login, given):
    assert login.enter(given, "here") is None


@pytest.mark.parametrize("token", [None, "", "x"])
def test_no_token_is_guessed(login, token):
    login.enter("a secret", "here")
    assert not login.is_open(token)


def test_guessing_is_throttled_and_the_right_one_waits_too(login, clock):
    for _ in range(WRONG):
        assert login.enter("no", "here") is None
    for given in ("no", "a secret"):
        with pytest.raises(Throttled) as error:
            login.enter(given, "here")
        assert error.value.seconds == WINDOW
    assert login.enter("a secret", "there") is not None
    clock.now = WINDOW
    assert login.enter("a secret", "here") is not None


def test_guessing_from_many_addresses_is_throttled(login, clock):
    guesses = 0
    with pytest.raises(Throttled):
        while guesses < 10_000:
            login.enter("no", f"10.0.{guesses // 250}.{guesses % 250}")
            guesses += 1
    assert guesses == WRONG_IN_ALL


def test_a_visit_ends(login, clock):
    token = login.enter("a secret", "here")
    clock.now = 13 * 3600.0
    assert not login.is_open(token)


def test_visits_do_not_pile_up(login):
    first = login.enter("a secret", "here")
    for _ in range(1000):
        last = login.enter("a secret", "here")
    assert not login.is_open(first)
    assert login.is_open(last)


def test_what_the_page_says_is_escaped():
    assert "<script>" not in login_page("<script>", "<script>")
