"""When a device stands still, and when it has only been slow."""

import pytest

from engines.watchdog import Watchdog

BOUND_S = 10.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Watch:
    """A watchdog that has looked every second."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.dog = Watchdog(BOUND_S, self.clock)
        self.dog.look(None)

    def see(self, progress: int | None, for_s: int = 1) -> None:
        for _ in range(for_s):
            self.clock.now_s += 1.0
            self.dog.look(progress)

    @property
    def verdict(self) -> str:
        return "hangs" if self.dog.is_hanging else "stalled" if self.dog.is_stalled else "well"


def test_it_looks_ten_times_in_the_time_that_a_step_may_take() -> None:
    assert Watchdog(BOUND_S, Clock()).interval_s == 1.0


def test_a_device_that_gets_on_is_well_for_ever() -> None:
    watch = Watch()
    for step in range(100):
        watch.see(step)
        assert watch.verdict == "well"


def test_a_device_without_work_is_well_however_long_it_rests() -> None:
    watch = Watch()
    watch.see(None, for_s=1000)
    assert watch.verdict == "well"


@pytest.mark.parametrize(("for_s", "verdict"), [(10, "well"), (11, "stalled"), (20, "stalled"), (21, "hangs")])
def test_a_device_that_stands_still_is_stalled_and_then_hangs(for_s: int, verdict: str) -> None:
    watch = Watch()
    watch.see(5, for_s=for_s)
    assert watch.verdict == verdict


@pytest.mark.parametrize("progress", [6, None])
def test_a_stalled_device_that_gets_on_is_well_again(progress: int | None) -> None:
    watch = Watch()
    watch.see(5, for_s=15)
    watch.see(progress)
    assert watch.verdict == "well"
    watch.see(6, for_s=9)
    assert watch.verdict == "well"


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_process_that_was_stopped_or_a_clock_that_jumps_is_no_device_that_hangs(jump_s: float) -> None:
    watch = Watch()
    watch.see(5, for_s=2)
    watch.clock.now_s += jump_s
    watch.dog.look(5)
    assert watch.verdict == "well"
    watch.see(5, for_s=5)
    assert watch.verdict == "well"
