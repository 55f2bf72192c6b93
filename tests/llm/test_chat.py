"""`POST /v1/chat/completions`: whole and streamed, what was used, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.settings import LlmSettings
from engines.llm.fake import FakeText
from tests.contract import check_refusal
from tests.llm.served import tell
from tests.llm.talking import Message, Served, serve_here, talk

STORY = [{"role": "user", "content": "Tell me a story about a fox and a river, in five sentences."}]
GREEDY: Message = {"messages": STORY, "temperature": 0}
PATH = "/v1/chat/completions"


async def ask(served: Served, **fields: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        return await client.post(PATH, json=GREEDY | fields)


async def asked(served: Served, **fields: Any) -> Message:
    response = await ask(served, **fields)
    assert response.status_code == 200, response.text
    return response.json()


async def events_of(response: httpx.Response) -> AsyncIterator[str]:
    async for line in response.aiter_lines():
        if line:
            assert line.startswith("data: ")
            yield line.removeprefix("data: ")


async def streamed(served: Served, **fields: Any) -> list[Message]:
    """The chunks of an answer; behind them comes [DONE], and nothing else."""
    body = GREEDY | {"stream": True} | fields
    async with httpx.AsyncClient(timeout=60) as client, client.stream("POST", served.url + PATH, json=body) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        events = [event async for event in events_of(response)]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


def text_of(chunks: list[Message]) -> str:
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


# -- the answer --------------------------------------------------------------------------------------------------------


async def test_a_whole_answer_has_openais_shape(chat_server: Served) -> None:
    answer = await asked(chat_server, max_tokens=12)
    assert set(answer) == {"id", "object", "created", "model", "choices", "usage"}
    assert answer["object"] == "chat.completion"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["model"] == (await chat_server.health())["model"]
    (choice,) = answer["choices"]
    assert choice["index"] == 0
    assert choice["finish_reason"] == "length"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    used = answer["usage"]
    assert used["completion_tokens"] == 12
    assert used["total_tokens"] == used["prompt_tokens"] + 12
    details = used["prompt_tokens_details"]
    assert details["cached_tokens"] + details["evaluated_tokens"] == used["prompt_tokens"]


async def test_a_streamed_answer_is_the_whole_one_in_chunks(chat_server: Served) -> None:
    whole = await asked(chat_server, max_tokens=60)
    chunks = await streamed(chat_server, max_tokens=60)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == len({chunk["created"] for chunk in chunks}) == 1
    assert all("usage" not in chunk and len(chunk["choices"]) == 1 for chunk in chunks)
    first, *middle, last = [chunk["choices"][0] for chunk in chunks]
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert all(set(choice["delta"]) == {"content"} and choice["finish_reason"] is None for choice in middle)
    assert (last["delta"], last["finish_reason"]) == ({}, whole["choices"][0]["finish_reason"])
    assert text_of(chunks) == whole["choices"][0]["message"]["content"]
    assert len(middle) > 10


async def test_what_was_used_comes_in_one_more_chunk_if_it_is_asked_for(chat_server: Served) -> None:
    whole = await asked(chat_server, max_tokens=5)
    *chunks, last = await streamed(chat_server, max_tokens=5, stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert last["usage"][name] == whole["usage"][name]


async def test_an_answer_goes_on_to_its_end(chat_server: Served) -> None:
    answer = await asked(chat_server)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 40


async def test_an_answer_goes_on_beyond_a_chunk_to_the_end_of_the_context() -> None:
    async with serve_here(lambda: FakeText(lambda _: ["word "] * 10_000, context_length=1600)) as here:
        answer = await asked(here.served)
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["total_tokens"] in (1600, 1601)
        assert len(await streamed(here.served, max_tokens=1200)) == 1202


async def test_an_empty_answer_is_an_answer() -> None:
    async with serve_here(lambda: FakeText(lambda _: [])) as here:
        answer = await asked(here.served)
        assert answer["choices"][0]["message"]["content"] == ""
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert text_of(await streamed(here.served)) == ""


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_the_number_of_tokens_may_be_limited_by_either_name(chat_server: Served, name: str) -> None:
    assert (await asked(chat_server, **{name: 7}))["usage"]["completion_tokens"] == 7


async def test_the_newer_name_goes_before_the_older(chat_server: Served) -> None:
    answer = await asked(chat_server, max_tokens=3, max_completion_tokens=7)
    assert answer["usage"]["completion_tokens"] == 7


async def test_an_answer_ends_in_front_of_a_stop_word(chat_server: Served) -> None:
    text = (await asked(chat_server))["choices"][0]["message"]["content"]
    word = text.split()[6]
    for stop in (word, [word], ["never said", word]):
        answer = await asked(chat_server, stop=stop)
        assert answer["choices"][0]["message"]["content"] == text[: text.index(word)]
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert text_of(await streamed(chat_server, stop=stop)) == text[: text.index(word)]


async def test_a_seed_makes_an_answer_that_can_be_had_again(chat_server: Served) -> None:
    drawn = {"temperature": 1.2, "max_tokens": 30}
    first, second = [await asked(chat_server, seed=5, **drawn) for _ in range(2)]
    assert first["choices"] == second["choices"]
    others = [(await asked(chat_server, seed=seed, **drawn))["choices"] for seed in (6, 7, 8)]
    assert any(other != first["choices"] for other in others)


async def test_parts_of_a_turn_are_read_as_one_text(chat_server: Served) -> None:
    text = STORY[0]["content"]
    parts = [{"type": "text", "text": text[:9]}, {"type": "text", "text": text[9:]}]
    in_parts = await asked(chat_server, max_tokens=9, messages=[{"role": "user", "content": parts}])
    assert in_parts["choices"] == (await asked(chat_server, max_tokens=9))["choices"]


async def test_any_model_may_be_named_and_fields_that_are_not_known_are_ignored(chat_server: Served) -> None:
    answer = await asked(
        chat_server, model="gpt-4o", user="me", presence_penalty=0.5, logit_bias={"1": 2}, max_tokens=2
    )
    assert answer["model"] == (await chat_server.health())["model"]


async def test_a_null_is_as_if_the_field_were_left_out(chat_server: Served) -> None:
    names = ("stream", "stream_options", "max_completion_tokens", "top_p", "top_k", "stop", "n", "logprobs",
             "response_format", "tools", "seed")  # fmt: skip
    assert (await asked(chat_server, max_tokens=2, **dict.fromkeys(names)))["object"] == "chat.completion"


# -- the next turn -----------------------------------------------------------------------------------------------------


async def test_the_next_turn_evaluates_only_what_is_new(chat_server: Served) -> None:
    system = {"role": "system", "content": f"You are a fox of {'many ' * 30}words."}
    turns = [system, *STORY]
    answer = await asked(chat_server, messages=turns, max_tokens=30)
    said = answer["choices"][0]["message"]
    turns += [{"role": "assistant", "content": said["content"]}, {"role": "user", "content": "And then?"}]
    used = (await asked(chat_server, messages=turns, max_tokens=5))["usage"]
    before = answer["usage"]["prompt_tokens"]
    assert used["prompt_tokens_details"]["cached_tokens"] >= before - 1
    assert used["prompt_tokens_details"]["evaluated_tokens"] < 40
    assert used["prompt_tokens"] > before + 10


# -- refusals ----------------------------------------------------------------------------------------------------------

WRONG: list[tuple[Message, int, str]] = [
    ({"messages": []}, 422, "messages"),
    ({"messages": None}, 422, "messages"),
    ({"messages": "Hello."}, 422, "messages"),
    ({"messages": [{"role": "user"}]}, 422, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 422, "messages"),
    ({"temperature": 3}, 422, "temperature"),
    ({"temperature": "warm"}, 422, "temperature"),
    ({"top_p": -1}, 422, "top_p"),
    ({"max_tokens": 0}, 422, "max_tokens"),
    ({"max_tokens": "many"}, 422, "max_tokens"),
    ({"stop": ["a"] * 17}, 422, "stop"),
    ({"seed": 1.5}, 422, "seed"),
    ({"stream": "yes"}, 422, "stream"),
    ({"n": 0}, 422, "n"),
    ({"n": 2}, 400, "n"),
    ({"logprobs": True}, 400, "logprobs"),
    ({"response_format": {"type": "json_object"}}, 400, "response_format"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fields", "status", "param"), WRONG, ids=[json.dumps(wrong[0])[:50] for wrong in WRONG])
async def test_a_wrong_field_is_named(
    chat_server: Served, fields: Message, status: int, param: str, stream: bool
) -> None:
    response = await ask(chat_server, **({"stream": stream} | fields))
    assert response.status_code == status
    check_refusal(response)
    error = response.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"messages=Hello", b'{"messages": [{"role": "\xff"}]}', b"[" * 100_000]
)
async def test_a_malformed_body_is_422(chat_server: Served, body: bytes) -> None:
    async with httpx.AsyncClient(base_url=chat_server.url) as client:
        response = await client.post(PATH, content=body)
        assert response.status_code == 422
        check_refusal(response)


async def test_a_body_that_is_too_long_is_413(chat_server: Served) -> None:
    body = GREEDY | {"messages": [{"role": "user", "content": "x" * 9_000_000}]}
    response = await asyncio.to_thread(httpx.post, chat_server.url + PATH, json=body)
    assert response.status_code == 413
    check_refusal(response)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_that_is_too_long_is_refused_in_openais_words(chat_server: Served, stream: bool) -> None:
    context = (await chat_server.health())["context"]
    response = await ask(chat_server, messages=[{"role": "user", "content": "word " * (context + 7)}], stream=stream)
    assert response.status_code == 400
    check_refusal(response)
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert str(context) in error["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_full_server_says_when_to_come_back(stream: bool) -> None:
    settings = LlmSettings(max_sessions=1)
    async with serve_here(lambda: FakeText(tell), settings=settings) as here, talk(here.served) as talker:
        await talker.start(pause={"max_tokens": 1})
        response = await ask(here.served, stream=stream)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "at_capacity")
        check_refusal(response)
        await talker.end()
        assert (await ask(here.served, stream=stream)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_fails_before_the_first_token_is_a_500(stream: bool) -> None:
    async with serve_here(lambda: FakeText(tell, fails_at=0)) as here:
        response = await ask(here.served, stream=stream)
        assert (response.status_code, response.json()["error"]["code"]) == (500, "engine_failure")
        check_refusal(response)


async def test_an_engine_that_fails_in_mid_answer_ends_the_events_with_an_error() -> None:
    body = GREEDY | {"stream": True}
    async with serve_here(lambda: FakeText(tell, fails_at=6)) as here, httpx.AsyncClient() as client:
        async with client.stream("POST", here.served.url + PATH, json=body) as response:
            events = [json.loads(event) async for event in events_of(response)]
        assert text_of(events[:-1])
        assert events[-1]["error"]["code"] == "engine_failure"
        assert events[-1]["error"]["type"] == "server_error"
