"""Who is stepped next: priorities, what is kept for listeners, credit. No threads."""

import pytest

from engines.scheduler import NEWCOMERS_BESIDE
from engines.types import Segment
from tests.stepping import Bench, Idle, admitted, owners


def test_a_segment_is_admitted_and_stepped_until_its_end() -> None:
    bench = Bench()
    bench.submit("a")
    step = bench.next()
    assert (admitted(step), owners(step), step.releases) == (["a"], ["a"], [])
    assert bench.finish(step) == ["a"]
    assert bench.run(ends=["a"]) == ["a"]
    assert bench.next().releases == step.slots
    with pytest.raises(Idle):
        bench.next()


def test_a_step_takes_all_runnable_slots_at_once() -> None:
    bench = Bench(num_slots=4)
    for name in "abc":
        bench.submit(name)
    assert bench.run() == ["a", "b", "c"]


def test_a_step_takes_no_more_than_the_models_width_the_most_pressing_first() -> None:
    bench = Bench(step_width=2)
    for name in "abc":
        bench.submit(name)
    assert bench.run() == ["a", "b"]
    assert bench.run() == ["c", "a"], "c hears nothing yet; a and b are equally dry, and keep their order"


def test_who_hears_nothing_yet_goes_before_who_is_about_to_run_dry() -> None:
    bench = Bench(step_width=1)
    bench.submit("early")
    assert bench.run() == ["early"]
    bench.now_s += 60  # long dry
    bench.submit("new")
    assert bench.run() == ["new"]
    assert bench.run() == ["early"]


def test_who_is_nearest_to_under_run_goes_first() -> None:
    bench = Bench(step_width=1, max_queued=10_000)
    for name, num_samples in (("full", 900), ("middle", 500), ("short", 200)):
        bench.submit(name)
        assert bench.run(num_samples) == [name]
    assert bench.run(400) == ["short"]  # 600 ms now
    assert bench.run(900) == ["middle"]
    assert bench.run(900) == ["short"]
    assert bench.run(900) == ["full"]


def test_what_was_made_long_ago_has_been_heard_by_now() -> None:
    bench = Bench(step_width=1, max_queued=10_000)
    bench.submit("old")
    assert bench.run(900) == ["old"]
    bench.now_s += 5
    bench.submit("fresh")
    assert bench.run(300) == ["fresh"]
    assert bench.run() == ["old"], "dry for four seconds, though more was made for it"


def test_a_listener_who_ran_dry_plays_what_comes_next_from_when_it_comes() -> None:
    bench = Bench(step_width=1, max_queued=10_000)
    bench.submit("late")
    assert bench.run(900) == ["late"]
    bench.now_s += 5
    assert bench.run(500) == ["late"]
    bench.submit("fresh")
    assert bench.run(200) == ["fresh"]
    assert bench.run() == ["fresh"], "200 ms in hand against 500"


def test_urgent_work_goes_like_first_audio() -> None:
    bench = Bench(step_width=1, max_queued=10_000)
    job = bench.submit("starving")
    assert bench.run(900, ends=["starving"]) == ["starving"]
    bench.submit("other")
    assert bench.run(100) == ["other"]
    bench.scheduler.submit(job, Segment("more", 0), is_urgent=True)
    assert bench.run() == ["starving"]


def test_paced_sessions_go_before_unpaced_ones_however_late_they_come() -> None:
    bench = Bench(step_width=1)
    bench.submit("file", is_paced=False)
    bench.submit("listener")
    assert bench.run(100) == ["listener"]
    assert bench.run(100) == ["listener"], "even with audio in hand"


def test_unpaced_sessions_are_served_in_order_of_arrival() -> None:
    bench = Bench(num_slots=3, step_width=1, max_queued=0)
    second_by_name = [bench.open(name, is_paced=False) for name in "ab"]
    for job in reversed(second_by_name):
        bench.scheduler.submit(job, Segment(job.owner, 0))
    assert [bench.run() for _ in range(3)] == [["a"]] * 3
    assert bench.run(ends=["a"]) == ["a"]
    assert bench.run() == ["b"]


def test_unpaced_work_leaves_one_slot_to_a_listener() -> None:
    bench = Bench(num_slots=3)
    for name in "abc":
        bench.submit(name, is_paced=False)
    assert bench.run() == ["a", "b"]
    bench.submit("listener")
    step = bench.next()
    assert admitted(step) == ["listener"]
    assert set(owners(step)) == {"a", "b", "listener"}
    bench.finish(step, ends=["a"])
    assert admitted(bench.next()) == [], "the last free slot is kept again"


def test_a_model_of_one_slot_serves_unpaced_work_too() -> None:
    bench = Bench(num_slots=1, num_prefills=1)
    bench.submit("file", is_paced=False)
    assert bench.run() == ["file"]


def test_unpaced_work_leaves_one_place_in_prefill_to_a_listener() -> None:
    bench = Bench(num_slots=8, num_prefills=2)
    for name in "ab":
        bench.submit(name, is_paced=False)
    step = bench.next()
    assert admitted(step) == ["a"]
    bench.finish(step, not_ready=["a"])
    bench.submit("listener")
    step = bench.next()
    assert admitted(step) == ["listener"]
    bench.finish(step, not_ready=["listener"])
    bench.scheduler.wake()
    bench.finish(bench.next())
    assert admitted(bench.next()) == ["b"]


def test_no_more_segments_are_in_prefill_than_the_model_allows() -> None:
    bench = Bench(num_slots=8, num_prefills=2)
    for name in "abc":
        bench.submit(name)
    step = bench.next()
    assert admitted(step) == ["a", "b"]
    bench.finish(step, not_ready=["a"])
    assert admitted(bench.next()) == ["c"], "b has given its first frame"


def test_a_row_that_the_model_is_readying_keeps_its_place_in_prefill_until_it_is_ready_or_has_gone() -> None:
    bench = Bench(num_slots=8, num_prefills=1)
    bench.submit("runs")
    bench.run()
    late = bench.submit("late")
    bench.finish(bench.next(), not_ready=["late"])
    bench.submit("next")
    for _ in range(3):
        step = bench.next()
        assert (admitted(step), owners(step)) == ([], ["runs"])
        bench.finish(step)
    bench.scheduler.close_job(late)
    assert admitted(bench.next()) == ["next"]


def test_a_row_that_advances_without_a_result_is_past_prefill() -> None:
    bench = Bench(num_slots=8, num_prefills=2)
    for name in "abc":
        bench.submit(name)
    step = bench.next()
    assert admitted(step) == ["a", "b"]
    bench.finish(step, silent=["a"], not_ready=["b"])
    assert admitted(bench.next()) == ["c"]


def test_newcomers_join_the_very_next_step_however_many_run() -> None:
    bench = Bench(num_slots=300, step_width=300, num_prefills=16, max_queued=100_000)
    for index in range(280):
        bench.submit(f"s{index}")
        bench.run()
    for index in range(NEWCOMERS_BESIDE):
        bench.submit(f"new{index}")
    step = bench.next()
    assert len(admitted(step)) == NEWCOMERS_BESIDE
    assert len(owners(step)) == 280 + NEWCOMERS_BESIDE


def test_a_crowd_joins_running_segments_a_few_a_step_and_an_idle_engine_at_once() -> None:
    crowd = [f"new{index}" for index in range(2 * NEWCOMERS_BESIDE + 1)]
    idle, busy = (Bench(num_slots=64, step_width=64, num_prefills=32) for _ in range(2))
    busy.submit("runs")
    busy.run()
    for name in crowd:
        idle.submit(name)
        busy.submit(name)
    assert admitted(idle.next()) == crowd
    taken: list[list[str]] = []
    for _ in range(3):
        step = busy.next()
        taken.append(admitted(step))
        assert "runs" in owners(step)
        busy.finish(step)
    assert taken == [crowd[:NEWCOMERS_BESIDE], crowd[NEWCOMERS_BESIDE : 2 * NEWCOMERS_BESIDE], crowd[-1:]]


def test_a_waiting_listener_is_admitted_before_waiting_unpaced_work() -> None:
    bench = Bench(num_slots=2)
    for name in "ab":
        bench.submit(name)
    bench.run()
    bench.submit("file", is_paced=False)
    bench.submit("listener")
    bench.run(ends=["a"])
    assert admitted(bench.next()) == ["listener"]


def test_a_session_over_its_credit_is_left_out_and_comes_back_when_it_has_read() -> None:
    bench = Bench(max_queued=250)
    slow, quick = bench.submit("slow"), bench.submit("quick")
    for _ in range(3):
        assert set(bench.run()) == {"slow", "quick"}
        bench.scheduler.consume(quick, 100)
    assert bench.run() == ["quick"]
    bench.scheduler.consume(slow, 50)
    assert set(bench.run()) == {"slow", "quick"}


def test_credit_counts_what_is_queued_and_not_what_was_made() -> None:
    bench = Bench(max_queued=250)
    job = bench.submit("keeps up")
    for _ in range(50):
        assert bench.run() == ["keeps up"]
        bench.scheduler.consume(job, 100)


def test_credit_does_not_hold_unpaced_work() -> None:
    bench = Bench(max_queued=250)
    bench.submit("file", is_paced=False)
    for _ in range(50):
        assert bench.run() == ["file"]


def test_nothing_is_stepped_while_all_readers_rest() -> None:
    bench = Bench(max_queued=50)
    for name in "ab":
        bench.submit(name)
    bench.run()
    with pytest.raises(Idle):
        bench.next()


def test_readers_that_have_stopped_do_not_keep_all_slots() -> None:
    bench = Bench(num_slots=2, max_queued=50)
    for name in "ab":
        bench.submit(name)
    bench.run()
    bench.submit("waits")
    (chosen,) = bench.run()
    assert bench.run(ends=[chosen]) == [chosen], "one of them is made to its end, not all in turn"
    step = bench.next()
    assert admitted(step) == ["waits"]
    assert owners(step) == ["waits"]


def test_a_held_up_segment_rests_while_a_slot_is_free() -> None:
    bench = Bench(num_slots=3, max_queued=50)
    for name in "ab":
        bench.submit(name)
    bench.run()
    bench.submit("waits")
    assert bench.run() == ["waits"]


def test_a_stopped_reader_gets_no_slot_for_its_next_segment_while_a_listener_waits() -> None:
    """Else each segment of the listener is paid for with a whole segment that nobody reads, and the queue grows."""
    bench = Bench(num_slots=1, max_queued=50)
    stopped, listener = bench.submit("stopped"), bench.submit("listener")
    assert bench.run(ends=["stopped"]) == ["stopped"]
    assert bench.run(ends=["listener"]) == ["listener"]
    bench.scheduler.submit(stopped, Segment("stopped", 0))
    for _ in range(3):
        bench.now_s += 10
        bench.scheduler.consume(listener, 100)
        bench.scheduler.submit(listener, Segment("listener", 0))
        assert bench.run(ends=["listener"]) == ["listener"]
    assert stopped.num_queued == 100


def test_who_has_enough_to_hear_rests_while_a_listener_waits_for_the_first_sound() -> None:
    bench = Bench(num_slots=5, step_width=4, max_queued=10_000)
    for name, num_samples in (("full", 1500), ("short", 600)):
        bench.submit(name)
        assert bench.run(num_samples) == [name]
    bench.submit("batch", is_paced=False)
    assert "batch" in bench.run()
    bench.submit("new")
    step = bench.next()
    assert owners(step) == ["new", "short"]
    bench.finish(step, not_ready=["new"])
    assert owners(bench.next()) == ["short"], "new is with the model's pool"
    bench.scheduler.wake()
    assert bench.run() == ["new", "short"]
    assert sorted(bench.run()) == ["batch", "full", "new", "short"], "new is heard: everybody goes on"


def test_nobody_rests_for_a_newcomer_where_a_step_takes_all_slots() -> None:
    """There is nearly always a newcomer among hundreds, and a row more costs a batch next to nothing."""
    bench = Bench(num_slots=4, step_width=4, max_queued=10_000)
    bench.submit("full")
    bench.submit("batch", is_paced=False)
    bench.run(1500)
    for newcomer in ("new", "newer", "newest"):
        job = bench.submit(newcomer)
        step = bench.next()
        assert {"full", "batch", newcomer} == set(owners(step))
        bench.finish(step, not_ready=[newcomer])
        assert {"full", "batch"} == set(bench.run())
        bench.scheduler.close_job(job)


def test_who_rests_for_a_newcomer_goes_on_when_that_one_has_gone() -> None:
    bench = Bench(num_slots=4, step_width=3, max_queued=10_000)
    bench.submit("full")
    assert bench.run(1500) == ["full"]
    new = bench.submit("new")
    bench.finish(bench.next(), not_ready=["new"])
    with pytest.raises(Idle):
        bench.next()
    bench.scheduler.close_job(new)
    assert owners(bench.next()) == ["full"]
