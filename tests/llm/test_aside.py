"""A long prompt beside others is read aside: they get on meanwhile, and it writes what it would have written."""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import pytest

from engines.errors import SessionClosed
from engines.fake import Gate
from engines.llm.breaks import MIN_SHARE, Breaks
from engines.llm.engine import TextLimits
from engines.llm.fake import FakeReader, FakeText
from engines.llm.jobs import Job, Row, Step
from engines.llm.model import Run
from engines.llm.types import ChunkEnd, Pause, Token
from tests.llm.running import chunk, opened, running, shut, until_idle, user, written
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


async def read_beside_a_writer(watch: Callable[[FakeText, FakeReader], None]) -> None:
    """A book is read to its first token, beside one who writes. What is watched begins with it."""
    gate, limits = Gate(), TextLimits(step_ms=0.001)
    gate.allow(math.inf)
    aside: dict[str, Any] = {"reads_aside": True, "batch_size": BATCH}
    async with running(**aside, limits=limits, script=_endless, gate=gate) as (engine, model):
        writer, book = await opened(engine), await opened(engine, BOOK)
        async with writer, book:
            await chunk(writer, Pause(max_tokens=1))
            assert model.reader is not None
            watch(model, model.reader)
            shut(gate)  # so that neither has gone far when the other begins
            writing = asyncio.create_task(chunk(writer, Pause(max_tokens=400)))
            await asyncio.to_thread(gate.wait_held)
            reading = asyncio.create_task(chunk(book, Pause(max_tokens=1)))
            await until(lambda: engine.num_running == 2, "both have begun")
            gate.allow(math.inf)
            await reading
            writer.close()
            with suppress(SessionClosed):  # unless it has written all of it by now
                await writing


async def test_others_write_in_the_middle_of_a_book() -> None:
    beside: list[tuple[int, int]] = []  # tokens that were read, steps that were taken meanwhile

    def watch(model: FakeText, reader: FakeReader) -> None:
        read = reader.read

        def note(start: int, tokens: Sequence[int], breathe: Callable[[], None]) -> None:
            before = len(model.batches)
            read(start, tokens, breathe)
            beside.append((len(tokens), len(model.batches) - before))

        reader.read = note  # type: ignore[method-assign]

    await read_beside_a_writer(watch)
    assert beside
    assert all(num_steps == num_tokens for num_tokens, num_steps in beside), "one in front of each token"


async def test_others_write_in_front_of_each_half_of_its_way_into_the_cache() -> None:
    """It may take as long as a step to save what was read, and to load it."""
    done: list[str] = []

    def watch(model: FakeText, reader: FakeReader) -> None:
        for owner, name in ((reader, "read"), (reader, "save"), (model, "load"), (model, "decode")):
            _note_ends(owner, name, done)

    await read_beside_a_writer(watch)
    loaded = done.index("load")
    assert done[loaded - 4 : loaded + 1] == ["read", "decode", "save", "decode", "load"]


def _note_ends(owner: Any, name: str, done: list[str]) -> None:
    method = getattr(owner, name)

    def noted(*arguments: Any) -> Any:
        result = method(*arguments)
        done.append(name)
        return result

    setattr(owner, name, noted)


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


class Clock:
    """Steps that take `took_s`, of which the times are noted at which they end."""

    def __init__(self, wait_ms: float, took_s: float) -> None:
        self.now_s = 0.0
        self.took_s = took_s
        self.ends_s: list[float] = []
        self.breaks = Breaks(wait_ms, self._take, lambda: _step(True), lambda: self.now_s)

    def read(self, num_pieces: int, between_s: Sequence[float]) -> None:
        """Pieces with so much time between two breaths."""
        for _ in range(num_pieces):
            self.breaks.begin_piece()
            for rest_s in between_s:
                self.breaks.breathe()
                self.now_s += rest_s

    @property
    def waits_s(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.ends_s)]

    def _take(self, _: Step[Any]) -> None:
        self.now_s += self.took_s
        self.ends_s.append(self.now_s)


def test_nobody_waits_longer_for_a_token_than_is_allowed_and_not_much_less() -> None:
    clock = Clock(100, 0.03)
    clock.read(10, [0.001] * 100)
    assert all(0.085 <= wait <= 0.095 for wait in clock.waits_s)
    assert len(clock.waits_s) > 10


def test_a_breath_that_is_nearer_than_the_next_is_taken_although_it_is_early() -> None:
    clock = Clock(100, 0.03)
    clock.read(10, [0.002, 0.03, 0.001, 0.012] * 10)
    assert all(0.0749 <= wait <= 0.1051 for wait in clock.waits_s[5:])  # 90 ms, and half of 30 either way


def test_the_reading_has_its_share_however_long_steps_take() -> None:
    clock = Clock(100, 0.2)
    clock.read(10, [0.001] * 100)
    assert all(0.1999 + MIN_SHARE * 0.1 <= wait <= 0.2021 + MIN_SHARE * 0.1 for wait in clock.waits_s)


def test_who_writes_alone_waits_for_a_few_of_its_own_steps() -> None:
    clock = Clock(100, 0.004)
    clock.read(10, [0.001] * 100)
    assert all(0.020 <= wait <= 0.030 for wait in clock.waits_s)


def test_in_front_of_what_cannot_be_interrupted_a_step_is_taken_early() -> None:
    clock = Clock(100, 0.03)
    clock.breaks.breathe()
    clock.now_s += 0.005
    clock.breaks.breathe_early()
    assert clock.waits_s == []
    clock.now_s += 0.008
    clock.breaks.breathe_early()
    assert clock.waits_s == pytest.approx([0.043])


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
        num_breaths[0] += 1
        step, rest = divmod(num_breaths[0], 8)
        if not rest:
            model.decode([Run(1, 49 + step, [words[step]], draws=True)])

    model.reader.begin(None)
    for start in range(0, 399, 128):
        model.reader.read(start, words[start : min(start + 128, 399)], breathe)
    assert num_breaths[0] > 800
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
