"""Messages that are wrong: each gets an `error`, and the socket lives."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from engines.fake import FakeModel
from tests.hearing import Listener, listen, spoken, until_closed
from tests.serving import Served, serve_here

SHORT = "Good morning."

MALFORMED: dict[str, str | bytes] = {
    "nothing": "",
    "half an object": "{",
    "not JSON": "hello",
    "bytes that are not text": b"\xff\xfe\x00\x01",
    "two documents": '{"type": "ping"} {}',
    "half a surrogate pair": '{"type": "text", "text": "Hello \\ud83d."}',
    "an array": "[]",
    "null": "null",
    "a number": "5",
    "a string": '"ping"',
    "an object nested too deep": '{"type": "ping", "more": ' + "[" * 50_000 + "]" * 50_000 + "}",
    "brackets without end": "[" * 100_000,
}

WRONG: list[dict[str, Any]] = [
    {},
    {"type": "sing"},
    {"type": 5},
    {"type": None},
    {"type": "TEXT", "text": SHORT},
    {"type": "text"},
    {"type": "text", "text": None},
    {"type": "text", "text": 5},
    {"type": "text", "text": SHORT, "mode": "loud"},
    {"type": "text", "text": SHORT, "preset": "reckless"},
    {"type": "text", "text": "word " * 10_000},
    {"type": "init", "voice": 5},
    {"type": "init", "voice": "nobody"},
    {"type": "init", "voice": {"id": "nobody"}},
    {"type": "init", "language": "tlh"},
    {"type": "init", "language": 5},
    {"type": "init", "default_mode": "loud"},
    {"type": "init", "sample_rate": 11025},
    {"type": "init", "sample_rate": "22050"},
    {"type": "init", "encoding": "opus"},
    {"type": "init", "aggregate": "page"},
    {"type": "init", "send_rate": -1},
    {"type": "init", "send_rate": "fast"},
    {"type": "init", "word_timestamps": "yes"},
    {"type": "init", "speed": 9},
    {"type": "init", "seed": "lucky"},
    {"type": "init", "temperature": -1},
    {"type": "init", "top_k": 0},
    {"type": "init", "cfg_scale": 11},
    {"type": "cancel", "played_ms": "some"},
    {"type": "cancel", "played_ms": -5},
]


async def check_refused(listener: Listener, data: str | bytes) -> dict[str, Any]:
    """The answer to this message is one error that is not fatal, and the socket goes on."""
    try:
        await listener.socket.send(data)
        error = await listener.until("error")
        await listener.send("ping")
        await listener.until("pong")
    except ConnectionClosed as closed:
        pytest.fail(f"the socket did not live: {closed}")
    assert [kind for kind in listener.kinds if kind != "stream_created"] == ["error", "pong"]
    assert isinstance(error["message"], str)
    assert isinstance(error["code"], str)
    assert error["fatal"] is False
    assert "Traceback" not in error["message"]
    await listener.speak([SHORT])
    assert listener.audio
    return error


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_message_is_an_error_and_the_socket_lives(server: Served, data: str | bytes) -> None:
    async with listen(server) as listener:
        await check_refused(listener, data)


@pytest.mark.parametrize("message", WRONG, ids=[json.dumps(message)[:50] for message in WRONG])
async def test_a_wrong_message_is_an_error_and_the_socket_lives(server: Served, message: dict[str, Any]) -> None:
    async with listen(server) as listener:
        await check_refused(listener, json.dumps(message))


@pytest.mark.parametrize(
    ("fields", "choice"),
    [({"voice": "nobody"}, "alloy"), ({"language": "tlh"}, "en"), ({"sample_rate": 1}, "22050")],
)
async def test_an_error_lists_the_choices(server: Served, fields: dict[str, Any], choice: str) -> None:
    async with listen(server) as listener:
        error = await check_refused(listener, json.dumps({"type": "init", **fields}))
        assert choice in error["message"]


async def test_fields_that_are_not_known_are_ignored(server: Served) -> None:
    async with listen(server) as listener:
        await listener.send("ping", sequence=5)
        await listener.until("pong")
        plain = await spoken(server, [SHORT], fields={"mode": "stream"})
        await listener.speak([SHORT], fields={"mode": "stream", "mood": "merry"}, client="old")
        assert listener.audio == plain.audio


async def test_json_in_a_binary_message_is_understood(server: Served) -> None:
    async with listen(server) as listener:
        await listener.socket.send(b'{"type": "ping"}')
        await listener.until("pong")


async def test_an_error_in_mid_stream_loses_nothing_of_the_stream(server: Served) -> None:
    texts = ["This is the first.", "This is the second."]
    plain = await spoken(server, texts, fields={"mode": "stream"})
    async with listen(server) as listener:
        await listener.begin(send_rate=0)
        await listener.say(texts[:1], mode="stream")
        await listener.socket.send("{")
        await listener.send("sing")
        await listener.send("text", text=5)
        await listener.say(texts[1:], mode="stream")
        await listener.finish()
        assert len(listener.of("error")) == 3
        assert listener.segments == plain.segments


async def test_when_the_engine_fails_the_socket_is_closed_with_1011_behind_the_error() -> None:
    async with (
        serve_here(lambda wake: FakeModel(wake, broken="broken")) as here,
        connect(here.served.socket_url) as socket,
    ):
        await socket.send(json.dumps({"type": "text", "text": "This is broken."}))
        messages = [json.loads(message) async for message in until_closed(socket) if isinstance(message, str)]
        assert (messages[-1]["type"], messages[-1]["fatal"]) == ("error", True)
        assert socket.close_code == 1011
        assert here.engine.num_sessions == 0


async def test_when_the_model_is_loaded_again_the_socket_lives_on() -> None:
    async with (
        serve_here(lambda wake: FakeModel(wake, broken="broken"), num_restarts=1) as here,
        listen(here.served) as listener,
    ):
        await listener.send("text", text="This is broken.", mode="stream")
        assert (await listener.until("error")).items() >= {"code": "engine_failure", "fatal": False}.items()
        await here.engine.wait_ready()
        await listener.speak([SHORT])
        assert listener.audio
        await listener.send("text", text="This is broken.", mode="stream")
        assert (await listener.until("error"))["fatal"] is True
