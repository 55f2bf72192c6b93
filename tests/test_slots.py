"""What becomes of slots: generations, release, rows that are not ready, and waiting without losing a wake-up."""

import random
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.jobs import Job
from engines.model import StepResult
from engines.scheduler import Scheduler, Step
from engines.types import Params, Segment
from tests.stepping import RATE_HZ, VOICE, Bench, Idle, admitted, owners

NO_PCM = np.zeros(0, np.float32)


def test_a_result_for_a_session_that_has_gone_is_dropped() -> None:
    bench = Bench()
    job = bench.submit("gone")
    bench.submit("stays")
    step = bench.next()
    bench.scheduler.close_job(job)
    assert bench.finish(step) == ["stays"]


def test_closing_a_session_frees_its_slot_within_one_step() -> None:
    bench = Bench()
    job = bench.submit("gone")
    step = bench.next()
    bench.scheduler.close_job(job)
    assert bench.scheduler.num_busy_slots == 1, "the device still holds its row"
    bench.finish(step)
    assert bench.next().releases == step.slots
    assert bench.scheduler.num_busy_slots == 0


def test_a_slot_is_released_before_it_is_given_away_again() -> None:
    bench = Bench(num_slots=1)
    job = bench.submit("gone")
    bench.submit("next")
    step = bench.next()
    bench.scheduler.close_job(job)
    bench.finish(step)
    step = bench.next()
    assert (step.releases, admitted(step)) == ([0], ["next"])
    assert bench.finish(step) == ["next"]


def test_closing_a_session_that_waits_takes_it_out_of_the_queue() -> None:
    bench = Bench(num_slots=1)
    bench.submit("a")
    job = bench.submit("b")
    bench.run()
    assert bench.scheduler.num_waiting == 1
    bench.scheduler.close_job(job)
    assert bench.scheduler.num_waiting == 0
    bench.run(ends=["a"])
    assert admitted(bench.next()) == []


def test_a_closed_session_gets_nothing_more() -> None:
    bench = Bench()
    job = bench.open("gone")
    bench.scheduler.close_job(job)
    bench.scheduler.close_job(job)
    bench.scheduler.submit(job, Segment("late", 0))
    bench.scheduler.consume(job, 10)
    with pytest.raises(Idle):
        bench.next()


def test_an_error_ends_the_segment_and_frees_the_slot() -> None:
    bench = Bench()
    bench.submit("bad")
    step = bench.next()
    assert bench.finish(step, 0, error=RuntimeError("bad")) == ["bad"]
    assert bench.next().releases == step.slots
    assert bench.scheduler.num_busy_slots == 0


def test_a_row_that_is_not_ready_is_left_out_until_the_model_wakes_us() -> None:
    bench = Bench()
    for name in "ab":
        bench.submit(name)
    assert bench.finish(bench.next(), not_ready=["a"]) == ["b"]
    assert bench.run() == ["b"]
    bench.scheduler.wake()
    assert bench.run() == ["a", "b"]


def test_who_leaves_while_the_model_readies_its_row_leaves_nothing_behind() -> None:
    bench = Bench(num_slots=1, num_prefills=1)
    job = bench.submit("gone")
    step = bench.next()
    bench.scheduler.close_job(job)
    bench.finish(step, not_ready=["gone"])
    bench.submit("next")
    step = bench.next()
    assert (admitted(step), owners(step)) == (["next"], ["next"])


def test_the_device_waits_while_no_row_is_ready() -> None:
    bench = Bench()
    bench.submit("a")
    bench.finish(bench.next(), not_ready=["a"])
    with pytest.raises(Idle):
        bench.next()
    bench.scheduler.wake()
    bench.finish(bench.next(), not_ready=["a"])
    with pytest.raises(Idle):
        bench.next()


def test_a_wake_up_during_a_step_is_not_lost() -> None:
    bench = Bench()
    bench.submit("a")
    step = bench.next()
    bench.scheduler.wake()  # it became ready after the model had looked
    bench.finish(step, not_ready=["a"])
    assert bench.run() == ["a"]


def test_a_row_without_a_result_is_stepped_again_unless_it_was_not_ready() -> None:
    bench = Bench()
    for name in "ab":
        bench.submit(name)
    assert bench.finish(bench.next(), silent=["a"]) == ["b"]
    assert bench.run() == ["a", "b"], "a has advanced, and has nothing to hand out yet"


def test_results_go_to_the_session_that_was_stepped_in_any_order() -> None:
    bench = Bench()
    for name in "abc":
        bench.submit(name)
    step = bench.next()
    results = [StepResult(slot, np.full(1, slot, np.float32)) for slot in reversed(step.slots)]
    slot_of = dict(zip(owners(step), step.slots, strict=True))
    for job, result in bench.scheduler.finish_step(step, results):
        assert result.slot == slot_of[job.owner]


def test_a_session_has_at_most_one_segment_at_a_time() -> None:
    bench = Bench()
    job = bench.submit("a")
    with pytest.raises(AssertionError):
        bench.scheduler.submit(job, Segment("b", 0))


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_no_result_reaches_a_session_but_of_its_own_segment_and_nothing_is_left_of_any(
    rng: random.Random, num_slots: int
) -> None:
    """Sessions come, go and read at random between and during steps; the model is a table of who holds which row."""
    bench = Bench(num_slots=num_slots, num_prefills=2, step_width=2, max_queued=150)
    scheduler = bench.scheduler
    jobs: list[Job[str]] = []
    rows: dict[int, str] = {}
    known: dict[int, str] = {}  # sessions that were prefilled and not forgotten yet
    late: set[int] = set()  # rows that were not ready, and nobody has woken us since

    def disturb() -> None:
        for _ in range(rng.randrange(3)):
            match rng.randrange(6):
                case 0 | 1:
                    jobs.append(bench.open(f"s{len(jobs)}", is_paced=rng.random() < 0.6))
                    scheduler.submit(jobs[-1], Segment(jobs[-1].owner, 0))
                case 4 if between := [job for job in jobs if job.segment is None and not job.is_closed]:
                    job = rng.choice(between)
                    scheduler.submit(job, Segment(job.owner, 0))
                case 2 if jobs:
                    scheduler.close_job(rng.choice(jobs))
                case 3 if jobs:
                    job = rng.choice(jobs)
                    scheduler.consume(job, job.num_queued)
                case _:
                    scheduler.wake()
                    late.clear()

    for _ in range(40):
        disturb()
        try:
            step = bench.next()
        except Idle:
            continue
        for slot in step.releases:
            del rows[slot]  # a row is released once, and only if it holds something
            late.discard(slot)
        for session in step.forgets:
            name = known.pop(session)  # a session is forgotten once, and only if it was ever prefilled
            assert name not in rows.values(), "a session is forgotten before its row was released"
        for prefill in step.prefills:
            assert prefill.slot not in rows, "a row is conditioned before it was released"
            assert prefill.segment.text not in rows.values(), "a session has one row at a time"
            rows[prefill.slot] = prefill.segment.text
            assert known.setdefault(prefill.session, prefill.segment.text) == prefill.segment.text
        assert not late & set(step.slots), "a row that was not ready is stepped before anybody woke us"
        said = {slot: rows[slot] for slot in step.slots}
        answers = {slot: rng.choice(["result", "result", "nothing", "not ready"]) for slot in step.slots}
        not_ready = [slot for slot, answer in answers.items() if answer == "not ready"]
        late.update(not_ready)
        disturb()
        results = [
            StepResult(slot, np.zeros(100, np.float32), rng.random() < 0.3)
            for slot, answer in answers.items()
            if answer == "result"
        ]
        for job, result in scheduler.finish_step(step, results, not_ready):
            assert job.owner == said[result.slot]
            assert not job.is_closed
    for job in jobs:
        scheduler.close_job(job)
    if known:
        step = bench.next()
        assert sorted(step.releases) == sorted(rows)
        assert sorted(step.forgets) == sorted(known)
    assert scheduler.num_busy_slots == 0
    assert scheduler.num_waiting == 0


# -- with the device's thread ------------------------------------------------------------------------------------------


class _Watched(threading.Condition):
    """Says when somebody waits on it, and refuses to be polled."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())
        self.is_waited_on = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is None, "waiting with a timeout is polling"
        self.is_waited_on.set()
        return super().wait()


def _scheduler(num_slots: int = 1) -> tuple[Scheduler[str], _Watched]:
    scheduler = Scheduler[str](
        num_slots, 99, 99, sample_rate_hz=RATE_HZ, max_queued=50, clock=lambda: 0.0
    )  # fmt: skip
    watched = scheduler._condition = _Watched()
    return scheduler, watched


def _over_credit(scheduler: Scheduler[str]) -> Job[str]:
    job = scheduler.open_job("a", VOICE, Params(), is_paced=True)
    scheduler.submit(job, Segment("a", 0))
    step = scheduler.next_step()
    assert step is not None
    scheduler.finish_step(step, [StepResult(0, np.zeros(100, np.float32))])
    return job


def _submit(scheduler: Scheduler[str], job: Job[str]) -> None:
    other = scheduler.open_job("b", VOICE, Params(), is_paced=True)
    scheduler.submit(other, Segment("b", 0))


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(_submit, id="submit"),
        pytest.param(lambda scheduler, job: scheduler.consume(job, 100), id="consume"),
        pytest.param(lambda scheduler, job: scheduler.close_job(job), id="close_job"),
        pytest.param(lambda scheduler, _: scheduler.close(), id="close"),
    ],
)
def test_the_waiting_device_goes_on_when_there_is_work(call: Callable[[Scheduler[str], Job[str]], None]) -> None:
    scheduler, watched = _scheduler()
    job = _over_credit(scheduler)
    steps: list[Step[str] | None] = []
    device = threading.Thread(target=lambda: steps.append(scheduler.next_step()), daemon=True)
    device.start()
    assert watched.is_waited_on.wait(5), "next_step waits on the condition while there is nothing to do"
    assert not steps
    call(scheduler, job)
    device.join(5)
    assert len(steps) == 1


def test_a_wake_up_by_the_models_pool_reaches_the_waiting_device() -> None:
    scheduler, watched = _scheduler()
    job = scheduler.open_job("a", VOICE, Params(), is_paced=True)
    scheduler.submit(job, Segment("a", 0))
    step = scheduler.next_step()
    assert step is not None
    scheduler.finish_step(step, [], step.slots)
    steps: list[Step[str] | None] = []
    device = threading.Thread(target=lambda: steps.append(scheduler.next_step()), daemon=True)
    device.start()
    assert watched.is_waited_on.wait(5)
    scheduler.wake()
    device.join(5)
    assert steps[0] is not None
    assert owners(steps[0]) == ["a"]


def test_no_wake_up_is_lost_and_none_is_spun_for() -> None:
    """A pool readies rows at any moment. Every segment ends, and the device steps no more than it was woken."""
    num_segments, num_slots = 300, 4
    scheduler, _ = _scheduler(num_slots)
    ready: set[int] = set()
    lock = threading.Lock()
    num_empty_steps = 0
    done = threading.Event()

    def make_ready(slot: int) -> None:
        with lock:
            ready.add(slot)
        scheduler.wake()

    def device() -> None:
        nonlocal num_empty_steps
        num_done = 0
        while (step := scheduler.next_step()) is not None:
            for prefill in step.prefills:
                threading.Thread(target=make_ready, args=(prefill.slot,), daemon=True).start()
            with lock:
                results = [StepResult(slot, NO_PCM, is_segment_end=True) for slot in step.slots if slot in ready]
                ready.difference_update(step.slots)
            num_empty_steps += not results
            made = {result.slot for result in results}
            num_done += len(scheduler.finish_step(step, results, [slot for slot in step.slots if slot not in made]))
            if num_done == num_segments:
                done.set()

    thread = threading.Thread(target=device, daemon=True)
    thread.start()
    for index in range(num_segments):
        job = scheduler.open_job(f"s{index}", VOICE, Params(), is_paced=True)
        scheduler.submit(job, Segment("x", 0))
    assert done.wait(20), "a wake-up was lost"
    scheduler.close()
    thread.join(5)
    assert num_empty_steps <= 4 * num_segments
