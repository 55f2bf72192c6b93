"""Slots, the line, pieces of prompts, who has to leave, and that nothing is left of anybody."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.llm.jobs import Copy, Job, Step
from engines.llm.prefill_budget import MIN_PIECE_TOKENS, PrefillBudget
from engines.llm.scheduler import Scheduler
from tests.llm.stepping import Bench, Idle, owners, pieces

LONG = list(range(200))

# -- slots and the line ------------------------------------------------------------------------------------------------


def test_everybody_who_writes_is_in_every_step() -> None:
    bench = Bench()
    for name in "abc":
        bench.submit(name)
    assert bench.run() == bench.run() == ["a", "b", "c"]


def test_whose_chunk_is_over_is_left_out_until_the_next_is_submitted() -> None:
    bench = Bench()
    a = bench.submit("a")
    bench.submit("b")
    bench.run(over=["a"])
    assert bench.run() == ["b"]
    bench.scheduler.submit(a)
    assert bench.run() == ["a", "b"]


def test_a_pause_costs_no_more_than_the_token_that_was_drawn_last() -> None:
    bench = Bench()
    a = bench.submit("a", LONG[:50])
    bench.run(over=["a"])
    bench.scheduler.submit(a)
    assert pieces(bench.next()) == {"a": 1}


def test_the_device_waits_while_nobody_writes() -> None:
    bench = Bench()
    bench.open("a")
    with pytest.raises(Idle):
        bench.next()
    bench.submit("b")
    bench.run(over=["b"])
    with pytest.raises(Idle):
        bench.next()


def test_who_finds_all_slots_running_waits_in_line_first_come_first_served() -> None:
    bench = Bench(num_slots=2)
    for name in "abcd":
        bench.submit(name)
    assert bench.run() == ["a", "b"]
    assert bench.scheduler.num_running == 4
    bench.run(over=["b"])
    assert bench.run() == ["a", "c"]


def test_who_leaves_the_line_gets_no_slot() -> None:
    bench = Bench(num_slots=1)
    bench.submit("a")
    b = bench.submit("b")
    bench.submit("c")
    bench.run()
    bench.scheduler.close_job(b)
    bench.run(over=["a"])
    assert bench.run() == ["c"]


def test_the_least_recently_used_paused_session_gives_its_slot_and_comes_back_without_prefill() -> None:
    bench = Bench(num_slots=2)
    a, b = bench.submit("a", LONG[:50]), bench.submit("b", LONG[50:90])
    bench.run(over=["a"])
    bench.run(over=["b"])
    bench.submit("c")
    assert bench.run() == ["c"]
    assert (a.slot, set(bench.aside)) == (None, {"a"})
    bench.run(over=["c"])
    bench.scheduler.submit(a)
    step = bench.next()
    assert pieces(step) == {"a": 1}
    assert set(bench.aside) == {"a", "b"}
    assert bench.evaluate(step)
    assert b.slot is None
    assert set(bench.aside) == {"b"}


def test_who_is_preempted_before_anything_was_evaluated_has_nothing_to_save() -> None:
    bench = Bench(num_slots=1)
    a = bench.submit("a")
    bench.next()  # and it fails for lack of cells, say
    bench.scheduler.stop(a)
    bench.submit("b")
    step = bench.next()
    assert (step.stops, owners(step), step.saves) == ([a], ["b"], [])


# -- stopping and closing ----------------------------------------------------------------------------------------------


def test_a_client_stops_its_chunk_with_the_next_step() -> None:
    bench = Bench()
    a = bench.submit("a")
    bench.submit("b")
    step = bench.next()
    bench.scheduler.stop(a)
    assert bench.evaluate(step)
    bench.scheduler.finish_step([])
    step = bench.next()
    assert (step.stops, owners(step)) == ([a], ["b"])


def test_a_client_stops_a_chunk_that_waits_in_line() -> None:
    bench = Bench(num_slots=1)
    bench.submit("a")
    b = bench.submit("b")
    bench.run()
    bench.scheduler.stop(b)
    assert bench.next().stops == [b]
    assert bench.scheduler.num_running == 1


def test_a_stop_that_comes_too_late_stops_no_later_chunk() -> None:
    bench = Bench()
    a = bench.submit("a")
    step = bench.next()
    bench.scheduler.stop(a)
    assert bench.evaluate(step)
    bench.scheduler.finish_step([a])
    bench.scheduler.stop(a)
    bench.scheduler.submit(a)
    step = bench.next()
    assert (step.stops, owners(step)) == ([], ["a"])


def test_closing_frees_the_slot_within_one_step() -> None:
    bench = Bench()
    a = bench.submit("a")
    bench.submit("b")
    step = bench.next()
    bench.scheduler.close_job(a)
    assert bench.scheduler.num_busy_slots == 2, "the device still holds what it has"
    assert bench.evaluate(step)
    bench.scheduler.finish_step([])
    assert bench.run() == ["b"]
    assert bench.scheduler.num_busy_slots == 1
    assert (bench.held[0], bench.forgotten) == ([], ["a"])


def test_closing_a_paused_session_wakes_the_device_to_free_it() -> None:
    bench = Bench()
    a = bench.submit("a")
    bench.run(over=["a"])
    bench.scheduler.close_job(a)
    step = bench.next()
    assert (step.releases, step.forgets, step.rows) == ([0], [a], [])
    assert bench.scheduler.num_busy_slots == 0


def test_closing_a_preempted_session_forgets_what_was_saved() -> None:
    bench = Bench(num_slots=1)
    a = bench.submit("a")
    bench.run(over=["a"])
    bench.submit("b")
    bench.run()
    assert set(bench.aside) == {"a"}
    bench.scheduler.close_job(a)
    bench.run()
    assert not bench.aside


def test_a_closed_session_gets_nothing_more() -> None:
    bench = Bench()
    a = bench.open("a")
    bench.scheduler.close_job(a)
    bench.scheduler.close_job(a)
    bench.scheduler.submit(a)
    bench.scheduler.stop(a)
    step = bench.next()
    assert (step.forgets, step.rows, step.stops) == ([a], [], [])


def test_a_session_has_one_chunk_at_a_time() -> None:
    bench = Bench()
    a = bench.submit("a")
    with pytest.raises(AssertionError):
        bench.scheduler.submit(a)


# -- prompts -----------------------------------------------------------------------------------------------------------


def test_a_prompt_alone_is_read_in_pieces_of_the_batch() -> None:
    bench = Bench(batch_size=64)
    bench.submit("a", LONG)
    sizes: list[int] = []
    for _ in range(4):
        step = bench.next()
        sizes.append(pieces(step)["a"])
        bench.evaluate(step)
    assert sizes == [64, 64, 64, 8]
    assert bench.run() == ["a"]


def test_beside_writers_a_prompt_is_read_in_pieces_of_the_budget_and_starves_nobody() -> None:
    bench = Bench()
    bench.submit("a")
    bench.submit("b")
    bench.run()
    bench.submit("p", LONG)
    num_steps = 0
    while "p" not in owners(step := bench.next()):
        assert owners(step) == ["a", "b"]
        assert pieces(step)["p"] == bench.budget.num_tokens
        bench.evaluate(step)
        num_steps += 1
        bench.budget.observe(20.0 + 2 * pieces(step)["p"], pieces(step)["p"])
    assert MIN_PIECE_TOKENS * num_steps < len(LONG), "pieces have grown to what fits"


def test_where_somebody_may_go_on_any_moment_a_prompt_is_read_in_pieces_of_the_budget() -> None:
    bench = Bench(batch_size=64)
    bench.submit("paused")
    bench.run(over=["paused"])
    bench.submit("p", LONG)
    assert pieces(bench.next()) == {"p": bench.budget.num_tokens}


def test_who_is_over_waits_for_nothing() -> None:
    bench = Bench(batch_size=64)
    remembered(bench, "a", LONG[:40])
    bench.submit("p", [7, *LONG])
    assert pieces(bench.next()) == {"p": 64}


def test_the_shortest_prompt_is_read_first() -> None:
    bench = Bench(batch_size=64, num_slots=5)
    bench.submit("a")
    bench.run()
    for name, num_tokens in (("p", 40), ("q", 30), ("r", 3)):
        bench.submit(name, [*name.encode(), *LONG[:num_tokens]])
    assert pieces(bench.next()) == {"a": 1, "r": 4, "p": 4}


def test_of_several_prompts_the_first_that_came_gets_the_budget() -> None:
    bench = Bench()
    bench.submit("a")
    bench.run()
    bench.submit("p", LONG[:12])
    bench.submit("q", [7, *LONG[:12]])
    assert pieces(bench.next()) == {"a": 1, "p": 8}


def test_what_a_prompt_leaves_of_the_budget_is_the_next_ones() -> None:
    bench = Bench()
    bench.submit("a")
    bench.run()
    bench.submit("p", LONG[:5])
    bench.submit("q", [7, *LONG[:12]])
    assert pieces(bench.next()) == {"a": 1, "p": 5, "q": 3}


def test_a_question_does_not_wait_for_a_book_and_a_book_is_read_among_questions() -> None:
    bench = Bench(batch_size=64)
    bench.submit("a")
    bench.run()
    bench.submit("book", LONG[:65])
    bench.submit("question", [7, *LONG[:9]])
    assert pieces(bench.next()) == {"a": 1, "question": 4, "book": 4}


def test_prompts_that_nobody_writes_beside_share_the_batch() -> None:
    bench = Bench(batch_size=64)
    bench.submit("p", LONG[:50])
    bench.submit("q", LONG[100:150])
    assert pieces(bench.next()) == {"p": 50, "q": 14}


def test_a_prompt_begins_with_what_another_session_has_evaluated() -> None:
    bench = Bench()
    bench.submit("a", LONG[:50])
    bench.run()
    b = bench.submit("b", [*LONG[:40], 777, 778])
    step = bench.next()
    assert step.copies == [Copy(0, 1, 40)]
    assert (pieces(step)["b"], b.num_cached) == (2, 40)
    assert bench.evaluate(step)


def test_the_last_token_of_a_prompt_is_always_evaluated() -> None:
    bench = Bench()
    bench.submit("a", LONG[:50])
    bench.run()
    b = bench.submit("b", LONG[:50])
    assert pieces(bench.next())["b"] == 1
    assert b.num_cached == 49


def test_the_longest_of_several_common_beginnings_is_taken() -> None:
    bench = Bench()
    for name, num in (("a", 20), ("b", 40), ("c", 30)):
        bench.submit(name, [*LONG[:num], ord(name)])
        bench.run(over=[name])
    bench.submit("d", LONG[:60])
    assert bench.next().copies == [Copy(1, 3, 40)]


def test_a_few_common_tokens_are_not_worth_it() -> None:
    bench = Bench()
    bench.submit("a", LONG[:15])
    bench.run()
    b = bench.submit("b", LONG[:40])
    assert bench.next().copies == []
    assert b.num_cached == 0


def test_nothing_is_copied_of_a_session_that_is_not_back_yet() -> None:
    bench = Bench(num_slots=2)
    a = bench.submit("a", LONG[:50])
    bench.submit("b")
    bench.run(over=["a", "b"])
    for name in "cd":  # push both out
        bench.submit(name)
    bench.run(over=["c", "d"])
    bench.scheduler.submit(a)
    bench.submit("e", LONG[:60])
    step = bench.next()
    assert step.copies == []
    assert bench.evaluate(step)


# -- what is remembered ------------------------------------------------------------------------------------------------


def remembered(bench: Bench, name: str, tokens: list[int]) -> None:
    """A session that was there and is over."""
    job = bench.submit(name, tokens, is_remembered=True)
    assert bench.run(over=[name])[-1] == name
    bench.scheduler.close_job(job)
    bench.next()


def test_a_session_that_goes_on_from_a_remembered_one_gets_its_slot_and_its_tokens() -> None:
    bench = Bench()
    remembered(bench, "a", LONG[:50])
    b = bench.submit("b", LONG[:60])
    step = bench.next()
    assert (b.slot, b.num_cached, pieces(step), step.copies) == (0, 50, {"b": 10}, [])
    assert bench.evaluate(step)


def test_a_remembered_session_that_only_begins_alike_is_copied_from_and_stays() -> None:
    bench = Bench()
    remembered(bench, "a", LONG[:60])
    b = bench.submit("b", [*LONG[:40], 777])
    step = bench.next()
    assert (step.copies, b.num_cached) == ([Copy(0, 1, 40)], 40)
    assert len(bench.held[0]) == 60


def test_what_is_remembered_is_dropped_before_anybody_is_preempted() -> None:
    bench = Bench(num_slots=3)
    bench.submit("a")
    bench.run(over=["a"])
    remembered(bench, "b", LONG[20:40])
    remembered(bench, "c", LONG[40:60])
    bench.submit("d", [7, 8])
    assert bench.run() == ["d"]
    assert bench.held[2], "the other remembered one was used later"
    bench.submit("e", [8, 9])
    assert bench.run() == ["d", "e"]
    assert not bench.aside
    bench.submit("f", [9, 10])
    bench.run()
    assert set(bench.aside) == {"a"}


def test_a_slot_that_is_taken_from_a_remembered_session_gives_what_is_common() -> None:
    bench = Bench(num_slots=1)
    remembered(bench, "a", LONG[:60])
    b = bench.submit("b", [*LONG[:40], 777])
    bench.run()
    assert b.num_cached == 40


def test_who_was_preempted_takes_a_remembered_sessions_slot_but_nothing_of_its_contents() -> None:
    bench = Bench(num_slots=1)
    a = bench.submit("a", LONG[:50])
    bench.run(over=["a"])
    remembered(bench, "b", [*LONG[:40], 777])
    bench.scheduler.submit(a)
    assert bench.run() == ["a"]


def test_who_comes_back_takes_no_remembered_sessions_slot_while_another_is_free() -> None:
    bench = Bench(num_slots=2)
    a = bench.submit("a", LONG[:50])
    bench.run(over=["a"])
    b, c = bench.submit("b", [7, 8]), bench.submit("c", LONG[:50], is_remembered=True)
    bench.run(over=["b", "c"])
    assert set(bench.aside) == {"a"}
    bench.scheduler.close_job(b)
    bench.scheduler.close_job(c)
    bench.scheduler.submit(a)
    bench.run()
    assert sorted(len(held) for held in bench.held) == [50, 51]


def test_no_more_is_remembered_than_wanted_and_the_oldest_goes_first() -> None:
    bench = Bench(remembered=2)
    for index, name in enumerate("abc"):
        remembered(bench, name, LONG[20 * index : 20 * index + 20])
    assert [bool(held) for held in bench.held] == [False, True, True, False]
    assert bench.scheduler.num_busy_slots == 0


def test_nothing_is_remembered_of_a_session_that_is_closed_before_it_is_back() -> None:
    bench = Bench(num_slots=2, num_cells=45)
    a = bench.submit("a", LONG[:40], is_remembered=True)
    bench.run(over=["a"])
    bench.submit("b", LONG[50:58])
    c = bench.submit("c", LONG[70:78])
    bench.run(over=["c"])
    bench.scheduler.close_job(c)
    bench.scheduler.submit(a)
    assert not bench.evaluate(bench.next()), "a does not fit beside b"
    bench.scheduler.close_job(a)
    d = bench.submit("d", LONG[:50])
    bench.next()
    assert d.num_cached == 0


def test_nothing_is_remembered_that_is_too_short_to_be_of_use() -> None:
    bench = Bench()
    remembered(bench, "a", LONG[:10])
    assert not any(bench.held)


def test_a_session_that_is_closed_in_a_step_is_remembered_with_what_the_step_adds() -> None:
    bench = Bench()
    a = bench.submit("a", LONG[:50], is_remembered=True)
    bench.run()
    step = bench.next()
    bench.scheduler.close_job(a)
    assert bench.evaluate(step)
    bench.scheduler.finish_step([])
    b = bench.submit("b", a.sequence.tokens)
    bench.run()
    assert b.num_cached == 51


# -- other tokens ------------------------------------------------------------------------------------------------------


def test_a_sequence_that_is_rewritten_is_evaluated_from_the_first_difference() -> None:
    bench = Bench()
    a = bench.submit("a", LONG[:50])
    bench.run(over=["a"])
    bench.scheduler.rewrite(a, [*LONG[:30], 777, 778])
    bench.scheduler.submit(a)
    step = bench.next()
    assert pieces(step) == {"a": 2}
    assert bench.evaluate(step)


def test_a_sequence_that_is_rewritten_while_it_is_aside_comes_back_and_is_cut() -> None:
    bench = Bench(num_slots=1)
    a = bench.submit("a", LONG[:50])
    bench.run(over=["a"])
    bench.submit("b")
    bench.run(over=["b"])
    bench.scheduler.rewrite(a, [*LONG[:30], 777])
    bench.scheduler.submit(a)
    assert bench.run() == ["a"]


# -- cells -------------------------------------------------------------------------------------------------------------


def relieved(bench: Bench) -> Job[str] | None:
    """The step that finds no room, and who has to end."""
    while bench.evaluate(bench.next()):
        pass
    return bench.scheduler.relieve()


def test_when_the_cells_are_full_the_oldest_remembered_goes_then_the_oldest_paused() -> None:
    bench = Bench(num_cells=100)
    a = bench.submit("a", LONG[:20])
    bench.run(over=["a"])
    remembered(bench, "b", LONG[20:40])
    remembered(bench, "c", LONG[40:60])
    bench.submit("d", LONG[60:120])
    gone: list[str] = []
    for _ in range(3):
        assert relieved(bench) is None
        bench.evaluate(bench.next())
        gone.append("".join(name for name, held in zip("abc", bench.held, strict=False) if not held))
    assert gone == ["b", "bc", "abc"]
    assert a.is_aside


def test_who_was_admitted_last_waits_until_somebody_stops() -> None:
    bench = Bench(num_cells=60)
    bench.submit("a", LONG[:20])
    bench.submit("b", LONG[20:40])
    bench.run()
    bench.submit("c", LONG[60:100])
    assert relieved(bench) is None
    for _ in range(3):
        assert bench.run() == ["a", "b"]
    assert bench.scheduler.num_running == 3
    assert set(bench.aside) == {"c"}
    bench.run(over=["a"])
    assert relieved(bench) is None, "c does not fit beside both"
    assert bench.run() == ["b"]
    assert set(bench.aside) == {"a"}, "it is paused, and c goes on"


def test_who_fills_the_cells_alone_has_to_end() -> None:
    bench = Bench(num_cells=20)
    a = bench.submit("a", LONG[:20])
    bench.run()
    assert relieved(bench) is a
    assert bench.scheduler.num_running == 0


def test_there_is_no_need_to_relieve_where_somebody_has_just_left() -> None:
    bench = Bench(num_cells=45)
    a = bench.submit("a", LONG[:20])
    bench.submit("b", LONG[20:40])
    bench.run()
    bench.submit("c", LONG[60:68])
    step = bench.next()
    assert not bench.evaluate(step)
    bench.scheduler.close_job(a)
    assert bench.scheduler.relieve() is None
    assert bench.run() == ["b", "c"]
    assert not bench.aside


def test_who_does_not_come_back_for_lack_of_cells_stays_aside_until_somebody_stops() -> None:
    bench = Bench(num_slots=2, num_cells=55)
    a = bench.submit("a", LONG[:40])
    bench.run(over=["a"])
    bench.submit("b", LONG[50:58])
    c = bench.submit("c", LONG[70:78])
    bench.run(over=["c"])
    bench.scheduler.close_job(c)
    bench.scheduler.submit(a)
    assert relieved(bench) is None
    assert bench.run() == ["b"]
    assert set(bench.aside) == {"a"}
    bench.run(over=["b"])
    assert relieved(bench) is None
    assert bench.run() == ["a"]


@pytest.mark.slow
@settings(max_examples=150)
@given(st.randoms(use_true_random=False), st.integers(1, 4), st.integers(60, 200), st.integers(0, 3), st.booleans())
def test_whatever_comes_and_goes_everybody_gets_on_and_nothing_is_left(
    rng: random.Random, num_slots: int, num_cells: int, num_remembered: int, reads_aside: bool
) -> None:
    """The bench checks every row against what its slot holds, so that nothing of one session gets into another."""
    bench = Bench(num_slots, num_cells=num_cells, batch_size=16, remembered=num_remembered, reads_aside=reads_aside)
    scheduler = bench.scheduler
    jobs: list[Job[str]] = []
    writing: set[Job[str]] = set()
    gone: set[Job[str]] = set()

    def disturb() -> None:
        for _ in range(rng.randrange(3)):
            idle = [job for job in jobs if job not in writing]
            match rng.randrange(6):
                case 0 | 1:
                    start = rng.choice([0, 0, 50])
                    tokens = [*LONG[start : start + rng.randint(1, 40)], *rng.choices(LONG, k=rng.randint(0, 9))]
                    jobs.append(bench.submit(f"s{len(jobs) + len(gone)}", tokens, is_remembered=rng.random() < 0.5))
                    writing.add(jobs[-1])
                case 2 if idle:
                    job = rng.choice(idle)
                    scheduler.submit(job)
                    writing.add(job)
                case 3 if jobs:
                    job = rng.choice(jobs)
                    scheduler.close_job(job)
                    jobs.remove(job)
                    writing.discard(job)
                    gone.add(job)
                case 4 if writing:
                    scheduler.stop(rng.choice(sorted(writing, key=lambda job: job.owner)))
                case 5 if idle:
                    job = rng.choice(idle)
                    kept = job.sequence.tokens[: rng.randint(1, len(job.sequence.tokens))]
                    scheduler.rewrite(job, [*kept, rng.choice(LONG)])
                case _:
                    pass

    def take_a_step(*, is_last: bool = False) -> None:
        step = bench.next()
        take(step, is_last=is_last)
        if step.reading is not None:
            bench.read(step.reading, lambda: breathe(is_last=is_last))

    def breathe(*, is_last: bool) -> None:
        """In the middle of a reading, whatever there is to do."""
        for _ in range(rng.randrange(4)):
            if not is_last:
                disturb()
            if (step := bench.poll()) is not None:
                assert step.reading is None, "one prompt at a time is read aside"
                take(step, is_last=is_last)

    def take(step: Step[str], *, is_last: bool) -> None:
        writing.difference_update(step.stops)
        if not is_last:
            disturb()
        if bench.evaluate(step):
            over = [row.job for row in step.rows if row.run.draws and rng.random() < 0.2]
            scheduler.finish_step(over)
        else:
            alone = scheduler.relieve()
            over = [alone] if alone is not None else []
            assert not over or len(over[0].sequence.tokens) > num_cells or over[0] not in gone
        writing.difference_update(over)
        assert scheduler.num_running == len(writing)

    for _ in range(40):
        disturb()
        try:
            take_a_step()
        except Idle:
            assert not writing, "who wants to write is not left waiting"
    for _ in range(2_000):  # left alone, everybody's chunk comes to its end
        if not writing:
            break
        take_a_step(is_last=True)
    assert not writing
    for job in jobs:
        scheduler.close_job(job)
    with suppress(Idle):
        bench.next()
    assert scheduler.num_busy_slots == scheduler.num_running == 0
    assert not bench.aside
    assert sum(bool(held) for held in bench.held) <= num_remembered
    assert len(bench.forgotten) == len(set(bench.forgotten)) == len(jobs) + len(gone)


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


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda scheduler, job: scheduler.submit(job), id="submit"),
        pytest.param(lambda scheduler, job: scheduler.close_job(job), id="close_job"),
        pytest.param(lambda scheduler, _: scheduler.close(), id="close"),
    ],
)
def test_the_waiting_device_goes_on_when_there_is_work(call: Callable[[Scheduler[str], Job[str]], None]) -> None:
    scheduler = Scheduler[str](1, 8, PrefillBudget(100), num_remembered=0)
    watched = scheduler._condition = _Watched()
    job = scheduler.open_job("a", [1])
    steps: list[object] = []
    device = threading.Thread(target=lambda: steps.append(scheduler.next_step()), daemon=True)
    device.start()
    assert watched.is_waited_on.wait(5), "next_step waits on the condition while there is nothing to do"
    assert not steps
    call(scheduler, job)
    device.join(5)
    assert len(steps) == 1
