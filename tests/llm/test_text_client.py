"""`TextClient` against real servers: what it hears is what a socket hears, chunk by chunk."""

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from app.clients import Answer, Disconnected, Pause, Refused, TextClient
from app.clients.text import Turn
from tests.llm.talking import Served, serve_process, talk
from tests.serving import free_port

STORY: list[Turn] = [{"role": "user", "content": "Tell me a story about a fox and a river, in five sentences."}]
SENTENCE = Pause(at_sentence=True)


async def tokens(answer: Answer, pause: Pause | None = None) -> list[str]:
    """The next chunk."""
    return [token async for token in answer.chunk(pause)]


async def test_chunks_are_what_a_socket_hears(served: Served) -> None:
    async with TextClient(served.url) as client, client.answer(STORY, SENTENCE, temperature=0) as answer:
        chunks: list[list[str]] = []
        while not answer.is_done:
            chunks.append(await tokens(answer))
            assert answer.last is not None
            assert answer.last.text == "".join(chunks[-1])
    async with talk(served) as talker:
        over = await talker.start(messages=STORY, pause={"max_tokens": 2000}, temperature=0)
    assert len(chunks) > 1
    assert answer.text == "".join(map("".join, chunks)) == over["full_text"]


@pytest.mark.slow
async def test_a_pause_ends_the_chunk_and_the_answer_goes_on(llama_server: Served) -> None:
    async with TextClient(llama_server.url) as client, client.answer(STORY, temperature=0, seed=1) as answer:
        chunk = answer.chunk()
        first = await anext(chunk)
        await answer.pause()
        rest = [token async for token in chunk]
        assert answer.last is not None
        assert answer.last.text == first + "".join(rest)
        await answer.pause()  # too late
        assert await tokens(answer, Pause(max_tokens=2))
        assert answer.last.reason == "max_tokens"


async def test_a_pause_that_crosses_the_end_of_its_chunk_does_no_harm() -> None:
    async def be_late(socket: ServerConnection) -> None:
        named = {"stream_id": json.loads(await socket.recv())["stream_id"]}
        over = {"type": "paused", "reason": "max_tokens", "text": "a", "tokens": 1}
        await socket.send(json.dumps({"type": "token", "content": "a", **named}))
        while json.loads(await socket.recv())["action"] != "pause_stream":
            pass
        await socket.send(json.dumps(over | named))
        await socket.recv()
        await socket.send(json.dumps({"error": "no chunk is being written", "code": "wrong_state", **named}))
        await socket.send(json.dumps({"type": "done", "reason": "eos", **named}))
        await socket.wait_closed()

    async with (
        serve(be_late, "127.0.0.1", 0) as server,
        TextClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client,
        client.answer(STORY) as answer,
    ):
        chunk = answer.chunk()
        assert await anext(chunk) == "a"
        await answer.pause()
        assert [token async for token in chunk] == []
        assert await tokens(answer) == []
        assert answer.is_done


async def test_a_chunk_that_was_left_is_taken_up_again(served: Served) -> None:
    async with TextClient(served.url) as client, client.answer(STORY, Pause(8), temperature=0) as answer:
        async for _ in answer.chunk():
            break
        await tokens(answer)
        assert answer.last is not None
        assert answer.text == answer.last.text
        assert answer.last.num_tokens == 8


async def test_an_answer_goes_on_with_what_a_user_adds(served: Served) -> None:
    async with TextClient(served.url) as client, client.answer(STORY, Pause(5), temperature=0) as answer:
        await tokens(answer)
        assert [token async for token in answer.chunk(append="And now say hello.")]


async def test_a_cancel_ends_the_chunk_and_frees_the_server(served: Served) -> None:
    async with TextClient(served.url) as client:
        answer = client.answer(STORY)
        chunk = answer.chunk()
        first = await anext(chunk)
        assert (await answer.cancel()).startswith(first)
        assert [token async for token in chunk] == []
        assert await tokens(answer) == []
        await served.until_idle()
        async with client.answer(STORY, Pause(3)) as other:
            assert await tokens(other)
        await served.until_idle()


async def test_several_answers_are_written_at_once(served: Served) -> None:
    async with TextClient(served.url) as client:
        answers = [client.answer(STORY, Pause(10), temperature=0) for _ in range(3)]
        texts = await asyncio.gather(*map(tokens, answers))
        assert texts[0] == texts[1] == texts[2] != []
        for answer in answers:
            await answer.cancel()


async def test_a_refusal_is_raised_where_tokens_were_waited_for(served: Served) -> None:
    async with TextClient(served.url) as client:
        with pytest.raises(Refused) as refusal:
            await tokens(client.answer(STORY, temperature=9))
        assert refusal.value.code == "invalid_field"
        assert await tokens(client.answer(STORY, Pause(3)))


@pytest.mark.slow
async def test_a_server_that_is_started_again_is_found_again(tmp_path: Path) -> None:
    port = str(free_port())
    async with TextClient(f"http://127.0.0.1:{port}") as client:
        with serve_process("tests.llm.served", log=tmp_path / "log", port=port):
            answer = client.answer(STORY, Pause(3))
            await tokens(answer)
        with pytest.raises(Disconnected):
            await tokens(answer)
        with serve_process("tests.llm.served", log=tmp_path / "log", port=port):
            assert await tokens(client.answer(STORY, Pause(3)))
