"""Places: who has one keeps it while it speaks, and a newcomer finds none where those who listen wait already."""

import pytest

from engines.errors import CapacityError
from engines.fake import FakeModel
from engines.jobs import Job
from engines.places import LATE_S, REST_S, Places
from engines.types import Params, Segment

SEGMENT = Segment("Hello.", 0)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def job(*, is_paced: bool = True, segment: Segment | None = None, asked_s: float = 100.0) -> Job[str]:
    made = Job("somebody", FakeModel().voices[0], Params(), arrival=1, is_paced=is_paced)
    made.segment, made.asked_s = segment, asked_s
    return made


def test_a_place_is_taken_once_and_given_back() -> None:
    places = Places[str](1, Clock())
    first = job(segment=SEGMENT)
    assert places.take(first)
    assert not places.take(first)
    with pytest.raises(CapacityError, match="all 1 places"):
        places.take(job())
    places.leave(first)
    assert places.take(job(segment=SEGMENT))
    with pytest.raises(CapacityError):
        places.take(job())


def test_who_is_expected_counts() -> None:
    places = Places[str](2, Clock())
    places.take(job(segment=SEGMENT))
    places.check(0)
    with pytest.raises(CapacityError):
        places.check(1)


@pytest.mark.parametrize("is_held_up", [False, True])
def test_who_rests_gives_its_place_to_who_needs_it(is_held_up: bool) -> None:
    clock = Clock()
    places = Places[str](1, clock)
    resting = job(segment=SEGMENT if is_held_up else None)
    resting.is_held_up = is_held_up
    places.take(resting)
    clock.now_s += REST_S - 0.1
    with pytest.raises(CapacityError):
        places.take(job())
    clock.now_s += 0.2
    assert places.take(job())
    with pytest.raises(CapacityError):
        places.take(job())


def test_where_a_listener_waits_for_sound_nobody_is_let_in() -> None:
    clock = Clock()
    places = Places[str](4, clock)
    waiting = job(segment=SEGMENT)
    places.take(waiting)
    clock.now_s += LATE_S - 0.1
    places.check()
    clock.now_s += 0.2
    with pytest.raises(CapacityError, match="too slowly"):
        places.check()
    waiting.runs_dry_s = clock.now_s
    places.check()


@pytest.mark.parametrize("of", ["batch", "held up", "without text"])
def test_who_does_not_wait_for_sound_keeps_nobody_out(of: str) -> None:
    clock = Clock()
    places = Places[str](4, clock)
    there = job(is_paced=of != "batch", segment=None if of == "without text" else SEGMENT)
    there.is_held_up = of == "held up"
    places.take(there)
    clock.now_s += 2 * LATE_S
    places.check()


def test_without_a_bound_everybody_is_let_in() -> None:
    places = Places[str](None, Clock())
    assert all(places.take(job()) for _ in range(100))
