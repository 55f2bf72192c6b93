"""The LLM plug-in for LiveKit agents, against real servers."""

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, function_tool, llm

from app.clients.livekit import LLM
from tests.llm import holding, talking
from tests.serving import free_port

ONCE = APIConnectOptions(max_retry=0)


def asking(text: str) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="developer", content="You are brief.")
    context.add_message(role="user", content=[text])
    return context


async def test_an_answer_comes_token_by_token_and_says_what_was_used(chat_server: talking.Served) -> None:
    async with LLM(chat_server.url, temperature=0.0, max_completion_tokens=20) as writer:
        chunks = [chunk async for chunk in writer.chat(chat_ctx=asking("Tell me a story."))]
        whole = await writer.chat(chat_ctx=asking("Tell me a story.")).collect()
    texts = [chunk.delta.content for chunk in chunks if chunk.delta and chunk.delta.content]
    usage = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(texts) > 3
    assert whole.text == "".join(texts).strip()
    assert len(usage) == 1
    assert 0 < usage[0].completion_tokens <= 20
    assert usage[0].total_tokens == usage[0].completion_tokens + usage[0].prompt_tokens


async def test_options_of_a_call_go_before_those_of_the_model(fake_chat_server: talking.Served) -> None:
    async with LLM(fake_chat_server.url, max_completion_tokens=20) as writer:
        answer = writer.chat(chat_ctx=asking("Tell me a story."), extra_kwargs={"max_completion_tokens": 3})
        assert (await answer.collect()).usage.completion_tokens == 3  # type: ignore[union-attr]


async def test_an_answer_that_is_given_up_is_not_written_on() -> None:
    async with holding.held() as here, LLM(here.served.url) as writer:
        stream = writer.chat(chat_ctx=asking("Tell me a story."))
        await here.until_writing(3)
        await stream.aclose()
        await here.assert_free_within_one_step()


async def test_the_next_turn_finds_the_last_one_in_the_cache(llama_chat_server: talking.Served) -> None:
    context = asking("Say hello.")
    async with LLM(llama_chat_server.url, temperature=0.0, max_completion_tokens=8) as writer:
        first = await writer.chat(chat_ctx=context).collect()
        context.add_message(role="assistant", content=first.text)
        context.add_message(role="user", content="Again.")
        second = await writer.chat(chat_ctx=context).collect()
    assert second.usage is not None
    assert second.usage.prompt_cached_tokens > 8


async def test_what_is_refused_is_an_error_with_its_status(fake_chat_server: talking.Served) -> None:
    async with LLM(fake_chat_server.url, n=2) as writer:
        with pytest.raises(APIStatusError, match="one completion") as refused:
            await writer.chat(chat_ctx=asking("Hello."), conn_options=ONCE).collect()
    assert refused.value.status_code == 400
    assert not refused.value.retryable


async def test_tools_are_refused_at_once(fake_chat_server: talking.Served) -> None:
    @function_tool
    async def weather(place: str) -> str:
        """The weather."""
        return place

    async with LLM(fake_chat_server.url) as writer:
        with pytest.raises(ValueError, match="tools are not served"):
            writer.chat(chat_ctx=asking("Hello."), tools=[weather])


async def test_a_server_that_is_not_there_is_a_broken_connection() -> None:
    async with LLM(f"http://127.0.0.1:{free_port()}") as writer:
        with pytest.raises(APIConnectionError):
            await writer.chat(chat_ctx=asking("Hello."), conn_options=ONCE).collect()


async def test_it_connects_before_it_is_asked(fake_chat_server: talking.Served) -> None:
    async with LLM(fake_chat_server.url) as writer:
        writer.prewarm()
        assert (await writer.chat(chat_ctx=asking("hello")).collect()).text.casefold() == "hello."
