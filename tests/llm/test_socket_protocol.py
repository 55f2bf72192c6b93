"""The socket's half of the protocol, line by line, on the fake and on the real model."""

import re
from itertools import pairwise
from typing import Any

import pytest

from tests.llm.talking import Message, Served, talk

GREEDY = {"temperature": 0}
STORY = [{"role": "user", "content": "Tell me a story about a fox and a river, in five sentences."}]

TOKEN_FIELDS = {"type", "stream_id", "content"}
OVER_FIELDS = {"type", "stream_id", "reason", "text", "tokens", "ttft_ms", "elapsed_ms"}
CHUNK_FIELDS = {"stream_id", "text", "tokens", "paused", "reason", "done", "ttft_ms", "full_text"}


async def answer_of(served: Served, **fields: Any) -> list[Message]:
    """All chunks of a stream that is continued as it was begun, until it is done."""
    async with talk(served) as talker:
        chunks = [await talker.start(**({"messages": STORY} | GREEDY | fields))]
        while not (chunks[-1].get("done") or chunks[-1].get("type") == "done"):
            chunks.append(await talker.go_on(pause=fields.get("pause")))
        return chunks


def text_of(chunks: list[Message]) -> str:
    return "".join(chunk["text"] for chunk in chunks)


# -- what is sent ------------------------------------------------------------------------------------------------------


async def test_token_mode_sends_each_token_and_then_one_end(served: Served) -> None:
    async with talk(served) as talker:
        over = await talker.start(messages=STORY, pause={"max_tokens": 12}, stream_tokens=True)
        *tokens, last = talker.heard
        assert last is over
        assert all(set(token) == TOKEN_FIELDS and token["type"] == "token" for token in tokens)
        assert set(over) == OVER_FIELDS
        assert (over["type"], over["reason"], over["tokens"]) == ("paused", "max_tokens", 12)
        assert 0 < len(tokens) <= 12
        assert "".join(talker.tokens()) == over["text"]
        assert 0 <= over["ttft_ms"] <= over["elapsed_ms"]
        over = await talker.go_on(pause={"max_tokens": 5})
        assert (over["type"], over["tokens"]) == ("paused", 5)


async def test_buffered_mode_sends_whole_chunks(served: Served) -> None:
    async with talk(served) as talker:
        first = await talker.start(messages=STORY, pause={"max_tokens": 12})
        assert set(first) == CHUNK_FIELDS | {"status"}
        assert (first["status"], first["paused"], first["done"], first["reason"]) == (
            "started", True, False, "max_tokens",
        )  # fmt: skip
        assert (first["tokens"], first["full_text"]) == (12, first["text"])
        second = await talker.go_on(pause={"max_tokens": 7})
        assert set(second) == CHUNK_FIELDS
        assert (second["tokens"], second["full_text"]) == (7, first["text"] + second["text"])
        assert len(talker.heard) == 2, "a message a chunk"


async def test_every_message_about_a_stream_carries_its_id(served: Served) -> None:
    async with talk(served) as talker:
        await talker.start("x", pause={"max_tokens": 3}, stream_tokens=True)
        await talker.start("y", pause={"max_tokens": 3})
        await talker.send("cancel_stream", "x")
        await talker.send("continue_stream", "x")
        await talker.end("y")
        await talker.ping()
        assert all(message["stream_id"] in ("x", "y") for message in talker.heard if message != {"status": "pong"})


async def test_ping_is_answered(served: Served) -> None:
    async with talk(served) as talker:
        await talker.send("ping", None)
        assert await talker.next() == {"status": "pong"}


async def test_end_stream_is_answered_for_an_unknown_id_too(served: Served) -> None:
    async with talk(served) as talker:
        await talker.start(pause={"max_tokens": 2})
        for _ in range(2):
            await talker.send("end_stream")
            assert await talker.next() == {"stream_id": "a", "status": "ended"}
        assert (await talker.go_on())["error"] == "Stream not found"
        assert (await talker.start(pause={"max_tokens": 2}))["status"] == "started", "its name is free again"


async def test_cancel_stream_is_answered_between_chunks(served: Served) -> None:
    async with talk(served) as talker:
        first = await talker.start(pause={"max_tokens": 3})
        await talker.send("cancel_stream")
        cancelled = {"type": "cancelled", "stream_id": "a", "status": "cancelled", "full_text": first["text"]}
        assert await talker.next() == cancelled
        assert (await talker.start(pause={"max_tokens": 3}))["status"] == "started", "its name is free again"


# -- where a chunk ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_tokens", [1, 2, 17])
async def test_max_tokens_is_exact(served: Served, num_tokens: int) -> None:
    chunks = await answer_of(served, pause={"max_tokens": num_tokens}, max_total_tokens=60)
    assert {chunk["tokens"] for chunk in chunks[:-1]} <= {num_tokens}
    assert sum(chunk["tokens"] for chunk in chunks) <= 60


@pytest.mark.parametrize("stream_tokens", [False, True])
async def test_the_chunks_of_a_greedy_answer_are_the_answer_that_has_no_pauses(
    served: Served, stream_tokens: bool
) -> None:
    whole = await answer_of(served, max_total_tokens=150)
    for pause in ({"max_tokens": 1}, {"max_tokens": 7}, {"sentence_boundary": True}):
        chunks = await answer_of(served, pause=pause, max_total_tokens=150, stream_tokens=stream_tokens)
        assert len(chunks) > 1
        assert text_of(chunks) == text_of(whole)
        assert sum(chunk["tokens"] for chunk in chunks) == sum(chunk["tokens"] for chunk in whole)


async def test_a_sentence_boundary_ends_a_chunk_behind_its_sentence(served: Served) -> None:
    chunks = await answer_of(served, pause={"sentence_boundary": True})
    assert len(chunks) > 2
    for chunk, following in pairwise(chunks):
        assert chunk["reason"] == "sentence_boundary"
        assert re.search(r"""[.!?:]["')\]]*\s*$|\n$""", chunk["text"]), chunk["text"]
        assert not re.match(r"\s*[a-z,]", following["text"]), following["text"]
        assert chunk["tokens"] <= 200


async def test_of_both_whichever_comes_first_ends_it(served: Served) -> None:
    chunks = await answer_of(served, pause={"sentence_boundary": True, "max_tokens": 6}, max_total_tokens=200)
    assert all(chunk["tokens"] <= 6 for chunk in chunks)
    reasons = {chunk["reason"] for chunk in chunks[:-1]}
    assert reasons == {"max_tokens", "sentence_boundary"}
    assert all(chunk["tokens"] == 6 for chunk in chunks if chunk["reason"] == "max_tokens" and not chunk["done"])


async def test_neither_writes_to_the_end(served: Served) -> None:
    async with talk(served) as talker:
        over = await talker.start(messages=[{"role": "user", "content": "Say hello."}], **GREEDY)
        assert (over["done"], over["paused"], over["reason"]) == (True, False, "eos")
        again = await talker.go_on()
        assert (again["reason"], again["text"], again["tokens"], again["done"]) == ("already_done", "", 0, True)
        assert again["full_text"] == over["full_text"]


async def test_a_chunk_ends_in_front_of_a_stop_word(served: Served) -> None:
    whole = text_of(await answer_of(served))
    word = whole.split()[4]
    for stop in (word, ["never said", word]):
        chunks = await answer_of(served, stop=stop)
        assert chunks[-1]["reason"] == "stop_word"
        assert text_of(chunks) == whole[: whole.index(word)]


async def test_max_total_tokens_ends_the_stream(served: Served) -> None:
    chunks = await answer_of(served, pause={"max_tokens": 8}, max_total_tokens=20)
    assert [chunk["tokens"] for chunk in chunks] == [8, 8, 4]
    assert (chunks[-1]["reason"], chunks[-1]["done"]) == ("max_tokens", True)


@pytest.mark.parametrize("said", ["Say hello.", [{"role": "user", "content": "Say hello."}]])
async def test_append_goes_on_with_what_a_user_says(served: Served, fake_text_server: Served, said: object) -> None:
    async with talk(served) as talker:
        story = await talker.start(messages=STORY, pause={"max_tokens": 5}, **GREEDY)
        over = await talker.go_on(append=said, pause={"sentence_boundary": True})
        assert over["reason"] in ("sentence_boundary", "sentence_boundary_eos")
        assert over["text"] == "Hello." or served is not fake_text_server, "a small model says what it likes"
        assert over["full_text"] == story["text"] + over["text"]


@pytest.mark.parametrize("nothing", ["", [], None])
async def test_appending_nothing_goes_on_with_the_answer(served: Served, nothing: object) -> None:
    whole = text_of(await answer_of(served, max_total_tokens=20))
    async with talk(served) as talker:
        await talker.start(messages=STORY, pause={"max_tokens": 5}, **GREEDY)
        over = await talker.go_on(append=nothing, pause={"max_tokens": 5})
        assert over["tokens"] == 5
        assert whole.startswith(over["full_text"])


async def test_append_revives_an_answer_that_is_over(served: Served) -> None:
    async with talk(served) as talker:
        over = await talker.start(messages=[{"role": "user", "content": "Say hello."}], **GREEDY)
        assert over["done"]
        assert (await talker.go_on())["reason"] == "already_done"
        over = await talker.go_on(append="Tell me a story.", pause={"max_tokens": 6})
        assert (over["reason"], over["tokens"]) == ("max_tokens", 6)


# -- sampling ----------------------------------------------------------------------------------------------------------


async def test_a_seed_makes_an_answer_that_can_be_had_again(served: Served) -> None:
    first, second = [text_of(await answer_of(served, temperature=1.0, seed=7, max_total_tokens=40)) for _ in range(2)]
    assert first == second


@pytest.mark.parametrize(
    "fields", [{"temperature": 2}, {"top_p": 0}, {"top_k": 0}, {"top_k": 1}, {"seed": 2**63 - 1}, {"seed": -1}]
)
async def test_every_sampling_that_is_understood_is_served(served: Served, fields: dict[str, Any]) -> None:
    async with talk(served) as talker:
        over = await talker.start(messages=STORY, pause={"max_tokens": 3}, **fields)
        assert over["tokens"] == 3


# -- several streams ---------------------------------------------------------------------------------------------------


async def test_several_streams_of_a_socket_are_written_at_the_same_time(served: Served) -> None:
    names = [f"stream {number}" for number in range(4)]
    async with talk(served) as talker:
        for name in names:
            await talker.send("start_stream", name, messages=STORY, stream_tokens=True, max_total_tokens=40, **GREEDY)
        for name in names:
            if not any(is_over(message) for message in talker.of(name)):
                await talker.until_over(name)
        order = [message["stream_id"] for message in talker.heard if message["type"] == "token"]
        assert order != sorted(order), "they take turns"
        for name in names:
            *_, over = talker.of(name)
            assert "".join(talker.tokens(name)) == over["text"]


def is_over(message: Message) -> bool:
    return message["type"] in ("paused", "done")


async def test_a_stream_belongs_to_its_socket(served: Served) -> None:
    async with talk(served) as one, talk(served) as other:
        await one.start(pause={"max_tokens": 2})
        assert (await other.go_on())["error"] == "Stream not found"
        await other.start(pause={"max_tokens": 2})
        await other.end()
        assert (await one.go_on(pause={"max_tokens": 2}))["tokens"] == 2


async def test_leaving_a_socket_frees_all_that_its_streams_held(served: Served) -> None:
    async with talk(served) as talker:
        for name in "abc":
            await talker.start(name, pause={"max_tokens": 2})
        await talker.send("start_stream", "d", messages=STORY)
    await served.until_idle()
