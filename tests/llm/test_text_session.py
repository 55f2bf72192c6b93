"""A session on the engine: chunks and their reasons, pausing, leaving, closing, and turns that are added."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from engines.errors import ContextTooLong, RequestError, SessionClosed, WrongState
from engines.fake import Gate
from engines.llm.fake import FakeText, words_of
from engines.llm.session import TextSession
from engines.llm.types import ChunkEnd, Message, Messages, Pause, Reason, Sampling, Token, Usage
from tests.llm.running import (
    ALL,
    SENTENCE,
    allow_steps,
    batches,
    chunk,
    chunks,
    num_evaluated,
    opened,
    running,
    shut,
    until_idle,
    user,
    written,
)
from tests.running import until

ANSWER = "You said fox. Dr. Smith has heard it 1 times, and so have I! Shall we go on now?"
NUM_TOKENS = len(words_of(ANSWER))


def says(*pieces: str | bytes):
    """A model that writes this, whatever it is asked."""

    def script(_: str) -> Sequence[str | bytes]:
        return pieces

    return script


def texts(ends: Sequence[ChunkEnd]) -> list[tuple[str, Reason]]:
    return [(end.text, end.reason) for end in ends]


# -- chunks ------------------------------------------------------------------------------------------------------------


async def test_an_answer_comes_token_by_token_and_then_its_end() -> None:
    async with running() as (engine, _), await opened(engine) as session:
        tokens, end = await chunk(session)
        assert [token.text for token in tokens] == words_of(ANSWER)
        assert (end.reason, end.num_tokens, end.is_done) == ("eos", NUM_TOKENS, True)
        assert (session.text, session.is_done, session.is_writing) == (ANSWER, True, False)


async def test_sentences_come_one_by_one() -> None:
    async with running() as (engine, _), await opened(engine) as session:
        assert texts(await chunks(session, [SENTENCE])) == [
            ("You said fox.", "sentence_boundary"),
            (" Dr. Smith has heard it 1 times, and so have I!", "sentence_boundary"),
            (" Shall we go on now?", "sentence_boundary_eos"),
        ]


async def test_a_paused_session_is_not_stepped_and_goes_on_without_prefill() -> None:
    async with running() as (engine, model), await opened(engine) as session:
        await chunk(session, Pause(max_tokens=3))
        num_steps = len(model.batches)
        await written(engine, "another")
        assert sum(batch.get(0, 0) for batch in batches(model)[num_steps:]) == 0
        num_steps = len(model.batches)
        await chunk(session, Pause(max_tokens=1))
        assert batches(model)[num_steps:] == [{0: 1}]


async def test_what_is_held_comes_at_once_on_resume_while_the_device_is_in_a_step() -> None:
    gate = Gate(math.inf)
    async with running(gate=gate) as (engine, _), await opened(engine) as session:
        _, end = await chunk(session, SENTENCE)
        assert end.text == "You said fox."
        shut(gate)
        other = await opened(engine)
        other.write(ALL)
        await asyncio.to_thread(gate.wait_held)
        _, end = await chunk(session, Pause(max_tokens=1))
        assert (end.text, end.reason) == (" Dr", "max_tokens")


REASONS = [
    (("One", "."), [Pause(max_tokens=1)], (), ["max_tokens", "max_tokens", "eos"]),
    (("One", ".", " Two"), [SENTENCE], (), ["sentence_boundary", "eos"]),
    (("One", "."), [SENTENCE], (), ["sentence_boundary_eos"]),
    (("One",), [ALL], (), ["eos"]),
    ((), [ALL], (), ["empty_response"]),
    (("One", " Two", " Three"), [ALL], (" Two",), ["stop_word"]),
]


@pytest.mark.parametrize(("pieces", "pauses", "stop", "reasons"), REASONS)
async def test_every_reason_is_reached_and_nothing_follows_the_end(
    pieces: Sequence[str], pauses: Sequence[Pause], stop: Sequence[str], reasons: Sequence[Reason]
) -> None:
    async with running(script=says(*pieces)) as (engine, _), await opened(engine, stop=stop) as session:
        assert [end.reason for end in await chunks(session, pauses)] == reasons
        for _ in range(2):
            assert await chunk(session) == ([], ChunkEnd("already_done", "", 0, None, 0.0, is_done=True))


async def test_a_stream_ends_with_the_most_tokens_it_may_have() -> None:
    async with running() as (engine, _), await opened(engine, max_total_tokens=5) as session:
        ends = await chunks(session, [Pause(max_tokens=3)])
        assert [(end.num_tokens, end.reason, end.is_done) for end in ends] == [
            (3, "max_tokens", False),
            (2, "max_tokens", True),
        ]
        assert session.usage.num_written == 5


async def test_an_answer_ends_with_the_context_and_not_with_an_error() -> None:
    num_prompt = len(FakeText().tokenise(FakeText().render([user("a fox")])))
    async with running(context_length=num_prompt + 4) as (engine, model), await opened(engine) as session:
        _, end = await chunk(session)
        assert (end.reason, end.num_tokens, end.is_done) == ("max_tokens", 4, True)
        assert max(map(len, model.held)) < num_prompt + 4, "its last token has nobody to read it"


async def test_a_character_of_several_tokens_is_one_event() -> None:
    fox = "🦊".encode()
    pieces = ("A ", fox[:1], fox[1:3], fox[3:], "!")
    async with running(script=says(*pieces)) as (engine, _), await opened(engine) as session:
        tokens, end = await chunk(session)
        assert tokens == [Token("A "), Token("🦊", 3), Token("!")]
        assert end.num_tokens == 5


async def test_times_are_of_the_engines_clock() -> None:
    now_s = 100.0
    gate = Gate()
    async with running(gate=gate, clock=lambda: now_s) as (engine, model), await opened(engine) as session:
        events = session.write(Pause(max_tokens=2))
        now_s = 100.5
        await allow_steps(gate, model)
        assert isinstance(await anext(events), Token)
        now_s = 101.0
        gate.allow()
        assert isinstance(await anext(events), Token)
        end = await anext(events)
        assert isinstance(end, ChunkEnd)
        assert (end.ttft_ms, end.elapsed_ms) == (500.0, 1000.0)


async def test_tokens_are_counted_in_usage() -> None:
    async with running() as (engine, model), await opened(engine) as session:
        num_prompt = len(model.tokenise(model.render([user("a fox")])))
        assert session.usage == Usage(num_prompt, 0, 0)
        await chunk(session, Pause(max_tokens=3))
        assert session.usage == Usage(num_prompt, 0, 3)


async def test_sampled_text_with_a_seed_does_not_depend_on_pauses() -> None:
    async with running() as (engine, _):
        terms = {"sampling": Sampling(temperature=1.0, seed=7)}
        whole = await written(engine, **terms)
        assert await written(engine, pauses=[Pause(max_tokens=2)], **terms) == whole
        assert await written(engine, pauses=[SENTENCE], **terms) == whole
        assert await written(engine, sampling=Sampling(temperature=1.0, seed=8)) != whole


# -- one chunk at a time -----------------------------------------------------------------------------------------------


async def test_a_chunk_that_is_being_written_is_waited_for() -> None:
    async with running() as (engine, _), await opened(engine) as session:
        events = session.write(ALL)
        assert session.is_writing
        with pytest.raises(WrongState, match="being written"):
            session.write(ALL)
        with pytest.raises(WrongState, match="being written"):
            await session.append([user("more")])
        assert "".join([event.text async for event in events if isinstance(event, Token)]) == ANSWER


async def test_the_next_chunk_may_be_asked_for_as_soon_as_the_end_was_read() -> None:
    """Whoever reads need not have left the iterator."""
    async with running() as (engine, _), await opened(engine) as session:
        events = session.write(Pause(max_tokens=2))
        while not isinstance(await anext(events), ChunkEnd):
            pass
        assert not session.is_writing
        assert (await chunk(session))[1].text == ANSWER.removeprefix("You said")
        assert [event async for event in events] == []


# -- pausing and leaving -----------------------------------------------------------------------------------------------


async def test_pausing_ends_the_chunk_with_the_token_that_is_being_made() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model), await opened(engine) as session:
        reading = asyncio.ensure_future(chunk(session))
        await allow_steps(gate, model, 2)
        await asyncio.to_thread(gate.wait_held)
        assert session.pause()
        await allow_steps(gate, model)
        tokens, end = await reading
        assert (len(tokens), end.reason, end.is_done) == (3, "client", False)
        assert not session.pause(), "no chunk is being written"
        gate.allow(math.inf)
        assert (await chunk(session))[1].reason == "eos"
        assert session.text == ANSWER


async def test_a_session_in_line_is_paused_without_waiting_for_a_slot() -> None:
    gate = Gate(1)
    async with running(num_slots=1, gate=gate) as (engine, _):
        first, second = await opened(engine), await opened(engine)
        first.write(ALL)
        await asyncio.to_thread(gate.wait_held)
        reading = asyncio.ensure_future(chunk(second))
        await asyncio.sleep(0)
        assert second.pause()
        gate.allow()
        tokens, end = await reading
        assert (tokens, end.reason) == ([], "client")


async def test_a_long_prompt_is_paused_between_its_pieces_and_goes_on_where_it_was() -> None:
    gate = Gate()
    async with running(gate=gate, batch_size=8) as (engine, model), await opened(engine, "fox " * 30) as session:
        reading = asyncio.ensure_future(chunk(session))
        await allow_steps(gate, model, 2)
        session.pause()
        gate.allow()
        assert (await reading)[1].reason == "client"
        gate.allow(math.inf)
        await chunks(session)
        assert session.text == model.answer(user("fox " * 30))
        assert num_evaluated(model) == session.usage.num_prompt + session.usage.num_written


async def test_leaving_the_iterator_pauses_and_what_was_not_read_comes_first_later() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model), await opened(engine) as session:
        async with aclosing(session.write(ALL)) as events:
            await allow_steps(gate, model, 4)
            assert await anext(events) == Token("You")
            gate.allow()  # aclose returns when this step is over
        assert not session.is_writing
        assert session.text == "You"
        assert session.usage.num_written < NUM_TOKENS
        gate.allow(math.inf)
        assert (await chunk(session))[1].text == ANSWER.removeprefix("You")


async def test_breaking_out_of_the_loop_pauses_as_well() -> None:
    async with running() as (engine, _), await opened(engine) as session:
        async for event in session.write(ALL):
            assert event == Token("You")
            break
        await until(lambda: not session.is_writing, "the chunk is paused")
        await chunks(session)
        assert session.text == ANSWER


async def test_a_reader_that_is_cancelled_leaves_a_session_that_goes_on() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model), await opened(engine) as session:
        reading = asyncio.ensure_future(chunk(session))
        await allow_steps(gate, model, 2)
        await until(lambda: session.text == "You said", "it is read")
        reading.cancel()
        await asyncio.sleep(0)  # it has asked for the pause, before the device goes on
        gate.allow()
        with pytest.raises(asyncio.CancelledError):
            await reading
        gate.allow(math.inf)
        await chunks(session)
        assert session.text == ANSWER


async def test_a_chunk_that_nobody_reads_is_not_lost() -> None:
    async with running() as (engine, _), await opened(engine) as session:
        session.write(ALL)
        await until(lambda: not session.is_writing, "it is written")
        assert (session.text, session.is_done) == ("", False)
        await chunks(session)
        assert session.text == ANSWER


# -- closing -----------------------------------------------------------------------------------------------------------


async def closed_before_its_first_chunk(session: TextSession) -> None:
    session.close()


async def closed_in_a_chunk(session: TextSession) -> None:
    events = session.write(ALL)
    await anext(events)
    session.close()
    with pytest.raises(SessionClosed):
        await anext(events)


async def closed_before_its_first_token(session: TextSession) -> None:
    reading = asyncio.ensure_future(chunk(session))
    await asyncio.sleep(0)
    session.close()
    with pytest.raises(SessionClosed):
        await reading


async def closed_while_paused(session: TextSession) -> None:
    await chunk(session, Pause(max_tokens=3))
    session.close()


async def closed_with_tokens_held(session: TextSession) -> None:
    await chunk(session, SENTENCE)
    session.close()


async def closed_when_done(session: TextSession) -> None:
    await chunks(session)
    session.close()


async def closed_by_leaving_the_block(session: TextSession) -> None:
    async with session, aclosing(session.write(ALL)) as events:
        await anext(events)


async def closed_while_turns_are_added(session: TextSession) -> None:
    await chunk(session, SENTENCE)
    appending = asyncio.ensure_future(session.append([user("more")]))
    await asyncio.sleep(0)
    session.close()
    with pytest.raises(SessionClosed):
        await appending


async def closed_after_turns_were_added(session: TextSession) -> None:
    await chunk(session, SENTENCE)
    await session.append([user("more")])
    session.close()


@pytest.mark.parametrize(
    "close",
    [
        closed_before_its_first_chunk,
        closed_in_a_chunk,
        closed_before_its_first_token,
        closed_while_paused,
        closed_with_tokens_held,
        closed_when_done,
        closed_by_leaving_the_block,
        closed_while_turns_are_added,
        closed_after_turns_were_added,
    ],
)
async def test_a_session_leaves_nothing_in_whatever_state_it_is_closed(close) -> None:
    async with running(num_slots=2) as (engine, model):
        other = await opened(engine)
        await chunk(other, Pause(max_tokens=3))
        num_tasks = len(asyncio.all_tasks())
        await close(session := await opened(engine, "a fish"))
        session.close()
        with pytest.raises(SessionClosed):
            session.write(ALL)
        with pytest.raises(SessionClosed):
            await session.append([user("more")])
        await until(lambda: len(asyncio.all_tasks()) == num_tasks, "no task is left")
        await chunks(other)
        assert other.text == ANSWER
        other.close()
        await until_idle(engine, model)


async def test_a_preempted_session_that_is_closed_leaves_nothing() -> None:
    async with running(num_slots=1) as (engine, model):
        first = await opened(engine)
        await chunk(first, Pause(max_tokens=3))
        second = await opened(engine)
        await chunk(second, Pause(max_tokens=3))
        assert engine._device.require().cache.num_aside_bytes > 0
        first.close()
        second.close()
        await until_idle(engine, model)


async def test_closing_frees_slot_and_cells_within_one_step_while_another_step_is_stalled() -> None:
    gate = Gate(math.inf)
    async with running(gate=gate) as (engine, model):
        first, second = await opened(engine, "a fish"), await opened(engine)
        await chunk(first, Pause(max_tokens=3))
        shut(gate)
        second.write(ALL)
        await asyncio.to_thread(gate.wait_held)
        first.close()
        assert (engine.num_sessions, engine.num_busy_slots) == (1, 2)
        gate.allow()
        await until(lambda: engine.num_busy_slots == 1, "its slot is free")
        await asyncio.to_thread(gate.wait_held)
        assert model.held[0] == []
        gate.allow(math.inf)


async def test_a_chunk_that_is_cancelled_in_a_step_is_over_with_that_step() -> None:
    gate = Gate()
    async with running(gate=gate) as (engine, model):
        session = await opened(engine)
        session.write(ALL)
        await allow_steps(gate, model, 3)
        await asyncio.to_thread(gate.wait_held)
        session.close()
        gate.allow()
        await until_idle(engine, model)
        assert len(model.batches) == 4


# -- more turns --------------------------------------------------------------------------------------------------------

MORE = [user("a hen")]


def answer_behind(model: FakeText, said: str) -> str:
    return model.answer(user("a fox"), Message("assistant", said), *MORE)


async def test_turns_that_are_added_are_answered_and_only_they_are_evaluated() -> None:
    async with running() as (engine, model), await opened(engine) as session:
        await chunks(session)
        before, usage = num_evaluated(model), session.usage
        await session.append(MORE)
        assert not session.is_done
        await chunks(session)
        assert session.text == ANSWER + answer_behind(model, ANSWER)
        num_new = session.usage.num_prompt - usage.num_prompt
        assert num_new == len(model.tokenise("<end><user>a hen<end><assistant>"))
        num_answer = session.usage.num_written - usage.num_written
        assert num_evaluated(model) - before == num_new + num_answer


async def test_what_was_held_was_not_heard_and_is_taken_back() -> None:
    async with running() as (engine, model), await opened(engine) as session:
        await chunk(session, SENTENCE)
        await session.append(MORE)
        await chunks(session)
        assert session.text == "You said fox." + answer_behind(model, "You said fox.")


async def test_what_was_written_and_not_read_is_taken_back_too() -> None:
    async with running() as (engine, model), await opened(engine) as session:
        async with aclosing(session.write(ALL)) as events:
            await anext(events)
        await session.append(MORE)
        await chunks(session)
        assert session.text == "You" + answer_behind(model, "You")
        assert session.usage.num_written == 1 + len(words_of(answer_behind(model, "You")))


async def test_turns_may_be_added_before_the_first_chunk() -> None:
    async with running() as (engine, model), await opened(engine) as session:
        await session.append(MORE)
        await chunks(session)
        assert session.text == model.answer(user("a fox"), *MORE)


async def test_turns_may_be_added_again_and_again() -> None:
    async with running() as (engine, model), await opened(engine) as session:
        turns = [user("a fox")]
        for num_tokens in (3, 5, 2, 4):
            _, end = await chunk(session, Pause(max_tokens=num_tokens))
            assert end.text == "".join(words_of(model.answer(*turns))[:num_tokens])
            turns += [Message("assistant", end.text), *MORE]
            await session.append(MORE)
        await chunks(session)
        assert session.text.endswith(model.answer(*turns))


async def test_an_answer_that_a_stop_word_has_cut_is_gone_on_from_as_it_was_read() -> None:
    async with running() as (engine, model), await opened(engine, stop=["mith"]) as session:
        await chunks(session)
        assert session.text == "You said fox. Dr. S"
        await session.append(MORE)
        _, end = await chunk(session, Pause(max_tokens=3))
        assert end.text == "".join(words_of(answer_behind(model, "You said fox. Dr. S"))[:3])


async def test_an_answer_that_was_paused_inside_a_character_is_gone_on_from_as_it_was_read() -> None:
    fox = "🦊".encode()
    heard: list[str] = []

    def script(conversation: str) -> Sequence[str | bytes]:
        heard.append(conversation)
        return ("A", fox[:2], fox[2:])

    async with running(script=script) as (engine, _), await opened(engine) as session:
        await chunk(session, Pause(max_tokens=2))
        await session.append(MORE)
        await chunk(session)
        assert heard[-1] == "<user>a fox<end><assistant>A<end><user>a hen<end><assistant>"


async def test_turns_are_added_to_a_session_that_was_preempted() -> None:
    async with running(num_slots=1) as (engine, model), await opened(engine) as session:
        await chunk(session, SENTENCE)
        await written(engine, "another")
        await session.append(MORE)
        await chunks(session)
        assert session.text == "You said fox." + answer_behind(model, "You said fox.")


async def test_turns_that_leave_no_room_for_an_answer_are_refused_and_change_nothing() -> None:
    async with running(context_length=60) as (engine, _), await opened(engine) as session:
        await chunk(session, SENTENCE)
        with pytest.raises(ContextTooLong):
            await session.append([user("word " * 60)])
        await chunks(session)
        assert session.text == ANSWER


class Trims(FakeText):
    """Its template leaves out white space at the beginning of an answer, and refuses pirates."""

    def render(self, messages: Messages, *, asks: bool = True) -> str:
        if any(message.role == "pirate" for message in messages):
            raise RequestError("the model knows no pirate", param="messages")
        trimmed = [Message(message.role, message.content.strip()) for message in messages]
        return super().render(trimmed, asks=asks)


async def test_turns_that_the_template_refuses_change_nothing() -> None:
    async with running(Trims) as (engine, _), await opened(engine) as session:
        await chunk(session, SENTENCE)
        with pytest.raises(RequestError, match="pirate"):
            await session.append([Message("pirate", "Arr")])
        await chunks(session)
        assert session.text == ANSWER


async def test_a_template_that_writes_the_answer_otherwise_is_followed_from_the_first_difference() -> None:
    script = says(" ", "\n", "Hello", ".")
    async with running(Trims, script=script) as (engine, model), await opened(engine) as session:
        await chunks(session)
        num_prompt = session.usage.num_prompt
        await session.append(MORE)
        num_steps = len(model.batches)
        await chunk(session, Pause(max_tokens=1))
        rendered = model.tokenise("Hello.<end><user>a hen<end><assistant>")
        assert batches(model)[num_steps:] == [{0: len(rendered)}]
        assert session.usage.num_prompt == num_prompt + len(rendered)


async def test_the_most_tokens_of_a_stream_count_for_all_its_answers() -> None:
    async with running() as (engine, _), await opened(engine, max_total_tokens=5) as session:
        await chunk(session, Pause(max_tokens=3))
        await session.append(MORE)
        assert [end.num_tokens for end in await chunks(session)] == [2]
        await session.append(MORE)
        assert [(end.num_tokens, end.reason) for end in await chunks(session)] == [(0, "max_tokens")]


async def test_nothing_is_written_while_turns_are_added() -> None:
    async with running() as (engine, _), await opened(engine) as session:
        appending = asyncio.ensure_future(session.append(MORE))
        await asyncio.sleep(0)
        with pytest.raises(WrongState, match="turns"):
            session.write(ALL)
        await appending


@pytest.mark.parametrize("num_read", range(1, 5))
async def test_wherever_a_reader_leaves_the_text_is_whole(num_read: int) -> None:
    async with running() as (engine, _), await opened(engine) as session:
        while not session.is_done:
            async with aclosing(session.write(Pause(max_tokens=3))) as events:
                for _ in range(num_read):
                    await anext(events, None)
        assert session.text == ANSWER
