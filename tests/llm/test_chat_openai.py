"""OpenAI's own client against the server: what it understands is what was meant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from app.settings import LlmSettings
from engines.llm.fake import FakeText
from tests.llm.served import tell
from tests.llm.talking import Served, serve_here, talk

STORY: Any = [{"role": "user", "content": "Tell me a story about a fox and a river, in five sentences."}]


@asynccontextmanager
async def client_of(served: Served, *, max_retries: int = 0) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=max_retries) as client:
        yield client


async def test_the_model_is_listed(chat_server: Served) -> None:
    async with client_of(chat_server) as client:
        models = [model.id async for model in client.models.list()]
        assert models == [(await chat_server.health())["model"]]


async def test_an_answer_whole_and_streamed(chat_server: Served) -> None:
    async with client_of(chat_server) as client:
        asked: dict[str, Any] = {"messages": STORY, "model": "any", "temperature": 0, "max_tokens": 40, "seed": 1}
        whole = await client.chat.completions.create(**asked)
        (choice,) = whole.choices
        assert choice.message.role == "assistant"
        assert choice.finish_reason in ("stop", "length")
        assert whole.usage is not None
        assert whole.usage.prompt_tokens_details is not None
        assert whole.usage.completion_tokens <= 40
        stream = await client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        assert "".join(delta.content or "" for delta in deltas) == choice.message.content
        assert deltas[0].role == "assistant"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
        reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
        assert reasons[-1] == choice.finish_reason


async def test_the_helper_that_gathers_a_stream_understands_it(chat_server: Served) -> None:
    async with client_of(chat_server) as client:
        async with client.chat.completions.stream(messages=STORY, model="any", temperature=0) as stream:
            async for _ in stream:
                pass
            completion = await stream.get_final_completion()
        assert completion.choices[0].message.content


async def test_a_conversation_turn_by_turn_is_found_in_the_cache(chat_server: Served) -> None:
    async with client_of(chat_server) as client:
        turns = list(STORY)
        before = 0
        for said in ("And then?", "What did the river say?"):
            answer = await client.chat.completions.create(messages=turns, model="any", max_tokens=25)
            assert answer.usage is not None
            assert answer.usage.prompt_tokens_details is not None
            assert (answer.usage.prompt_tokens_details.cached_tokens or 0) >= before - 1
            before = answer.usage.prompt_tokens
            turns += [answer.choices[0].message.model_dump(exclude_none=True), {"role": "user", "content": said}]


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        (
            {"messages": [{"role": "user", "content": "word " * 10_000}]},
            openai.BadRequestError,
            "context_length_exceeded",
        ),
        ({"n": 2}, openai.BadRequestError, "invalid_request"),
        ({"temperature": 9}, openai.UnprocessableEntityError, "invalid_field"),
    ],
)
async def test_a_refusal_is_raised_as_what_it_is(
    chat_server: Served, fields: dict[str, Any], kind: type[openai.APIStatusError], code: str
) -> None:
    async with client_of(chat_server) as client:
        for stream in (False, True):
            with pytest.raises(kind) as caught:
                await client.chat.completions.create(**({"messages": STORY, "model": "any", "stream": stream} | fields))
            assert caught.value.code == code
            assert caught.value.type == "invalid_request_error"


async def test_a_full_server_is_told_from_a_broken_one() -> None:
    settings = LlmSettings(max_sessions=1)
    async with serve_here(lambda: FakeText(tell), settings=settings) as here, talk(here.served) as talker:
        await talker.start(pause={"max_tokens": 1})
        async with client_of(here.served) as client:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(messages=STORY, model="any")
            assert (caught.value.status_code, caught.value.code) == (503, "at_capacity")
            assert int(caught.value.response.headers["Retry-After"]) >= 1


async def test_a_stream_that_breaks_is_raised() -> None:
    async with serve_here(lambda: FakeText(tell, fails_at=6)) as here, client_of(here.served) as client:
        stream = await client.chat.completions.create(messages=STORY, model="any", stream=True)
        with pytest.raises(openai.APIError, match="engine has failed"):
            async for _ in stream:
                pass
