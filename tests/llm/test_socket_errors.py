"""Messages that are wrong, and streams that cannot be: each gets an error with a code, and the socket lives."""

import asyncio
import json
import threading
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.settings import LlmSettings
from engines.fake import Gate
from engines.llm.fake import FakeText
from tests.llm.served import tell
from tests.llm.talking import ASKING, Message, Served, Talker, serve_here, talk
from tests.llm.test_socket_messages import MALFORMED, WRONG
from tests.running import until

START = {"action": "start_stream", "stream_id": "a", "messages": ASKING}
WRONG_MESSAGES: list[dict[str, Any]] = [
    {},
    {"action": "sing"},
    {"action": None},
    *(START | fields for fields, _ in WRONG),
    {"action": "continue_stream", "stream_id": 5},
    {"action": "continue_stream", "stream_id": "a", "append": 5},
    {"action": "continue_stream", "stream_id": "a", "append": [{"role": "user"}]},
    {"action": "end_stream"},
    {"action": "cancel_stream", "stream_id": ""},
]


def check_error(message: Message) -> None:
    assert set(message) == {"stream_id", "error", "code"}
    assert isinstance(message["error"], str)
    assert isinstance(message["code"], str)
    assert "Traceback" not in message["error"]


async def check_refused(talker: Talker, data: str | bytes) -> Message:
    """The answer to this message is one error, and the socket goes on."""
    try:
        await talker.socket.send(data)
        error = await talker.next()
        check_error(error)
        await talker.ping()
        assert len(talker.heard) == 2
        assert (await talker.start(pause={"max_tokens": 2}))["tokens"] == 2
    except ConnectionClosed as closed:
        pytest.fail(f"the socket did not live: {closed}")
    return error


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_message_is_an_error_and_the_socket_lives(
    fake_text_server: Served, data: str | bytes
) -> None:
    async with talk(fake_text_server) as talker:
        assert (await check_refused(talker, data))["code"] == "malformed_json"


@pytest.mark.parametrize("message", WRONG_MESSAGES, ids=[json.dumps(message)[:60] for message in WRONG_MESSAGES])
async def test_a_wrong_message_is_an_error_and_the_socket_lives(
    fake_text_server: Served, message: dict[str, Any]
) -> None:
    async with talk(fake_text_server) as talker:
        await check_refused(talker, json.dumps(message))


async def test_a_message_that_is_too_long_is_an_error_and_the_socket_lives(fake_text_server: Served) -> None:
    async with talk(fake_text_server) as talker:
        message = json.dumps(START | {"messages": [{"role": "user", "content": "x" * 5_000_000}]})
        assert (await check_refused(talker, message))["code"] == "too_large"


@pytest.mark.parametrize("action", ["continue_stream", "pause_stream", "cancel_stream"])
async def test_an_unknown_stream_is_not_found(served: Served, action: str) -> None:
    async with talk(served) as talker:
        error = await check_refused(talker, json.dumps({"action": action, "stream_id": "nobody"}))
        assert error == {"stream_id": "nobody", "error": "Stream not found", "code": "stream_not_found"}


async def test_a_name_that_is_taken_is_refused_and_its_stream_goes_on(served: Served) -> None:
    async with talk(served) as talker:
        await talker.start(pause={"max_tokens": 2})
        error = await talker.start(pause={"max_tokens": 2})
        check_error(error)
        assert (error["stream_id"], error["code"]) == ("a", "stream_exists")
        assert (await talker.go_on(pause={"max_tokens": 2}))["tokens"] == 2


@pytest.mark.parametrize("num_sockets", [1, 3])
async def test_streams_beyond_the_number_that_is_set_are_refused_at_once(num_sockets: int) -> None:
    async with serve_here(lambda: FakeText(tell), settings=LlmSettings(max_sessions=3)) as here:
        talkers = [talk(here.served) for _ in range(num_sockets)]
        sockets = [await talker.__aenter__() for talker in talkers]
        for number in range(3):
            await sockets[number % num_sockets].start(f"s{number}", pause={"max_tokens": 2})
        error = await sockets[0].start("one more")
        check_error(error)
        assert (error["stream_id"], error["code"]) == ("one more", "at_capacity")
        assert "3" in error["error"]
        await sockets[0].end("s0")
        assert (await sockets[0].start("one more", pause={"max_tokens": 2}))["tokens"] == 2
        for talker in talkers:
            await talker.__aexit__(None, None, None)


async def test_a_flood_of_starts_is_refused_beyond_the_number_that_is_set() -> None:
    gate = Gate()
    async with serve_here(lambda: FakeText(tell, gate=gate), settings=LlmSettings(max_sessions=3)) as here:
        async with talk(here.served) as talker:
            for number in range(200):
                await talker.send("start_stream", f"s{number}", messages=ASKING)
            for _ in range(197):
                check_error(await talker.next())
            assert {message["code"] for message in talker.heard} == {"at_capacity"}
            assert here.engine.num_sessions == 3
        gate.allow(float("inf"))
        await until(lambda: here.engine.num_sessions == 0, "all are over")


async def test_a_conversation_that_is_too_long_is_refused_with_both_numbers(served: Served) -> None:
    async with talk(served) as talker:
        context = (await served.health())["context"]
        error = await talker.start(messages=[{"role": "user", "content": "word " * (context + 7)}])
        check_error(error)
        assert (error["stream_id"], error["code"]) == ("a", "context_length_exceeded")
        assert str(context) in error["error"]
        assert (await talker.start(pause={"max_tokens": 2}))["tokens"] == 2, "its name is free"
        error = await talker.go_on(append="word " * (context + 7))
        assert error["code"] == "context_length_exceeded"
        assert (await talker.go_on(pause={"max_tokens": 2}))["tokens"] == 2, "the stream is as it was"


async def test_while_the_model_is_loading_no_socket_is_accepted() -> None:
    may_load = threading.Event()

    def load() -> FakeText:
        may_load.wait(10)
        return FakeText(tell)

    async with serve_here(load, wait_ready=False) as here:
        with pytest.raises(InvalidStatus) as caught:
            async with talk(here.served):
                pass
        response = caught.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert json.loads(response.body)["error"]["code"] == "loading"
        may_load.set()
        await until(lambda: here.engine.state == "ready", "it is loaded")
        async with talk(here.served) as talker:
            assert (await talker.start(pause={"max_tokens": 2}))["tokens"] == 2


async def test_when_the_engine_fails_every_stream_is_told_and_the_socket_is_closed() -> None:
    failures: list[Exception] = []
    gate = Gate()
    async with serve_here(lambda: FakeText(tell, fails_at=9, gate=gate), on_failure=failures.append) as here:
        async with talk(here.served) as talker:
            for name in "abc":
                await talker.send("start_stream", name, messages=ASKING, stream_tokens=True)
            await talker.send("start_stream", "idle", messages=ASKING)
            await talker.send("pause_stream", "idle")
            await until(lambda: here.engine.num_sessions == 4, "all are there")
            gate.allow(float("inf"))
            with pytest.raises(ConnectionClosed) as closed:
                await talker.until(lambda _: False)
            errors = [message for message in talker.heard if "error" in message]
            assert {error["code"] for error in errors} == {"engine_failure"}
            assert {error["stream_id"] for error in errors} >= set("abc")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
        await until(lambda: bool(failures), "what serves the engine is told as well, after the streams")
        assert [str(error) for error in failures] == ["the fake device has failed, as it was told to"]


async def test_when_the_model_is_loaded_again_the_socket_lives_on() -> None:
    models: list[FakeText] = []

    def load() -> FakeText:
        models.append(FakeText(tell, fails_at=None if models else 2))
        return models[-1]

    async with serve_here(load, num_restarts=1) as here, talk(here.served) as talker:
        assert (await talker.start())["code"] == "engine_failure"
        await here.engine.wait_ready()
        assert (await talker.start())["done"]


async def test_fields_that_are_not_known_are_ignored(served: Served) -> None:
    async with talk(served) as talker:
        over = await talker.start(pause={"max_tokens": 2, "mood": 1}, mood="merry", voice={"id": "aria"})
        assert over["tokens"] == 2


async def test_json_in_a_binary_message_is_understood(served: Served) -> None:
    async with talk(served) as talker:
        await talker.socket.send(b'{"action": "ping"}')
        assert await talker.next() == {"status": "pong"}


async def test_an_error_in_mid_chunk_loses_nothing_of_the_stream() -> None:
    gate = Gate()
    async with serve_here(lambda: FakeText(tell, gate=gate)) as here, talk(here.served) as talker:
        await talker.send("start_stream", messages=ASKING, stream_tokens=True)
        await asyncio.to_thread(gate.wait_held)
        for data in ("{", '{"action": "sing"}', '{"action": "start_stream", "stream_id": "a", "messages": []}'):
            await talker.socket.send(data)
            check_error(await talker.next())
        gate.allow(float("inf"))
        over = await talker.until(lambda message: message.get("type") == "done")
        assert "".join(talker.tokens()) == over["text"]
