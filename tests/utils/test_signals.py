"""Signals that end: a flag within a loop, an interruption outside of it."""

import signal
import threading

import pytest

from reid_hash.utils.signals import interrupting, stop_signals

NAMES = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture(params=NAMES)
def number(request):
    """A signal whose handler is put back after the test."""
    number = getattr(signal, request.param)
    before = signal.getsignal(number)
    yield number
    signal.signal(number, before)


class Handled(Exception):
    pass


def handler(number, frame):
    raise Handled


def test_the_first_is_a_flag_and_the_second_what_it_was(number):
    signal.signal(number, handler)
    with pytest.raises(Handled), stop_signals() as stop:
        signal.raise_signal(number)
        assert stop.stopped
        signal.raise_signal(number)
    assert signal.getsignal(number) is handler


def test_a_hangup_that_is_ignored_stays_so():
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("there is no such signal here")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupting(), stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.stopped
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "SIGINT"])
def test_outside_of_a_loop_they_interrupt_as_ctrl_c_does(name):
    number = getattr(signal, name)
    inherited = signal.signal(number, signal.SIG_DFL)  # in the background some are ignored
    try:
        with pytest.raises(KeyboardInterrupt), interrupting():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, inherited)


def test_other_threads_leave_signals_alone(number):
    signal.signal(number, handler)
    seen = []

    def work():
        with interrupting(), stop_signals() as stop:
            seen.append((stop.stopped, signal.getsignal(number)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, handler)]
    assert signal.getsignal(number) is handler
