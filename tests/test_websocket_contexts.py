"""Several streams on one socket: each context is what a socket of its own would be, and none holds up another."""

import asyncio
import json
from functools import partial
from typing import Any, cast

import pytest
from websockets.asyncio.client import connect

from app.settings import TtsSettings
from engines.errors import SessionClosed
from engines.fake import FakeModel, Gate
from modes.messages import Chunk
from modes.outbox import Outbox
from tests.hearing import Listener, Message, audio_of, heard_in, kinds_of, listen, segments_of, spoken, until_closed
from tests.running import until, until_idle
from tests.serving import Served, serve_here

pytestmark = pytest.mark.alone

SHORT = "Good morning."
LONG = "This sentence goes on and on, and it does not end before it has said all that it has to say about itself."
MANNERS: dict[str | None, dict[str, Any]] = {
    "one": {"voice": "aria", "seed": 3, "word_timestamps": True},
    "two": {"voice": "john", "sample_rate": 8000, "encoding": "mulaw"},
    "three": {"voice": "sofia", "speed": 1.5, "default_mode": "stream", "sample_rate": 48000},
    None: {"voice": "leo", "default_mode": "adaptive", "word_timestamps": True},
}
TEXTS = {
    "one": ["This is the first. ", "It says two things."],
    "two": ["Here is another one."],
    "three": ["One, two, three.", " Four, five, six!", " Seven."],
    None: ["And this one has no name at all."],
}


def named(name: str | None) -> dict[str, Any]:
    return {} if name is None else {"context_id": name}


def without_ids(heard: list[bytes | Message]) -> list[Message]:
    """The messages but for what is another each time."""
    return [{**message, "stream_id": "", "request_id": ""} for message in heard if isinstance(message, dict)]


async def speak_all(listener: Listener) -> None:
    """Everything at once: the messages of all contexts in turns."""
    for name, manner in MANNERS.items():
        await listener.send("init", **named(name), send_rate=0, **manner)
    for place in range(3):
        for name, texts in TEXTS.items():
            await listener.say(texts[place : place + 1], **named(name))
    for name in TEXTS:
        await listener.send("close", **named(name))
    await listener.until_so(lambda: len(listener.of("done")) == len(TEXTS))


async def test_each_context_hears_what_it_would_hear_on_a_socket_of_its_own(server: Served) -> None:
    async with listen(server) as listener:
        await speak_all(listener)
    for name, manner in MANNERS.items():
        alone = await spoken(server, TEXTS[name], **manner)
        together = listener.heard_in(name)
        assert audio_of(together) == alone.audio
        assert segments_of(together) == alone.segments
        assert without_ids(together) == without_ids(alone.heard)


async def test_a_chunk_says_whose_the_audio_behind_it_is(server: Served) -> None:
    async with listen(server) as listener:
        await speak_all(listener)
    streams = {message["stream_id"]: message.get("context_id") for message in listener.of("stream_created")}
    chunks = [
        (message, audio)
        for message, audio in zip(listener.heard, listener.heard[1:], strict=False)
        if isinstance(message, dict) and message["type"] == "chunk"
    ]
    assert {message["context_id"] for message, _ in chunks} == {"one", "two", "three"}
    for message, audio in chunks:
        assert isinstance(audio, bytes)
        assert message.keys() == {"type", "context_id", "stream_id", "bytes"}
        assert message["bytes"] == len(audio)
        assert streams[message["stream_id"]] == message["context_id"]


async def test_whoever_names_no_context_sees_nothing_of_them(server: Served) -> None:
    async with listen(server) as listener:
        await listener.speak([SHORT, "🎉", "你好 there."], fields={"mode": "stream"}, word_timestamps=True)
        for message in ({"type": "ping"}, {"type": "close"}, {"type": "cancel"}, {"type": "text"}, {"type": "sing"}):
            await listener.socket.send(json.dumps(message))
        await listener.send("ping", context_id=None)
        await listener.until_so(lambda: len(listener.of("pong")) == 2)
    assert not listener.of("chunk")
    assert not [message for message in listener.heard if isinstance(message, dict) and "context_id" in message]


async def test_answers_carry_the_context_of_what_they_answer(server: Served) -> None:
    wrong: list[dict[str, Any]] = [
        {"type": "text"}, {"type": "sing"}, {}, {"type": "init", "voice": "nobody"}, {"type": "init", "speed": 9},
        {"type": "init", "sample_rate": 1}, {"type": "text", "text": "word " * 10_000}, {"type": "close"},
    ]  # fmt: skip
    async with listen(server) as listener:
        for message in wrong:
            await listener.socket.send(json.dumps({**message, "context_id": "odd"}))
            assert (await listener.until("error"))["context_id"] == "odd"
        await listener.say(["Hello 你好 there."], context_id="odd", mode="stream")
        assert (await listener.until("warning"))["context_id"] == "odd"
        await listener.send("ping", context_id="odd")
        assert (await listener.until("pong"))["context_id"] == "odd"
        await listener.send("cancel", context_id="other")
        assert await listener.until("cancelled") == {
            "type": "cancelled", "stream_id": None, "audio_ms_sent": 0.0, "text_spoken": "", "context_id": "other",
        }  # fmt: skip


@pytest.mark.parametrize("name", ["", "x" * 129, 5, ["a"], {"id": "a"}, True])
async def test_a_name_that_is_none_is_an_error_without_a_context(fake_server: Served, name: object) -> None:
    async with listen(fake_server) as listener:
        for kind in ("init", "text", "close", "cancel", "flush", "ping"):
            await listener.send(kind, context_id=name, text=SHORT)
            error = await listener.until("error")
            assert error["code"] == "invalid_field"
            assert "context_id" not in error
        assert listener.kinds == ["error"] * 6


@pytest.mark.slow
async def test_an_init_drops_the_stream_of_its_context_and_no_other(server: Served) -> None:
    async with listen(server) as listener:
        for name in ("a", "b", None):
            await listener.send("init", **named(name), send_rate=2)
            await listener.say([LONG], **named(name), mode="batch")
        await listener.until_so(lambda: all(audio_of(listener.heard_in(name)) for name in ("a", "b", None)))
        await listener.send("init", context_id="a", send_rate=0)
        await listener.until_so(lambda: kinds_of(listener.heard_in("a")).count("stream_created") == 2)
        for name in ("a", "b", None):
            await listener.send("close", **named(name))
        await listener.until_so(lambda: len(listener.of("done")) == 3)
    whole = (await spoken(server, [LONG], fields={"mode": "batch"})).audio
    assert audio_of(listener.heard_in("b")) == audio_of(listener.heard_in(None)) == whole
    dropped = audio_of(listener.heard_in("a"))
    assert whole.startswith(dropped)
    assert len(dropped) < len(whole)
    assert kinds_of(listener.heard_in("a")) == ["stream_created", "audio", "stream_created", "done"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a", None])
async def test_a_cancel_ends_its_context_alone_and_says_what_was_heard_of_it(server: Served, name: str | None) -> None:
    texts = {"a": [f"Apples. {LONG}"], "b": [f"Berries. {LONG}"], None: [f"Nameless. {LONG}"]}
    others = [other for other in texts if other != name]
    async with listen(server) as listener:
        for other, said in texts.items():
            await listener.send("init", **named(other), send_rate=2, default_mode="stream")
            await listener.say(said, **named(other), mode="stream")
        await listener.until_so(lambda: all(len(audio_of(listener.heard_in(other))) > 90_000 for other in texts))
        num_before = len(listener.heard)
        await listener.send("cancel", **named(name), played_ms=1400)
        cancelled = await listener.until("cancelled")
        late = heard_in(listener.heard[num_before:], name)
        for other in others:
            await listener.send("close", **named(other))
        await listener.until_so(lambda: len(listener.of("done")) == 2)
    assert cancelled.get("context_id") == name
    assert len(audio_of(late)) < 44_100  # half a second, of the seven that it would have been
    assert listener.heard_in(name)[-1]["type"] == "cancelled"
    assert cancelled["audio_ms_sent"] == pytest.approx(len(audio_of(listener.heard_in(name))) / 44.1, abs=0.1)
    words = (await spoken(server, texts[name], fields={"mode": "stream"}, word_timestamps=True)).words
    heard_to = max(word["char_end"] for word in words if word["end_ms"] <= 1400.5)
    assert cancelled["text_spoken"] == texts[name][0][:heard_to]
    for other in others:
        alone = await spoken(server, texts[other], fields={"mode": "stream"})
        assert audio_of(listener.heard_in(other)) == alone.audio


async def test_a_context_without_an_init_has_the_settings_that_the_socket_had_when_it_began(server: Served) -> None:
    async with listen(server) as listener:
        await listener.send("init", send_rate=0, sample_rate=8000, voice="john")
        await listener.say([SHORT], context_id="heir", mode="stream")
        await listener.send("init", send_rate=0, sample_rate=16000, voice="sofia")
        await listener.say([SHORT], context_id="heir", mode="stream")
        await listener.say([SHORT], context_id="late", mode="stream")
        for name in ("heir", "late"):
            await listener.send("close", context_id=name)
        await listener.until_so(lambda: len(listener.of("done")) == 2)
    created = {name: listener.heard_in(name)[0] for name in ("heir", "late")}
    assert created["heir"]["sample_rate"] == 8000
    assert created["late"]["sample_rate"] == 16000


async def test_a_context_keeps_its_settings_for_the_streams_that_follow(server: Served) -> None:
    async with listen(server) as listener:
        await listener.send("init", context_id="a", send_rate=0, sample_rate=8000)
        for _ in range(2):
            await listener.say([SHORT], context_id="a", mode="stream")
            await listener.send("close", context_id="a")
        await listener.until_so(lambda: len(listener.of("done")) == 2)
        assert [created["sample_rate"] for created in listener.of("stream_created")] == [8000, 8000]
        assert kinds_of(listener.heard_in("a")) == ["stream_created", "audio", "segment_complete", "done"] * 2


async def test_a_flush_is_for_its_context(server: Served) -> None:
    async with listen(server) as listener:
        for name in ("a", "b"):
            await listener.send("init", context_id=name, send_rate=0, aggregate="sentence")
            await listener.send("text", text="no end", context_id=name)
        await listener.send("flush", context_id="c")
        await listener.send("flush", context_id="b")
        assert (await listener.until("segment_complete"))["context_id"] == "b"


# -- fair --------------------------------------------------------------------------------------------------------------


async def test_a_slow_pace_holds_up_no_other_context(server: Served) -> None:
    async with listen(server) as listener:
        await listener.send("init", context_id="slow", send_rate=0.05)
        await listener.say([LONG] * 3, context_id="slow", mode="batch")
        await listener.until_audio()
        for name in ("a", "b", None):
            await listener.send("init", **named(name), send_rate=0)
            await listener.say([SHORT], **named(name), mode="stream")
            await listener.send("close", **named(name))
        await listener.until_so(lambda: len(listener.of("done")) == 3)
        assert not [complete for complete in listener.of("segment_complete") if complete.get("context_id") == "slow"]


@pytest.mark.slow
async def test_each_context_is_sent_at_its_own_pace(fake_server: Served) -> None:
    paces = {"a": 1.0, "b": 2.0, "c": 4.0}
    async with listen(fake_server) as listener:
        for name, send_rate in paces.items():
            await listener.send("init", context_id=name, send_rate=send_rate)
            await listener.say([LONG] * 4, context_id=name, mode="batch")
        await listener.rest(2.0)
    for name, send_rate in paces.items():
        sent = len(audio_of(listener.heard_in(name)))
        assert sent <= 4096 + send_rate * 44_100 * 2.1
        assert sent > 0.7 * send_rate * 44_100 * 2.0


@pytest.mark.slow
async def test_long_audio_that_is_ready_does_not_starve_another_context() -> None:
    """All of it is made before the other context says a word; what is left to send takes turns."""
    async with serve_here() as here, listen(here.served, max_queue=1) as listener:
        await listener.send("init", context_id="long", send_rate=0)
        await listener.say([LONG] * 100, context_id="long", mode="batch")
        await listener.send("close", context_id="long")
        await listener.until_audio(3)
        await listener.say([SHORT], context_id="short", mode="stream")
        await listener.send("close", context_id="short")
        await listener.until_in("short", "done")
        sent = len(audio_of(listener.heard_in("long")))
        await listener.until_in("long", "done")
        assert sent < len(audio_of(listener.heard_in("long"))) / 2


async def test_the_answers_to_pings_never_part_a_chunk_from_its_audio(fake_server: Served) -> None:
    async with listen(fake_server) as listener:
        for name in ("a", "b"):
            await listener.send("init", context_id=name, send_rate=0)
            await listener.say([LONG] * 3, context_id=name, mode="stream")
            await listener.send("close", context_id=name)
        for number in range(200):
            await listener.send("ping", context_id=f"ping {number}")
        await listener.until_so(lambda: len(listener.of("done")) == 2 and len(listener.of("pong")) == 200)
    whole = (await spoken(fake_server, [LONG] * 3, fields={"mode": "stream"})).audio
    assert audio_of(listener.heard_in("a")) == audio_of(listener.heard_in("b")) == whole


# -- bounds ------------------------------------------------------------------------------------------------------------


async def test_a_socket_has_so_many_contexts_at_once_and_no_more() -> None:
    async with serve_here(settings=TtsSettings(max_contexts=2)) as here, listen(here.served) as listener:
        for name in ("a", "b"):
            await listener.send("init", context_id=name, send_rate=0)
        for kind in ("init", "text"):
            await listener.send(kind, context_id="c", text=SHORT)
            error = await listener.until("error")
            assert (error["code"], error["context_id"], error["fatal"]) == ("at_capacity", "c", False)
        assert here.engine.num_sessions == 2
        await listener.say([SHORT], mode="stream")  # what has no name is not one of them
        await listener.say([SHORT], context_id="a", mode="stream")
        await listener.send("close", context_id="a")
        await listener.until_in("a", "done")
        await listener.say([SHORT], context_id="c", mode="stream")
        await listener.send("close", context_id="c")
        await listener.until_in("c", "done")


async def test_a_context_at_rest_makes_room_and_the_one_that_was_used_last_is_kept() -> None:
    async with serve_here(settings=TtsSettings(max_contexts=2)) as here, listen(here.served) as listener:
        for name, rate in (("a", 8000), ("b", 16000), ("c", 24000), ("b", None), ("a", None)):
            if rate is not None:
                await listener.send("init", context_id=name, send_rate=0, sample_rate=rate)
            await listener.say([SHORT], context_id=name, mode="stream")
            await listener.send("close", context_id=name)
            await listener.until_in(name, "done")
        rates = [created["sample_rate"] for created in listener.of("stream_created")]
        assert rates == [8000, 16000, 24000, 16000, 22050], "b was remembered, a was not"


async def test_a_refused_init_makes_no_context_and_displaces_none() -> None:
    async with serve_here(settings=TtsSettings(max_contexts=1)) as here, listen(here.served) as listener:
        await listener.send("init", context_id="a", send_rate=0, sample_rate=8000)
        await listener.send("close", context_id="a")
        await listener.until("done")
        await listener.send("init", context_id="b", voice="nobody")
        await listener.until("error")
        await listener.say([" "], context_id="b")
        await listener.say([SHORT], context_id="a", mode="stream")
        assert (await listener.until("stream_created"))["sample_rate"] == 8000


@pytest.mark.parametrize("leave", ["goodbye", "abort"])
async def test_a_client_that_leaves_ends_the_streams_of_all_contexts(leave: str) -> None:
    async with serve_here() as here:
        before = len(asyncio.all_tasks())
        async with listen(here.served) as listener:
            for number in range(8):
                await listener.send("init", context_id=f"{number}", send_rate=number)
                await listener.say([LONG] * 3, context_id=f"{number}", mode="stream")
            await listener.until_audio(20)
            if leave == "abort":
                listener.socket.transport.abort()
        await until_idle(here.engine, here.model)
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")


async def test_a_cancel_frees_the_device_within_one_step_while_others_are_spoken() -> None:
    gate = Gate(3)
    async with serve_here(partial(FakeModel, gate=gate)) as here:
        async with listen(here.served) as listener:
            for name in ("a", "b"):
                await listener.send("init", context_id=name, send_rate=0)
                await listener.say([LONG] * 2, context_id=name, mode="stream")
            await asyncio.to_thread(gate.wait_held)
            await listener.send("cancel", context_id="a")
            await listener.until("cancelled")
            assert here.engine.num_sessions == 1
            gate.allow(1)
            await until(lambda: here.engine.num_busy_slots == 1, "the slot of the other alone is busy")
        gate.allow(1e9)


async def test_when_the_engine_fails_a_context_is_told_and_the_socket_is_closed() -> None:
    async with (
        serve_here(lambda wake: FakeModel(wake, broken="broken")) as here,
        connect(here.served.socket_url) as socket,
    ):
        await socket.send(json.dumps({"type": "text", "text": "This is broken.", "context_id": "a"}))
        messages = [json.loads(message) async for message in until_closed(socket) if isinstance(message, str)]
        assert messages[-1]["fatal"]
        assert messages[-1]["context_id"] == "a"
        assert socket.close_code == 1011


# -- turns -------------------------------------------------------------------------------------------------------------


class HeldSocket:
    """Sends one message each time that it is let."""

    def __init__(self) -> None:
        self.sent: list[bytes | str] = []
        self.may_send = asyncio.Semaphore(0)

    async def send(self, event: dict[str, Any]) -> None:
        await self.may_send.acquire()
        self.sent.append(event["bytes"] or event["text"])


async def send_all(outbox: Outbox, audio: list[bytes]) -> None:
    for data in audio:
        await outbox.send_audio(data, None, lambda: True)


async def until_sent(socket: HeldSocket, num_messages: int) -> None:
    socket.may_send.release()
    await until(lambda: len(socket.sent) == num_messages, f"{num_messages} messages are sent")


async def test_who_has_much_to_send_takes_turns_with_who_has_little() -> None:
    socket = HeldSocket()
    outbox = Outbox(cast(Any, socket))
    async with asyncio.TaskGroup() as speakers:
        speakers.create_task(send_all(outbox, [b"a"] * 6))
        speakers.create_task(send_all(outbox, [b"b"] * 2))
        speakers.create_task(send_all(outbox, [b"c"] * 2))
        await asyncio.sleep(0)  # all of them wait
        for num_messages in range(10):
            await until_sent(socket, num_messages + 1)
    assert b"".join(data for data in socket.sent if isinstance(data, bytes)) == b"abcabcaaaa"


async def test_audio_that_is_cancelled_while_it_waits_for_its_turn_is_not_sent() -> None:
    socket, is_wanted = HeldSocket(), True
    outbox = Outbox(cast(Any, socket))
    first = asyncio.create_task(outbox.send_audio(b"first", None, lambda: True))
    waiting = asyncio.create_task(outbox.send_audio(b"late", Chunk("id", 4, context_id="a"), lambda: is_wanted))
    await asyncio.sleep(0)
    is_wanted = False
    await until_sent(socket, 1)
    await first
    with pytest.raises(SessionClosed):
        await waiting
    assert socket.sent == [b"first"]
