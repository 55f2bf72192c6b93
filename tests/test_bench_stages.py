"""The way of a first audio: points in the order of the clock, and their medians."""

import pytest

from tests.bench.speech_profile import stages_of
from tests.bench.speech_stages import ARRIVED, AUDIBLE, OPENED, READY, RECEIVED, SENT, SUBMITTED, Marks, intervals


def test_each_point_is_counted_from_the_sending_and_from_the_one_before() -> None:
    way = intervals({READY: 10.030, SENT: 10.0, RECEIVED: 10.002, ARRIVED: 10.034})
    assert [one.stage for one in way] == [RECEIVED, READY, ARRIVED]
    assert [one.at_ms for one in way] == pytest.approx([2, 30, 34])
    assert [one.took_ms for one in way] == pytest.approx([2, 28, 4])


def test_what_was_passed_before_the_text_was_sent_is_left_out() -> None:
    assert [one.stage for one in intervals({OPENED: 9.9, SENT: 10.0, RECEIVED: 10.1})] == [RECEIVED]


def test_of_points_at_one_instant_the_earlier_of_the_way_comes_first() -> None:
    way = intervals({AUDIBLE: 10.5, ARRIVED: 10.5, SENT: 10.0})
    assert [one.stage for one in way] == [ARRIVED, AUDIBLE]
    assert [one.took_ms for one in way] == pytest.approx([500, 0])


def test_stages_are_medians_in_the_order_of_the_way() -> None:
    ways = [intervals({SENT: 0.0, SUBMITTED: 0.001, READY: 0.001 * ready_ms}) for ready_ms in (21, 11, 99)]
    stages = stages_of(ways)
    assert [(stage.name, stage.at_ms, stage.took_ms) for stage in stages] == [(SUBMITTED, 1, 1), (READY, 21, 20)]


def test_a_point_that_was_not_always_passed_is_no_stage() -> None:
    ways = [intervals({SENT: 0.0, RECEIVED: 0.001, READY: 0.01}), intervals({SENT: 0.0, READY: 0.01})]
    assert [stage.name for stage in stages_of(ways)] == [READY]


def test_the_first_passing_counts_until_the_next_request() -> None:
    marks = Marks()
    marks.begin()
    marks.note(READY)
    first = marks.times_s
    marks.note(READY)
    assert marks.times_s == first
    marks.begin()
    assert marks.times_s.keys() == {RECEIVED}
    assert marks.times_s[RECEIVED] >= first[READY]
