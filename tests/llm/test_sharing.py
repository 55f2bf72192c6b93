"""Sessions beside each other: steps, slots, cells, what they share and what is remembered of them."""

import asyncio
import math
from collections.abc import Sequence

import pytest

from engines.fake import Gate
from engines.llm.engine import TextEngine, TextLimits
from engines.llm.fake import FakeText, words_of
from engines.llm.model import Run
from engines.llm.session import TextSession
from engines.llm.types import Message, Pause
from tests.llm.running import (
    ALL,
    GREEDY,
    SENTENCE,
    allow_steps,
    batches,
    chunk,
    chunks,
    num_evaluated,
    opened,
    running,
    until_idle,
    user,
    written,
)
from tests.running import until

SYSTEM = Message("system", "You are a fox that answers " + "very " * 20 + "briefly.")
STORY = words_of("This story has no end" + " and no end" * 60 + ".")


def num_tokens(model: FakeText, *messages: Message) -> int:
    return len(model.tokenise(model.render(messages)))


def story(_: str) -> Sequence[str | bytes]:
    return STORY


# -- steps -------------------------------------------------------------------------------------------------------------


async def test_one_step_has_a_token_of_everybody_who_writes() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        sessions = [await opened(engine, f"number {num}") for num in range(4)]
        for session in sessions:
            session.write(ALL)
        await asyncio.to_thread(gate.wait_held)
        gate.allow(math.inf)
        await until(lambda: {0: 1, 1: 1, 2: 1, 3: 1} in batches(model), "all four are in a step")


class Ticking(FakeText):
    """A step takes 10 ms, and 2 ms more for each token of a prompt, on a clock of its own."""

    now_s = 0.0

    def decode(self, runs: Sequence[Run]) -> bool:
        num_prompt = sum(len(run.tokens) for run in runs if len(run.tokens) > 1)
        self.now_s += 0.010 + 0.002 * num_prompt
        return super().decode(runs)


@pytest.mark.parametrize(("step_ms", "largest"), [(30, 10), (60, 25), (130, 60)])
async def test_a_long_prompt_beside_writers_gets_on_by_pieces_that_fit_a_step(step_ms: float, largest: int) -> None:
    gate = Gate()
    model = Ticking(story, gate=gate)
    engine = TextEngine(lambda: model, limits=TextLimits(step_ms=step_ms), clock=lambda: model.now_s)
    engine.start()
    await engine.wait_ready()
    writers = [await opened(engine, f"number {num}") for num in range(2)]
    for session in writers:
        session.write(ALL)
    await allow_steps(gate, model, 10)
    await asyncio.to_thread(gate.wait_held)
    reader = await opened(engine, "word " * 300)
    reading = asyncio.ensure_future(chunk(reader, Pause(max_tokens=1)))
    await asyncio.sleep(0)
    gate.allow(math.inf)
    await reading
    during = [batch for batch in batches(model) if 2 in batch]
    assert all(batch[0] == batch[1] == 1 for batch in during), "every step has a token of every writer"
    pieces = [batch[2] for batch in during]
    assert sum(pieces) == reader.usage.num_prompt
    assert max(pieces) <= largest
    assert max(pieces) >= 0.8 * largest, "and they grow to what fits"
    await engine.close()


async def test_a_prompt_alone_is_read_in_pieces_of_the_batch_whatever_the_clock_says() -> None:
    async with running(limits=TextLimits(step_ms=0.001)) as (engine, model):
        for _ in range(2):
            num_steps = len(model.batches)
            async with await opened(engine, "word " * 150) as session:
                await chunk(session, Pause(max_tokens=1))
            await until_idle(engine, model)
            num_prompt = session.usage.num_prompt
            assert [batch[0] for batch in batches(model)[num_steps:]] == [64, 64, num_prompt - 128]


# -- slots -------------------------------------------------------------------------------------------------------------


async def test_sessions_that_take_turns_in_too_few_slots_write_what_they_would_alone() -> None:
    async with running(num_slots=2) as (engine, model):
        sessions = [await opened(engine, f"number {num}") for num in range(6)]
        while not all(session.is_done for session in sessions):
            for session in sessions:
                await chunk(session, Pause(max_tokens=2))
        assert [session.text for session in sessions] == [model.answer(user(f"number {num}")) for num in range(6)]
        num_prompts = sum(session.usage.num_prompt for session in sessions)
        num_written = sum(session.usage.num_written for session in sessions)
        assert num_evaluated(model) == num_prompts + num_written, "nothing was evaluated twice"
        for session in sessions:
            session.close()
        await until_idle(engine, model)


async def test_who_waits_for_a_slot_gets_it_when_a_chunk_ends() -> None:
    async with running(num_slots=1) as (engine, model):
        texts = await asyncio.gather(*(written(engine, f"number {num}", [SENTENCE]) for num in range(4)))
        assert texts == [model.answer(user(f"number {num}")) for num in range(4)]
        await until_idle(engine, model)


# -- cells -------------------------------------------------------------------------------------------------------------


async def test_running_sessions_that_fill_the_cells_wait_for_each_other_and_lose_nothing() -> None:
    async with running(num_slots=4, num_cells=100) as (engine, model):
        texts = await asyncio.gather(*(written(engine, f"number {num}") for num in range(4)))
        assert texts == [model.answer(user(f"number {num}")) for num in range(4)]
        await until_idle(engine, model)


async def test_an_answer_that_fills_the_cells_alone_ends_with_max_tokens() -> None:
    class Promises(FakeText):
        """More than it has."""

        context_length = 1_000

    async with running(Promises, script=story, num_cells=60) as (engine, model):
        model.context_length = 1_000
        async with await opened(engine) as session:
            _, end = await chunk(session)
            assert (end.reason, end.is_done) == ("max_tokens", True)
            assert session.usage.num_prompt + end.num_tokens == 61, "the last token has nobody to read it"
        assert await written(engine, max_total_tokens=3) == "".join(STORY[:3])
        await until_idle(engine, model)


async def test_who_is_paused_makes_room_and_comes_back_with_all_it_had() -> None:
    async with running(num_cells=100) as (engine, model):
        paused = [await opened(engine, f"number {num}") for num in range(3)]
        for session in paused:
            await chunk(session, Pause(max_tokens=6))
        async with await opened(engine, "word " * 70) as large:
            await chunks(large)
        assert engine._device.require().cache.num_aside_bytes > 0
        for session in paused:
            await chunks(session)
        assert [session.text for session in paused] == [model.answer(user(f"number {num}")) for num in range(3)]


# -- what is shared ----------------------------------------------------------------------------------------------------


async def test_two_sessions_with_a_common_prompt_share_its_cells() -> None:
    async with running() as (engine, model):
        first = await engine.open_session([SYSTEM, user("a fox")], sampling=GREEDY)
        await chunk(first, Pause(max_tokens=1))
        num_used, num_done = engine.num_used_cells, num_evaluated(model)
        second = await engine.open_session([SYSTEM, user("a hen")], sampling=GREEDY)
        await chunk(second, Pause(max_tokens=1))
        shared = num_tokens(model, SYSTEM) - len(model.tokenise("<assistant>"))
        assert second.usage.num_cached >= shared
        assert num_evaluated(model) - num_done == second.usage.num_prompt - second.usage.num_cached
        assert engine.num_used_cells - num_used == second.usage.num_prompt - second.usage.num_cached
        assert engine.num_used_cells == model.num_used_cells
        await chunks(first)
        await chunks(second)
        assert second.text == model.answer(SYSTEM, user("a hen"))
        first.close()
        second.close()
        await until_idle(engine, model)


async def test_what_is_shared_outlives_whoever_evaluated_it() -> None:
    async with running() as (engine, model):
        first = await engine.open_session([SYSTEM, user("a fox")], sampling=GREEDY)
        await chunk(first, Pause(max_tokens=1))
        second = await engine.open_session([SYSTEM, user("a hen")], sampling=GREEDY)
        await chunk(second, Pause(max_tokens=1))
        first.close()
        await chunks(second)
        assert second.text == model.answer(SYSTEM, user("a hen"))
        second.close()
        await until_idle(engine, model)


# -- what is remembered ------------------------------------------------------------------------------------------------


async def asked(engine: TextEngine, *messages: Message) -> TextSession:
    """A session that is over, and remembered."""
    async with await engine.open_session(messages, sampling=GREEDY, is_remembered=True) as session:
        await chunks(session)
    return session


async def test_a_second_turn_of_a_remembered_conversation_evaluates_only_what_is_new() -> None:
    async with running() as (engine, model):
        turns = [user("a fox")]
        first = await asked(engine, *turns)
        await until(lambda: engine.num_busy_slots == 0, "it is over")
        before = num_evaluated(model)
        turns += [Message("assistant", first.text), user("a hen")]
        second = await asked(engine, *turns)
        assert second.text == model.answer(*turns)
        num_read = first.usage.num_prompt + first.usage.num_written
        assert second.usage.num_cached == num_read
        assert num_evaluated(model) - before == num_tokens(model, *turns) - num_read + second.usage.num_written
        assert sum(bool(held) for held in model.held) == 1, "it has gone on in the same slot"


async def test_sessions_are_forgotten_unless_they_are_to_be_remembered() -> None:
    async with running() as (engine, model):
        await written(engine)
        await until_idle(engine, model)
        await asked(engine, user("a fox"))
        assert engine.num_used_cells > 0


async def test_what_is_remembered_gives_way_to_who_is_there() -> None:
    async with running(num_slots=2, num_cells=150) as (engine, model):
        for num in range(4):
            await asked(engine, user(f"number {num}"))
        async with await opened(engine, "word " * 100) as session:
            await chunks(session)
            assert session.text == model.answer(user("word " * 100))
        assert engine._device.require().cache.num_aside_bytes == 0


async def test_only_so_many_sessions_are_remembered() -> None:
    async with running(limits=TextLimits(remembered=1)) as (engine, model):
        for num in range(3):
            await asked(engine, user(f"number {num}"))
        await until(lambda: sum(bool(held) for held in model.held) == 1, "one is")
    async with running(limits=TextLimits(remembered=0)) as (engine, model):
        await asked(engine, user("a fox"))
        await until_idle(engine, model)


async def test_a_remembered_session_that_is_left_in_a_chunk_is_remembered_as_far_as_it_came() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        session = await engine.open_session([SYSTEM, user("a fox")], sampling=GREEDY, is_remembered=True)
        session.write(ALL)
        await allow_steps(gate, model, 3)
        session.close()
        gate.allow(math.inf)
        await until(lambda: engine.num_running == engine.num_busy_slots == 0, "it is over")
        again = await asked(engine, SYSTEM, user("a fox"))
        assert again.usage.num_cached == again.usage.num_prompt - 1
        assert again.text == model.answer(SYSTEM, user("a fox"))
