"""On the real model: however an answer is paused, it is token for token the one that was never paused."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engines.llm.engine import TextEngine
from engines.llm.llama import load
from engines.llm.llama.threads import let_threads_sleep
from engines.llm.options import LlamaOptions
from engines.llm.session import TextSession
from engines.llm.types import ChunkEnd, Message, Pause, Sampling
from tests.llm.running import ALL, SENTENCE, chunk, chunks, user
from tests.running import until

if find_spec("llama_cpp") is None:
    pytest.skip("the LLM is not installed here", allow_module_level=True)
let_threads_sleep()

from llama_cpp import llama_cpp as native  # noqa: E402

from engines.llm.llama.model import LlamaText  # noqa: E402

pytestmark = pytest.mark.slow

NUM_TOKENS = 60
NEAR_TIE = 0.05
"""Where the two likeliest tokens are as near as this, another order of the same sums may turn them round."""

ASKED = [
    "Tell me a story about a fox and a river.",
    "Dr. Smith lives in the U.S. and pays $3.50 for bread. What would he pay for two?",
    "Write three short sentences about the moon. Then a list of five birds.",
    "What is the capital of France, and what can I see there?",
]
GREEDY = Sampling(temperature=0, repeat_penalty=1.0)
SAMPLED = Sampling(temperature=0.8, seed=11)


class Watched:
    """The real model, and how clear each of its choices was."""

    def __init__(self, model: LlamaText) -> None:
        self.model = model
        self.margins: list[float] = []
        self._draw = model.draw
        model.draw = self.draw  # type: ignore[method-assign]
        self.close, model.close = model.close, lambda: None  # type: ignore[method-assign]

    def draw(self, slot: int, sampler: Any) -> int:
        context, num_words = self.model._context, self.model._words.num_tokens
        row = native.llama_get_logits_ith(context._context, context._places[slot])
        second, first = np.partition(np.ctypeslib.as_array(row, (num_words,)), -2)[-2:]
        self.margins.append(float(first - second))
        return self._draw(slot, sampler)


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    model = load(LlamaOptions(context=2048, slots=2, batch_size=256))()
    assert isinstance(model, LlamaText)
    watched = Watched(model)
    yield watched
    watched.close()


@asynccontextmanager
async def running(watched: Watched) -> AsyncIterator[TextEngine]:
    for slot in range(watched.model.num_slots):
        watched.model.truncate(slot, 0)
    engine = TextEngine(lambda: watched.model)
    engine.start()
    await engine.wait_ready()
    try:
        yield engine
    finally:
        await engine.close()


async def opened(engine: TextEngine, asked: str, sampling: Sampling = GREEDY) -> TextSession:
    return await engine.open_session([user(asked)], sampling=sampling, max_total_tokens=NUM_TOKENS)


def tokens_of(session: TextSession) -> list[int]:
    """What was drawn."""
    return session._job.sequence.tokens[len(session._prompt.tokens) :]


class Whole:
    """An uninterrupted answer."""

    def __init__(self, tokens: list[int], text: str, margins: list[float]) -> None:
        self.tokens = tokens
        self.text = text
        self.margins = margins

    def check(self, session: TextSession) -> None:
        tokens = tokens_of(session)
        if tokens == self.tokens:
            assert session.text == self.text
            return
        differs = next(place for place, (a, b) in enumerate(zip(tokens, self.tokens, strict=False)) if a != b)
        print(f"token {differs} differs; the two likeliest were {self.margins[differs]:.4f} apart")
        assert self.margins[differs] <= NEAR_TIE


async def whole(engine: TextEngine, watched: Watched, asked: str, sampling: Sampling = GREEDY) -> Whole:
    watched.margins.clear()
    async with await opened(engine, asked, sampling) as session:
        await chunks(session)
        answer = Whole(tokens_of(session), session.text, list(watched.margins))
    await until(lambda: engine.num_used_cells == 0, "the server is idle again")
    return answer


async def paused_by_its_client(session: TextSession, rng: random.Random) -> None:
    """After some tokens, in the middle of a step as often as not."""
    num_tokens = rng.randint(1, 9)
    async for event in session.write(ALL):
        num_tokens -= 1
        if num_tokens == 0:
            session.pause()
        if isinstance(event, ChunkEnd):
            return


async def paused_anywhere(session: TextSession, rng: random.Random) -> None:
    while not session.is_done:
        match rng.randrange(4):
            case 0:
                await chunk(session, Pause(max_tokens=rng.randint(1, 9)))
            case 1:
                await chunk(session, SENTENCE)
            case 2:
                await chunk(session, Pause(max_tokens=rng.randint(1, 9), at_sentence=True))
            case _:
                await paused_by_its_client(session, rng)


@pytest.mark.parametrize("asked", ASKED)
async def test_pauses_anywhere_change_nothing(watched: Watched, asked: str) -> None:
    async with running(watched) as engine:
        answer = await whole(engine, watched, asked)
        for seed in range(3):
            async with await opened(engine, asked) as session:
                await paused_anywhere(session, random.Random(seed))
                answer.check(session)


@pytest.mark.parametrize("asked", ASKED)
async def test_a_pause_behind_every_token_changes_nothing(watched: Watched, asked: str) -> None:
    async with running(watched) as engine:
        answer = await whole(engine, watched, asked)
        async with await opened(engine, asked) as session:
            await chunks(session, [Pause(max_tokens=1)])
            answer.check(session)


@pytest.mark.parametrize("asked", ASKED)
async def test_preemption_and_return_change_nothing(watched: Watched, asked: str) -> None:
    """Three sessions in two slots, one chunk after the other: each comes back from the host's memory every time."""
    async with running(watched) as engine:
        answer = await whole(engine, watched, asked)
        async with await opened(engine, asked) as session:
            while not session.is_done:
                await chunk(session, Pause(max_tokens=7))
                others = [await opened(engine, "Hello!"), await opened(engine, "Good morning!")]
                for other in others:
                    await chunk(other, Pause(max_tokens=2))
                assert session._job.slot is None, "it was preempted"
                for other in others:
                    other.close()
            answer.check(session)


@pytest.mark.parametrize("asked", ASKED[:2])
async def test_sampled_text_with_a_seed_does_not_depend_on_pauses(watched: Watched, asked: str) -> None:
    async with running(watched) as engine:
        answer = await whole(engine, watched, asked, SAMPLED)
        async with await opened(engine, asked, SAMPLED) as session:
            await paused_anywhere(session, random.Random(0))
            assert tokens_of(session) == answer.tokens
        other = await whole(engine, watched, asked, Sampling(temperature=0.8, seed=12))
        assert other.tokens != answer.tokens


async def test_a_chunk_never_holds_the_next_sentences_first_token(watched: Watched) -> None:
    async with running(watched) as engine:
        for asked in ASKED:
            async with await opened(engine, asked) as session:
                ends = await chunks(session, [SENTENCE])
            for end, following in pairwise(ends):
                if end.reason == "sentence_boundary":
                    assert end.text.rstrip()[-1] in ".!?:\"'”)*" or end.text.endswith("\n")
                    assert following.text[:1].isspace() or end.text[-1:].isspace()


async def test_a_second_turn_goes_on_from_the_cache(watched: Watched) -> None:
    """And says what it would without, but for near ties: the pieces it was evaluated in are others."""
    turns = [user(ASKED[3])]
    async with running(watched) as engine:
        async with await engine.open_session(turns, sampling=GREEDY, max_total_tokens=40, is_remembered=True) as first:
            await chunks(first)
        turns += [Message("assistant", first.text), user("And what can I eat there?")]
        async with await engine.open_session(turns, sampling=GREEDY, max_total_tokens=NUM_TOKENS) as second:
            await chunks(second)
        assert second.usage.num_cached >= first.usage.num_prompt + first.usage.num_written - 2
        assert second.usage.num_prompt - second.usage.num_cached < 40
    async with running(watched) as engine:
        watched.margins.clear()
        async with await engine.open_session(turns, sampling=GREEDY, max_total_tokens=NUM_TOKENS) as fresh:
            await chunks(fresh)
            Whole(tokens_of(fresh), fresh.text, list(watched.margins)).check(second)


async def test_turns_that_are_added_evaluate_only_what_is_new(watched: Watched) -> None:
    async with running(watched) as engine, await opened(engine, ASKED[0]) as session:
        await chunk(session, Pause(max_tokens=20))
        num_used, num_prompt = engine.num_used_cells, session.usage.num_prompt
        await session.append([user("Stop. Tell me about a hen instead.")])
        num_new = session.usage.num_prompt - num_prompt
        assert num_new < 30
        await chunk(session, Pause(max_tokens=1))
        assert engine.num_used_cells == num_used + 1 + num_new, "the last token that was drawn, and the turn"


async def test_eight_sessions_leave_nothing_behind(watched: Watched) -> None:
    async with running(watched) as engine:

        async def one(number: int) -> str:
            async with await opened(engine, ASKED[number % len(ASKED)]) as session:
                await paused_anywhere(session, random.Random(number))
                return session.text

        texts: Sequence[str] = await asyncio.gather(*(one(number) for number in range(8)))
        assert all(texts)
        await until(lambda: engine.num_used_cells == engine.num_busy_slots == engine.num_sessions == 0, "all is free")
