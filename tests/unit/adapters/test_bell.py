import os
import signal
import threading
import time

import pytest

from modelci.adapters.bell import Bell


def test_a_bell_wakes_who_waits_once() -> None:
    bell = Bell()
    threading.Timer(0.05, bell.ring).start()
    began = time.monotonic()
    bell.wait(30)
    assert time.monotonic() - began < 29
    bell.wait(0.01)
    assert not bell.is_stopped


def test_a_bell_that_was_rung_before_is_heard_at_the_next_wait() -> None:
    bell = Bell()
    bell.ring()
    began = time.monotonic()
    bell.wait(30)
    assert time.monotonic() - began < 29


def test_news_do_not_cut_a_pause_short_but_the_end_does() -> None:
    bell = Bell()
    bell.ring()
    began = time.monotonic()
    bell.pause(0.05)
    assert time.monotonic() - began >= 0.05
    bell.stop()
    bell.pause(30)
    bell.wait(30)
    assert time.monotonic() - began < 29


def test_whoever_passes_a_checkpoint_hears_that_it_is_time_to_stop() -> None:
    bell = Bell()
    bell.checkpoint()
    bell.stop()
    with pytest.raises(KeyboardInterrupt):
        bell.checkpoint()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_asks_to_stop_and_a_second_one_ends_it_at_once(number: signal.Signals) -> None:
    bell = Bell()
    before = signal.getsignal(number)
    with bell.stopped_by_signals():
        os.kill(os.getpid(), number)
        assert bell.is_stopped
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
