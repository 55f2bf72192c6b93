"""Barge-in: after `cancel` no further audio leaves, and the answer says what the listener can have heard."""

import asyncio
import math
import time
from functools import partial
from typing import Any

import pytest

from engines.fake import FakeModel, Gate
from tests.hearing import Listener, audio_of, kinds_of, listen, spoken
from tests.running import until
from tests.serving import Served, serve_here

pytestmark = pytest.mark.alone

SHORT = "Good morning."
LONG = "This sentence goes on and on, and it does not end before it has said all that it has to say about itself."
LONGER = " ".join([LONG] * 6)


async def cancel(listener: Listener, **fields: object) -> tuple[dict[str, Any], bytes]:
    """The answer, and the audio that came before it."""
    start = len(listener.heard)
    await listener.send("cancel", **fields)
    cancelled = await listener.until("cancelled")
    assert set(kinds_of(listener.heard[start:])) <= {"audio", "segment_complete", "words", "cancelled"}
    return cancelled, audio_of(listener.heard[start:])


@pytest.mark.parametrize("mode", ["stream", "batch", "adaptive"])
async def test_after_cancel_nothing_comes_but_its_answer(server: Served, mode: str) -> None:
    async with listen(server) as listener:
        created = await listener.begin(send_rate=1)
        await listener.say([LONG] * 3, mode=mode)
        await listener.until_audio(3)
        cancelled, late = await cancel(listener)
        assert cancelled["stream_id"] == created["stream_id"]
        assert cancelled["audio_ms_sent"] == pytest.approx(len(listener.audio) / 44.1, abs=0.1)
        assert len(late) < 10_000
        assert await listener.rest(0.3) == []
        assert listener.of("done") == []


@pytest.mark.parametrize("num_messages", [1, 2, 5])
@pytest.mark.parametrize("send_rate", [1, 4, None])
async def test_less_than_10000_bytes_come_after_a_cancel(
    server: Served, send_rate: float | None, num_messages: int
) -> None:
    async with listen(server) as listener:
        await listener.begin(send_rate=send_rate)
        await listener.say([LONGER], mode="stream")
        await listener.until_audio(num_messages)
        _, late = await cancel(listener)
        assert len(late) < 10_000


@pytest.mark.parametrize("send_rate", [1, 2, 4])
@pytest.mark.parametrize(("rate", "encoding"), [(8000, "mulaw"), (8000, "pcm_s16le"), (48000, "pcm_f32le")])
async def test_less_than_227_ms_come_after_a_cancel_in_any_format(
    fake_server: Served, rate: int, encoding: str, send_rate: float
) -> None:
    async with listen(fake_server) as listener:
        created = await listener.begin(send_rate=send_rate, sample_rate=rate, encoding=encoding)
        await listener.say([LONG], mode="batch")
        await listener.until_audio(1)
        cancelled, late = await cancel(listener)
        bytes_per_ms = rate * {"mulaw": 1, "pcm_s16le": 2, "pcm_f32le": 4}[encoding] / 1000
        assert cancelled["stream_id"] == created["stream_id"]
        assert len(late) / bytes_per_ms < 227
        # the whole message that may be on its way when a client cancels counts as well
        assert max(len(message) for message in listener.heard if isinstance(message, bytes)) / bytes_per_ms < 227


async def test_cancel_is_answered_without_a_stream_and_twice(server: Served) -> None:
    async with listen(server) as listener:
        assert (await cancel(listener))[0]["audio_ms_sent"] == 0
        await listener.begin()
        await cancel(listener)
        cancelled, late = await cancel(listener)
        assert cancelled["text_spoken"] == ""
        assert late == b""
        assert listener.kinds == ["cancelled", "stream_created", "cancelled", "cancelled"]


async def test_audio_that_waits_for_its_time_is_dropped(fake_server: Served) -> None:
    whole = await spoken(fake_server, [LONG], fields={"mode": "batch"})
    async with listen(fake_server) as listener:
        await listener.begin(send_rate=1)
        await listener.say([LONG], mode="batch")
        await listener.send("close")
        await listener.until_audio(2)
        await cancel(listener)
        assert len(listener.audio) < len(whole.audio) / 4
        assert whole.audio.startswith(listener.audio)
        assert await listener.rest(0.3) == []


async def test_cancel_drops_closed_streams_that_wait_for_their_turn_as_well(fake_server: Served) -> None:
    async with listen(fake_server) as listener:
        await listener.begin(send_rate=1)
        for _ in range(3):
            await listener.say([LONG], mode="stream")
            await listener.send("close")
        await listener.until_audio()
        await cancel(listener)
        assert await listener.rest(0.3) == []
        assert len(listener.of("cancelled")) == len(listener.of("stream_created")) == 1


async def test_text_after_a_cancel_starts_a_new_stream(server: Served) -> None:
    plain = await spoken(server, [SHORT], fields={"mode": "stream"})
    async with listen(server) as listener:
        await listener.begin()
        await listener.say([LONG], mode="stream")
        await cancel(listener)
        start = len(listener.heard)
        await listener.say([SHORT], mode="stream")
        await listener.finish()
        assert kinds_of(listener.heard[start:]) == ["stream_created", "audio", "segment_complete", "done"]
        assert audio_of(listener.heard[start:]) == plain.audio


@pytest.mark.parametrize("is_closed", [False, True])
async def test_what_was_sent_and_still_plays_can_be_cancelled(server: Served, is_closed: bool) -> None:
    async with listen(server) as listener:
        created = await listener.begin(send_rate=0)
        await listener.say([LONG], mode="batch")
        await (listener.finish() if is_closed else listener.until("segment_complete"))
        cancelled, late = await cancel(listener)
        assert cancelled["stream_id"] == created["stream_id"]
        assert late == b""
        assert cancelled["audio_ms_sent"] == pytest.approx(len(listener.audio) / 44.1, abs=0.1)
        assert LONG.startswith(cancelled["text_spoken"])
        assert len(cancelled["text_spoken"]) < len(LONG), "sent at once, heard in real time"


async def test_text_spoken_is_what_played_ms_can_have_reached(server: Served) -> None:
    texts = [f"{SHORT} ", LONG, " And more, after all that."]
    words = (await spoken(server, texts, fields={"mode": "stream"}, word_timestamps=True)).words
    said = "".join(texts)
    for word, following in zip(words[:-1:3], words[1::3], strict=False):
        async with listen(server) as listener:
            await listener.begin()
            await listener.say(texts, mode="stream")
            await listener.finish()
            played_ms = (word["end_ms"] + max(word["end_ms"], following["start_ms"])) / 2 + 1
            cancelled, _ = await cancel(listener, played_ms=played_ms)
            assert cancelled["text_spoken"].rstrip() == said[: word["char_end"]].rstrip()


async def test_played_ms_beyond_what_was_sent_means_all_that_was_sent(server: Served) -> None:
    async with listen(server) as listener:
        await listener.begin()
        await listener.say([SHORT], mode="stream")
        await listener.finish()
        cancelled, _ = await cancel(listener, played_ms=1_000_000)
        assert cancelled["text_spoken"] == SHORT


async def test_played_ms_0_means_that_nothing_was_heard(server: Served) -> None:
    async with listen(server) as listener:
        await listener.begin()
        await listener.say([SHORT], mode="stream")
        await listener.until("segment_complete")
        assert (await cancel(listener, played_ms=0))[0]["text_spoken"] == ""


@pytest.mark.slow
async def test_text_spoken_follows_the_play_clock(server: Served) -> None:
    words = (await spoken(server, [LONG], fields={"mode": "batch"}, word_timestamps=True)).words
    ends_ms = {word["char_end"]: word["end_ms"] for word in words} | {0: 0.0}
    reached = []
    for wait_s in (0.0, 0.4, 0.8, 1.2):
        async with listen(server) as listener:
            await listener.begin(send_rate=0)
            await listener.say([LONG], mode="batch")
            await listener.until("segment_complete")
            await asyncio.sleep(wait_s)
            asked_s = time.monotonic()
            cancelled, _ = await cancel(listener)
            first_s = next(at for at, m in zip(listener.times_s, listener.heard, strict=True) if isinstance(m, bytes))
            text = cancelled["text_spoken"]
            assert LONG.startswith(text)
            assert ends_ms[len(text)] <= (time.monotonic() - first_s) * 1000 + 100, "not heard yet"
            unheard = [word for word in words if word["char_end"] > len(text)]
            assert unheard[0]["end_ms"] >= (asked_s - first_s) * 1000 - 100, "heard, and not reported"
            reached.append(len(text))
    assert reached == sorted(reached)
    assert reached[0] < reached[-1]


async def test_a_stream_that_has_been_heard_to_its_end_cannot_be_cancelled(server: Served) -> None:
    async with listen(server) as listener:
        await listener.speak(["Hi."])
        await asyncio.sleep(len(listener.audio) / 44100 + 0.3)
        cancelled, _ = await cancel(listener)
        assert cancelled["text_spoken"] == ""


@pytest.mark.parametrize("leave", ["cancel", "init", "disconnect"])
async def test_device_work_ends_within_one_step(leave: str) -> None:
    gate = Gate(3)
    async with serve_here(partial(FakeModel, gate=gate)) as here:
        async with listen(here.served) as listener:
            await listener.begin()
            await listener.say([LONG, LONG], mode="stream")
            await asyncio.to_thread(gate.wait_held)
            if leave == "disconnect":
                await listener.socket.close()
            else:
                await listener.send(leave)
                await listener.until("cancelled" if leave == "cancel" else "stream_created")
            await until(lambda: here.engine.num_sessions == (leave == "init"), "the session is over")
            gate.allow(1)
            await until(lambda: here.engine.num_busy_slots == 0, "the slot is free")
        gate.allow(math.inf)


@pytest.mark.parametrize("send_rate", [0, 1])
async def test_a_client_that_leaves_in_mid_audio_is_let_go_and_leaves_no_task_behind(send_rate: float) -> None:
    async with serve_here() as here:
        before = len(asyncio.all_tasks())
        async with listen(here.served) as listener:
            await listener.begin(send_rate=send_rate)
            await listener.say([LONGER], mode="stream")
            await listener.until_audio(3)
        assert listener.socket.close_code == 1000, "the closing handshake was answered"
        await until(lambda: here.engine.num_sessions == 0, "no session is left")
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")
