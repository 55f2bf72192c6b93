"""A session over its segments: the number that the model knows it by, the slot that it comes back to, and its end."""

import pytest

from engines.jobs import Job
from engines.scheduler import Step
from engines.types import Params, Segment
from tests.stepping import Bench, Idle, owners


def given(step: Step[str]) -> dict[str, int]:
    """Who was admitted -> the slot."""
    return {prefill.segment.text: prefill.slot for prefill in step.prefills}


def speak_again(bench: Bench, job: Job[str]) -> Step[str]:
    """The step in which the session's next segment is admitted."""
    bench.scheduler.submit(job, Segment(job.owner, 0))
    return bench.next()


def test_all_segments_of_a_session_carry_its_number_and_no_others_do() -> None:
    bench = Bench()
    first, second = bench.submit("a"), bench.submit("b")
    step = bench.next()
    numbers = {prefill.segment.text: prefill.session for prefill in step.prefills}
    assert len(set(numbers.values())) == 2
    bench.finish(step, ends=["a", "b"])
    for job in (second, first):
        (again,) = speak_again(bench, job).prefills
        assert again.session == numbers[job.owner]


def test_a_session_comes_back_to_its_last_slot() -> None:
    bench = Bench(num_slots=4)
    jobs = [bench.submit(name) for name in "abcd"]
    step = bench.next()
    slot_of = given(step)
    bench.finish(step, ends="abcd")
    for job in reversed(jobs):
        (prefill,) = speak_again(bench, job).prefills
        assert prefill.slot == slot_of[job.owner]


def test_a_newcomer_gets_the_slot_that_has_been_free_for_longest() -> None:
    """What the model keeps of a session between its segments lives longest that way."""
    bench = Bench(num_slots=3)
    for name in "abc":
        bench.submit(name)
    step = bench.next()
    slot_of = given(step)
    bench.finish(step, ends=["b"])
    bench.run(ends=["a"])
    bench.run(ends=["c"])
    for newcomer, former in zip("xyz", "bac", strict=True):
        bench.submit(newcomer)
        (prefill,) = bench.next().prefills
        assert prefill.slot == slot_of[former]


def test_a_slot_whose_session_is_over_is_given_away_before_one_whose_session_may_come_back() -> None:
    bench = Bench(num_slots=3)
    jobs = [bench.submit(name) for name in "abc"]
    step = bench.next()
    slot_of = given(step)
    bench.finish(step, ends="abc")
    bench.scheduler.close_job(jobs[2])
    bench.submit("new")
    (prefill,) = bench.next().prefills
    assert prefill.slot == slot_of["c"]


def test_a_session_whose_slot_another_has_had_since_is_like_any_other() -> None:
    bench = Bench(num_slots=2)
    job = bench.submit("a")
    slot_of = given(step := bench.next())
    bench.finish(step, ends=["a"])
    for name in "xy":  # x gets the other slot, and y that of a, which has been free for longer by then
        bench.submit(name)
        slot_of |= given(step := bench.next())
        bench.finish(step, ends=[name])
    assert slot_of["y"] == slot_of["a"] != slot_of["x"]
    assert given(speak_again(bench, job)) == {"a": slot_of["x"]}


def test_a_session_is_forgotten_once_when_it_is_over_and_after_its_release() -> None:
    bench = Bench()
    job = bench.submit("a")
    step = bench.next()
    (prefill,) = step.prefills
    bench.scheduler.close_job(job)
    bench.finish(step)
    step = bench.next()
    assert (step.releases, step.forgets) == ([prefill.slot], [prefill.session])
    bench.scheduler.close_job(job)
    with pytest.raises(Idle):
        bench.next()


def test_a_session_between_segments_is_not_forgotten() -> None:
    bench = Bench()
    job = bench.submit("a")
    bench.run(ends=["a"])
    step = bench.next()
    assert (step.releases, step.forgets) == ([0], [])
    bench.scheduler.close_job(job)
    step = bench.next()
    assert (step.releases, step.forgets) == ([], [1])


def test_a_session_that_was_never_prefilled_is_nothing_to_forget() -> None:
    bench = Bench()
    bench.scheduler.close_job(bench.submit("a"))
    with pytest.raises(Idle):
        bench.next()


def test_a_segment_may_bring_params_of_its_own() -> None:
    bench = Bench()
    job = bench.submit("a")
    step = bench.next()
    assert step.prefills[0].params == Params()
    bench.finish(step, ends=["a"])
    bench.scheduler.submit(job, Segment("a", 0), params=Params(chunk_frames=32))
    assert bench.next().prefills[0].params == Params(chunk_frames=32)
    assert owners(step) == ["a"]
