"""A long prompt beside others is read aside: they get on meanwhile, and it writes what it would have written."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import pytest

from engines.errors import SessionClosed
from engines.llm.breaks import MIN_SHARE, Breaks
from engines.llm.engine import TextLimits
from engines.llm.fake import FakeText
from engines.llm.jobs import Job, Row, Step
from engines.llm.model import Run
from engines.llm.types import ChunkEnd, Pause, Token
from tests.llm.running import chunk, opened, running, until_idle, user, written
from tests.running import until

BATCH = 16
BOOK = " ".join(f"word{n}" for n in range(150))


def reads(model: FakeText) -> list[int]:
    """Every batch's longest run: a prompt that is read in batches shows there."""
    return [max(len(run.tokens) for run in batch) for batch in tuple(model.batches)]


async def test_beside_a_paused_session_a_book_is_read_in_no_batch() -> None:
    async with running(reads_aside=True, batch_size=BATCH) as (engine, model):
        async with await opened(engine) as paused:
            await chunk(paused, Pause(max_tokens=2))
            before = len(model.batches)
            assert await written(engine, BOOK) == model.answer(user(BOOK))
            assert max(reads(model)[before:]) == 1
        await until_idle(engine, model)


async def test_alone_a_book_is_read_in_batches() -> None:
    async with running(reads_aside=True, batch_size=BATCH) as (engine, model):
        assert await written(engine, BOOK) == model.answer(user(BOOK))
        assert reads(model)[:3] == [BATCH] * 3


async def test_others_write_in_the_middle_of_a_book() -> None:
    limits = TextLimits(step_ms=0.001)
    async with running(reads_aside=True, batch_size=BATCH, limits=limits, script=_endless) as (engine, model):
        writer, book = await opened(engine), await opened(engine, BOOK)
        async with writer, book:
            await chunk(writer, Pause(max_tokens=1))
            reader = model.reader
            assert reader is not None
            beside: list[tuple[int, int]] = []  # tokens that were read, steps that were taken meanwhile
            read = reader.read

            def note(start: int, tokens: Sequence[int], breathe: Callable[[], None]) -> None:
                before = len(model.batches)
                read(start, tokens, breathe)
                beside.append((len(tokens), len(model.batches) - before))

            reader.read = note  # type: ignore[method-assign]
            writing = asyncio.create_task(chunk(writer, Pause(max_tokens=400)))
            await until(lambda: engine.num_running == 1, "it writes")
            await chunk(book, Pause(max_tokens=1))
            assert beside
            assert all(num_steps == num_tokens for num_tokens, num_steps in beside), "one in front of each token"
            writer.close()
            with suppress(SessionClosed):  # unless it has written all of it by now
                await writing


def _endless(conversation: str) -> list[str]:
    return [" on"] * 500


async def test_what_breathes_while_a_book_is_read_may_fail_and_ends_the_engine() -> None:
    failed: list[Exception] = []
    async with running(reads_aside=True, batch_size=BATCH, fails_at=6, on_failure=failed.append) as (engine, _):
        async with await opened(engine) as writer, await opened(engine, BOOK) as book:
            await chunk(writer, Pause(max_tokens=1))
            results = await asyncio.gather(
                chunk(writer, Pause(max_tokens=30)), chunk(book, Pause(max_tokens=30)), return_exceptions=True
            )
        assert all(isinstance(result, Exception) for result in results)
        assert engine.state == "failed"
    assert len(failed) == 1


@pytest.mark.parametrize("seed", range(12))
async def test_whoever_comes_pauses_and_leaves_every_answer_is_its_own(seed: int) -> None:
    rng = random.Random(seed)
    async with running(reads_aside=True, batch_size=BATCH, num_slots=3, num_cells=900) as (engine, model):

        async def client(number: int) -> None:
            local = random.Random(rng.random())
            text = f"{number} " + " ".join(f"w{local.randrange(30)}" for _ in range(local.choice([3, 40, 150])))
            async with await opened(engine, text) as session:
                got = ""
                while not session.is_done:
                    async for event in session.write(Pause(max_tokens=local.randint(1, 6))):
                        if isinstance(event, Token):
                            got += event.text
                        if local.random() < 0.02:
                            return
                        if local.random() < 0.05:
                            session.pause()
                        assert isinstance(event, Token | ChunkEnd)
                    await asyncio.sleep(0)
                assert got == model.answer(user(text))

        await asyncio.gather(*(client(number) for number in range(14)))
        await until_idle(engine, model)


# -- when --------------------------------------------------------------------------------------------------------------


def _step(has_rows: bool) -> Step[Any]:
    job = Job[Any](None, [1], is_remembered=False)
    return Step([], [], [], [], [], [Row(job, Run(0, 0, [1], draws=True))] if has_rows else [])


def test_a_step_begins_every_so_often_and_the_reading_has_its_share() -> None:
    now, took = [0.0], [0.03]
    began: list[float] = []

    def take(_: Step[Any]) -> None:
        began.append(now[0])
        now[0] += took[0]

    breaks = Breaks(100, take, lambda: _step(True), lambda: now[0])
    for _ in range(1000):
        breaks.breathe()
        now[0] += 0.001
    gaps = [later - earlier for earlier, later in pairwise(began)]
    assert all(0.0999 <= gap <= 0.1021 for gap in gaps)
    took[0], began[:] = 0.2, []
    for _ in range(1000):
        breaks.breathe()
        now[0] += 0.001
    gaps = [later - earlier for earlier, later in pairwise(began)]
    assert all(0.1999 + MIN_SHARE * 0.1 <= gap <= 0.2021 + MIN_SHARE * 0.1 for gap in gaps)


def test_while_nobody_writes_it_is_asked_at_every_break() -> None:
    asked = [0]

    def poll() -> None:
        asked[0] += 1

    breaks = Breaks(100, lambda _: None, poll, lambda: 0.0)
    for _ in range(5):
        breaks.breathe()
    assert asked == [5]


# -- on the real model -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="the LLM is not installed here")
async def test_the_real_model_thinks_of_a_book_what_it_thinks_of_it_read_at_once() -> None:
    """A book that was read aside, beside one who writes, is followed by the likeliest token of one read in batches, or
    one that is nearly as likely."""
    import numpy as np

    from engines.llm.llama import load
    from engines.llm.options import LlamaOptions

    model: Any = load(LlamaOptions(context=2048, slots=3))()
    words = model.tokenise("The keeper wrote down the weather, the ships and the birds of every day. " * 30)[:400]

    def thoughts(slot: int) -> Any:
        from llama_cpp import llama_cpp as native

        row = native.llama_get_logits_ith(model._context._context, model._context._places[slot])
        return np.ctypeslib.as_array(row, (model._words.num_tokens,)).copy()

    for start in range(0, 399, 128):
        model.decode([Run(0, start, words[start : min(start + 128, 399)], draws=False)])
    model.decode([Run(0, 399, words[399:], draws=True)])
    at_once = thoughts(0)
    model.truncate(0, 0)

    model.decode([Run(1, 0, words[:50], draws=False)])
    num_breaths = [0]

    def breathe() -> None:
        model.decode([Run(1, 50 + num_breaths[0], [words[num_breaths[0]]], draws=True)])
        num_breaths[0] += 1

    model.reader.begin(None)
    for start in range(0, 399, 128):
        model.reader.read(start, words[start : min(start + 128, 399)], breathe)
    assert num_breaths[0] > 100
    saved = model.reader.save(399)
    model.truncate(1, 0)
    assert model.load(0, saved)
    model.decode([Run(0, 399, words[399:], draws=True)])
    aside = thoughts(0)
    assert at_once.max() - at_once[aside.argmax()] < 0.05
    assert np.abs(aside - at_once).max() < 1.0
    model.close()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="the LLM is not installed here")
async def test_what_a_breath_raises_is_raised_and_the_reader_goes_on() -> None:
    from engines.llm.llama import load
    from engines.llm.options import LlamaOptions

    model: Any = load(LlamaOptions(context=512, slots=2))()
    words = model.tokenise("The keeper wrote down the weather. " * 30)[:120]

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        model.reader.read(0, words, fail)
    model.reader.begin(None)
    model.reader.read(0, words, lambda: None)
    assert model.load(0, model.reader.save(120))
    model.close()
