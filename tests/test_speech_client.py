"""`SpeechClient` against real servers: it hears what a socket hears, and survives what happens to servers."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from app.clients import (
    Audio,
    Cancelled,
    Created,
    Disconnected,
    Done,
    Event,
    Manner,
    Refused,
    SegmentEnd,
    SpeechClient,
    SpeechStream,
    Warned,
    Words,
)
from app.clients.connection import socket_url
from app.settings import TtsSettings
from engines.fake import FakeModel, Gate
from tests.hearing import spoken
from tests.running import until, until_idle
from tests.serving import Served, free_port, serve_here, serve_process

SHORT = "Good morning."
LONG = "This sentence goes on and on, and it does not end before it has said all that it has to say about itself."
TOKENS = ["Good", " morn", "ing. ", "It", " is", " seven", "."]


async def said(stream: SpeechStream, *texts: str) -> list[Event]:
    """All that comes of a stream that says this and is closed."""
    for text in texts:
        await stream.say(text)
    await stream.close()
    return [event async for event in stream]


async def first_audio(stream: SpeechStream) -> bytes:
    return await anext(stream.audio())


def audio_of(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Audio))


@asynccontextmanager
async def serving(answer: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that is not Tiding."""
    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# -- a stream ----------------------------------------------------------------------------------------------------------


async def test_a_stream_is_what_a_socket_hears(server: Served) -> None:
    manner = Manner(voice="john", seed=3, word_timestamps=True, sample_rate=16000, send_rate=0)
    async with SpeechClient(server.url) as client:
        events = await said(client.stream(**manner), *TOKENS)
    socket = await spoken(server, TOKENS, default_mode="stream", **manner)
    assert audio_of(events) == socket.audio
    words = [word for event in events if isinstance(event, Words) for word in event.words]
    assert [(word.text, word.start_ms, word.char_end) for word in words] == [
        (word["text"], word["start_ms"], word["char_end"]) for word in socket.words
    ]
    assert isinstance(events[0], Created)
    assert events[0].sample_rate == 16000
    assert [event.segment for event in events if isinstance(event, SegmentEnd)] == [1, 2]
    assert isinstance(events[-1], Done)
    assert events[-1].total_audio_ms == pytest.approx(len(socket.audio) / 32, abs=0.1)


async def test_streams_at_once_are_what_each_is_alone(server: Served) -> None:
    manners = [Manner(voice="aria"), Manner(voice="john", sample_rate=8000), Manner(speed=1.5, word_timestamps=True)]
    async with SpeechClient(server.url) as client:
        together = await asyncio.gather(*(said(client.stream(send_rate=0, **manner), *TOKENS) for manner in manners))
    for manner, events in zip(manners, together, strict=True):
        alone = await spoken(server, TOKENS, default_mode="stream", **manner)
        assert audio_of(events) == alone.audio


async def test_a_cancel_is_of_one_stream(server: Served) -> None:
    async with SpeechClient(server.url) as client, client.stream("one", send_rate=1) as one:
        await one.say(LONG)
        assert await first_audio(one)
        going_on = asyncio.create_task(said(client.stream("two", send_rate=0), *TOKENS))
        await one.cancel()
        assert audio_of(await going_on) == (await spoken(server, TOKENS, default_mode="stream")).audio


async def test_a_name_is_had_by_one_stream_at_a_time(fake_server: Served) -> None:
    async with SpeechClient(fake_server.url) as client, client.stream("one") as one:
        with pytest.raises(ValueError, match="'one' is still open"):
            await client.stream("one").open()
        await one.cancel()
        assert audio_of(await said(client.stream("one"), SHORT))


async def test_streams_follow_each_other_on_one_connection(server: Served) -> None:
    async with SpeechClient(server.url) as client:
        first = await said(client.stream(send_rate=0), SHORT)
        second = await said(client.stream(send_rate=0), SHORT)
    assert audio_of(first) == audio_of(second) != b""


async def test_sound_comes_while_text_is_still_to_come(server: Served) -> None:
    async with SpeechClient(server.url) as client, client.stream() as stream:
        await stream.say("It is late")
        await stream.flush()
        assert await first_audio(stream)
        await stream.say(", and dark.")
        await stream.close()
        assert isinstance([event async for event in stream][-1], Done)
        assert stream.text == "It is late, and dark."


async def test_text_that_cannot_be_spoken_is_told(fake_server: Served) -> None:
    async with SpeechClient(fake_server.url) as client:
        events = await said(client.stream(), "Hello 漢.")
    assert [event.code for event in events if isinstance(event, Warned)] == ["unspeakable"]


async def test_nothing_is_said_in_a_stream_that_is_closed(fake_server: Served) -> None:
    async with SpeechClient(fake_server.url) as client:
        stream = client.stream()
        await said(stream, SHORT)
        with pytest.raises(RuntimeError, match="closed"):
            await stream.say(SHORT)
        assert [event async for event in stream] == []


# -- a cancel ----------------------------------------------------------------------------------------------------------


async def test_a_cancel_ends_the_sound_and_tells_what_was_heard(server: Served) -> None:
    async with SpeechClient(server.url) as client, client.stream(send_rate=1) as stream:
        await stream.say(f"{SHORT} {LONG}")
        assert await first_audio(stream)
        cancelled = await stream.cancel(played_ms=1e6)
        assert [event async for event in stream] == []
        assert cancelled.audio_ms_sent > 0
        assert f"{SHORT} {LONG}".startswith(cancelled.text_spoken)


async def test_played_ms_say_how_far_the_listener_came(fake_server: Served) -> None:
    async with SpeechClient(fake_server.url) as client, client.stream(send_rate=0) as stream:
        await stream.say(f"{SHORT} {LONG}", mode="batch")
        async for event in stream:
            if isinstance(event, SegmentEnd):
                break
        assert (await stream.cancel(played_ms=500)).text_spoken == "Good"


async def test_a_stream_that_is_done_and_sounds_still_can_be_cancelled(fake_server: Served) -> None:
    async with SpeechClient(fake_server.url) as client:
        stream = client.stream(send_rate=0)
        await said(stream, SHORT)
        assert (await stream.cancel(played_ms=500)).text_spoken == "Good"
        assert audio_of(await said(client.stream(send_rate=0), SHORT))


async def test_a_cancel_may_be_asked_for_twice_and_before_anything_began(fake_server: Served) -> None:
    async with SpeechClient(fake_server.url) as client:
        assert await client.stream().cancel() == Cancelled()
        stream = client.stream()
        await stream.say(LONG)
        first, second = await asyncio.gather(stream.cancel(), stream.cancel())
        assert first == second == await stream.cancel()
        await stream.say("Nobody hears this.")
        assert [event async for event in stream] == []


async def test_what_was_not_taken_before_a_cancel_is_gone_with_it() -> None:
    gate = Gate()
    async with serve_here(partial(FakeModel, gate=gate)) as here:
        async with SpeechClient(here.served.url) as client, client.stream(send_rate=0) as stream:
            await stream.say(LONG, mode="stream")
            gate.allow(20)
            await until(lambda: stream._events.qsize() > 2, "audio has come")
            cancelling = asyncio.create_task(stream.cancel())
            await asyncio.sleep(0)
            assert [event async for event in stream] == []
            gate.allow(math.inf)
            assert (await cancelling).audio_ms_sent > 0
        await until_idle(here.engine, here.model)


async def test_leaving_the_block_of_a_stream_frees_the_device() -> None:
    async with serve_here() as here, SpeechClient(here.served.url) as client:
        async with client.stream(send_rate=1) as stream:
            await stream.say(LONG)
            assert await first_audio(stream)
        await until_idle(here.engine, here.model)
        assert audio_of(await said(client.stream(), SHORT))


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manner", "code"),
    [
        (Manner(voice="bob"), "unknown_voice"),
        (Manner(language="tlh"), "unsupported_language"),
        (Manner(speed=9.0), "invalid_field"),
    ],
)
async def test_a_refusal_is_raised_where_sound_was_waited_for(server: Served, manner: Manner, code: str) -> None:
    async with SpeechClient(server.url) as client:
        with pytest.raises(Refused) as refusal:
            await said(client.stream(**manner), SHORT)
        assert refusal.value.code == code
        assert audio_of(await said(client.stream(), SHORT))


async def test_a_text_that_is_refused_ends_its_stream_and_frees_the_device() -> None:
    async with (
        serve_here(settings=TtsSettings(max_waiting_chars=200)) as here,
        SpeechClient(here.served.url) as client,
    ):
        stream = client.stream(send_rate=1)
        await stream.say(SHORT)
        await stream.say("x" * 300)
        with pytest.raises(Refused, match="too long"):
            async for _ in stream:
                pass
        with pytest.raises(Refused, match="too long"):
            await stream.say(SHORT)
        await until_idle(here.engine, here.model)


async def test_a_voice_that_fails_is_told() -> None:
    async with serve_here(partial(FakeModel, poison="bane")) as here, SpeechClient(here.served.url) as client:
        with pytest.raises(Refused) as refusal:
            await said(client.stream(), "This is the bane of it.")
        assert refusal.value.code == "engine_failure"


async def test_a_server_that_is_not_there_is_named_after_some_patience() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with SpeechClient(url, patience_s=0.1) as client:
        with pytest.raises(Disconnected, match="cannot be reached"):
            await client.stream().say(SHORT)


async def test_a_server_that_does_not_let_us_in_is_quoted() -> None:
    keys: list[str | None] = []

    def refuse(_: ServerConnection, request: Request) -> Response:
        keys.append(request.headers.get("Authorization"))
        body = b'{"detail": "no such key"}'
        return Response(HTTPStatus.UNAUTHORIZED, "Unauthorized", request.headers, body)

    async def listen(_: ServerConnection) -> None: ...

    async with serve(listen, "127.0.0.1", 0, process_request=refuse) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with SpeechClient(url, api_key="s3cret") as client:
            with pytest.raises(Refused, match="no such key") as refusal:
                await client.open()
    assert (refusal.value.code, keys) == ("http_401", ["Bearer s3cret"])


async def test_nonsense_from_a_server_ends_the_streams() -> None:
    async def talk_nonsense(socket: ServerConnection) -> None:
        await socket.send("{nonsense")
        await socket.wait_closed()

    async with serving(talk_nonsense) as url, SpeechClient(url) as client:
        with pytest.raises(Disconnected, match="does not answer as a Tiding server"):
            await said(client.stream(), SHORT)


async def test_messages_of_kinds_to_come_are_passed_over() -> None:
    async def tell_news(socket: ServerConnection) -> None:
        await socket.send('{"type": "weather", "words": "rain"}')
        done = {"type": "done", "total_audio_ms": 0, "segments_generated": 0, "more": 1}
        await socket.send(json.dumps({"context_id": "one", **done}))
        await socket.wait_closed()

    async with serving(tell_news) as url, SpeechClient(url) as client:
        assert [type(event) for event in await said(client.stream("one"), SHORT)] == [Done]


# -- a connection that is lost -----------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_server_that_is_started_again_is_found_again(tmp_path: Path) -> None:
    port = str(free_port())
    async with SpeechClient(f"http://127.0.0.1:{port}") as client:
        with serve_process(log=tmp_path / "log", model="fake", port=port, drain_s="0"):
            stream = client.stream(send_rate=1)
            await stream.say(LONG)
            assert await first_audio(stream)
        with pytest.raises(Disconnected, match="broken off"):
            async for _ in stream:
                pass
        with pytest.raises(Disconnected):
            await stream.say("More of it.")
        opening = asyncio.create_task(client.open())
        await asyncio.sleep(0)
        with serve_process(log=tmp_path / "log", model="fake", port=port, wait_ready=False):
            await opening
            events = await until_ready(client)
    assert audio_of(events)


async def test_whoever_listens_to_a_stream_that_cannot_begin_is_told_so() -> None:
    async with SpeechClient(f"http://127.0.0.1:{free_port()}", patience_s=0.1) as client:
        stream = client.stream()
        listening = asyncio.create_task(anext(stream))
        with pytest.raises(Disconnected, match="cannot be reached"):
            await stream.say(SHORT)
        with pytest.raises(Disconnected, match="cannot be reached"):
            await listening
        assert stream.is_over
        with pytest.raises(Disconnected):
            await stream.say(SHORT)


async def until_ready(client: SpeechClient) -> list[Event]:
    """What a stream says once the server has loaded."""
    while True:
        try:
            return await said(client.stream(), SHORT)
        except Refused as refusal:
            if refusal.code != "loading":
                raise
            await asyncio.sleep(0.02)


async def test_streams_end_when_the_client_is_closed(fake_server: Served) -> None:
    client = SpeechClient(fake_server.url)
    stream = client.stream(send_rate=1)
    await stream.say(LONG)
    assert await first_audio(stream)
    await client.aclose()
    with pytest.raises(Disconnected):
        async for _ in stream:
            pass
    assert not client.is_open


# -- its address -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("http://localhost:8001", "ws://localhost:8001/ws/tts/stream"),
        ("https://voice.example/", "wss://voice.example/ws/tts/stream"),
        ("https://example.org/voice", "wss://example.org/voice/ws/tts/stream"),
        ("ws://localhost:8001/ws/tts/stream", "ws://localhost:8001/ws/tts/stream"),
        ("ws://localhost:8001/ws/tts/stream?key=1", "ws://localhost:8001/ws/tts/stream?key=1"),
    ],
)
def test_the_address_of_a_server_says_where_its_socket_is(url: str, socket: str) -> None:
    assert socket_url(url, "/ws/tts/stream") == socket


@pytest.mark.parametrize("url", ["localhost:8001", "ftp://localhost", "http://", ""])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is no address of a server"):
        SpeechClient(url)
