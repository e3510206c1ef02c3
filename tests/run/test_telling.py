"""Who listens to a run: in a thread of their own, in order, to the last event."""

import threading
import time

import pytest

from reward_agent.errors import Interrupted
from reward_agent.records.events import Event, Warned
from reward_agent.run.active import telling


def test_a_listener_that_hangs_holds_up_nobody_and_order_is_kept() -> None:
    may_go_on, told = threading.Event(), []

    def listen(event: Event) -> None:
        may_go_on.wait(30)
        told.append(event)

    with telling(listen) as tell:
        for reason in "abc":
            tell(Warned(reason))
        assert told == []
        may_go_on.set()
    assert told == [Warned("a"), Warned("b"), Warned("c")]


def test_when_nobody_reads_any_more_the_next_event_ends_the_run() -> None:
    def listen(event: Event) -> None:
        raise Interrupted("nobody reads the output any more")

    def tell_on() -> None:
        with telling(listen) as tell:
            for _ in range(1000):
                tell(Warned("a"))
                time.sleep(0.01)
            pytest.fail("it went on")

    with pytest.raises(Interrupted):
        tell_on()
    with pytest.raises(Interrupted), telling(listen) as tell:
        tell(Warned("the last"))
