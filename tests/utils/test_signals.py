"""Signals that end: a flag within a loop, an interruption outside of it."""

import signal
import threading

import pytest

from reid_hash.utils import signals as module
from reid_hash.utils.signals import interrupting, stop_signals

NAMES = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture(params=NAMES)
def number(request):
    """A signal whose handler is put back after the test."""
    number = getattr(signal, request.param)
    before = signal.getsignal(number)
    yield number
    signal.signal(number, before)


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """Signals of one test and the next do not count as one."""
    monkeypatch.setattr(module, "_taken", -99.0)


class Handled(Exception):
    pass


def handler(number, frame):
    raise Handled


def test_the_first_is_a_flag_and_the_second_what_it_was(number, monkeypatch):
    monkeypatch.setattr(module, "_TOGETHER", -1.0)
    signal.signal(number, handler)
    with pytest.raises(Handled), stop_signals() as stop:
        signal.raise_signal(number)
        assert stop.stopped
        signal.raise_signal(number)
    assert signal.getsignal(number) is handler


ENDING = [name for name in NAMES if name != "SIGINT"]


@pytest.mark.parametrize("name", ENDING)
def test_signals_that_come_together_are_one(name, monkeypatch):
    monkeypatch.setattr(module, "_TOGETHER", 1e9)
    number = getattr(signal, name)
    inherited = signal.signal(number, signal.SIG_DFL)
    try:
        with interrupting():
            with stop_signals() as stop:
                signal.raise_signal(number)
                signal.raise_signal(number)
                assert stop.stopped
            signal.raise_signal(number)  # what was asked to stop is being tidied up
        monkeypatch.setattr(module, "_taken", -1e10)
        tidied = []
        with pytest.raises(KeyboardInterrupt), interrupting():
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(number)
                tidied.append(True)
        assert tidied
    finally:
        signal.signal(number, inherited)


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


@pytest.mark.parametrize("name", ENDING)
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
