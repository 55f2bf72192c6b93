"""When a listener runs dry, and whose doing that is."""

import pytest

from engines.delivery import Delivery
from engines.measures import Distribution


def test_what_comes_while_the_last_is_playing_is_in_time() -> None:
    delivery = Delivery()
    delivery.owe(0.0)
    assert delivery.sent(1.0, 0.5, 1.0) == 0.0, "nobody waits for the first"
    assert delivery.sent(1.4, 0.5, 1.4) == 0.0
    assert delivery.sent(1.9, 0.5, 1.9) == 0.0, "the two before end at 2.0"


def test_what_comes_later_than_that_is_late_by_the_silence() -> None:
    delivery = Delivery()
    delivery.owe(0.0)
    delivery.sent(1.0, 0.5, 1.0)
    assert delivery.sent(1.8, 0.5, 1.8) == pytest.approx(0.3)
    assert delivery.sent(2.3, 0.5, 2.3) == 0.0, "the play clock begins anew where it stood still"
    assert delivery.sent(3.0, 0.5, 3.0) == pytest.approx(0.2)


def test_text_that_came_after_the_listener_ran_dry_is_no_underrun() -> None:
    delivery = Delivery()
    delivery.owe(0.0)
    delivery.sent(1.0, 0.5, 1.0)
    delivery.settle()
    delivery.owe(3.0)
    assert delivery.sent(3.2, 0.5, 3.2) == 0.0
    assert delivery.sent(4.0, 0.5, 4.0) == pytest.approx(0.3), "from here on it was owed"


def test_text_that_came_in_time_makes_it_one() -> None:
    delivery = Delivery()
    delivery.owe(0.0)
    delivery.sent(1.0, 0.5, 1.0)
    delivery.settle()
    delivery.owe(1.4)
    assert delivery.sent(2.0, 0.5, 2.0) == pytest.approx(0.5)


def test_a_client_that_does_not_take_what_is_sent_is_not_waiting() -> None:
    delivery = Delivery()
    delivery.owe(0.0)
    delivery.sent(1.0, 0.5, 9.0)
    assert delivery.sent(9.0, 0.5, 9.0) == 0.0
    assert delivery.sent(9.7, 0.5, 9.7) == pytest.approx(0.2), "now it is"


def test_a_value_at_a_bound_is_below_it() -> None:
    distribution = Distribution((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        distribution.observe(value)
    assert distribution.counts == [2, 2, 1]
    assert distribution.total == pytest.approx(8.65)
