"""The WebSocket of the protocol: which messages come, in what order and how often."""

import asyncio

import httpx
import numpy as np
import pytest

from tests.contract import BYTES_PER_SAMPLE, SAMPLE_RATES_HZ
from tests.hearing import Message, audio_of, kinds_of, listen, spoken
from tests.serving import Served

SHORT = "Good morning."
SENTENCES = ["The first one is here.", "Then comes another one.", "And this is the last."]
LONG = "This sentence goes on and on, and it does not end before it has said all that it has to say about itself."
VERY_LONG = f"{LONG} {LONG} {LONG}"  # longer than one segment of the engine


def check_accounts(messages: list[bytes | Message], *, bytes_per_ms: float = 44.1) -> None:
    """One stream from `stream_created` to `done`: what is stated is what was received."""
    kinds = kinds_of(messages)
    assert kinds[0] == "stream_created"
    assert kinds[-1] == "done"
    assert kinds.count("stream_created") == kinds.count("done") == 1
    completes = [m for m in messages if isinstance(m, dict) and m["type"] == "segment_complete"]
    done = messages[-1]
    assert isinstance(done, dict)
    assert [complete["segment"] for complete in completes] == list(range(1, len(completes) + 1))
    assert done["segments_generated"] == len(completes)
    assert done["total_audio_ms"] == pytest.approx(len(audio_of(messages)) / bytes_per_ms, abs=1)
    assert done["total_audio_ms"] == pytest.approx(sum(complete["audio_ms"] for complete in completes), abs=1)


@pytest.mark.parametrize("encoding", BYTES_PER_SAMPLE)
@pytest.mark.parametrize("rate", SAMPLE_RATES_HZ)
async def test_stream_created_states_the_format_and_the_audio_is_in_it(
    server: Served, rate: int, encoding: str
) -> None:
    async with listen(server) as listener:
        created = await listener.begin(sample_rate=rate, encoding=encoding)
        assert created["stream_id"]
        assert (created["sample_rate"], created["encoding"], created["channels"]) == (rate, encoding, 1)
        await listener.say([SHORT], mode="stream")
        await listener.finish()
        check_accounts(listener.heard, bytes_per_ms=rate * BYTES_PER_SAMPLE[encoding] / 1000)
    asked = {"input": SHORT, "response_format": "pcm", "sample_rate": rate, "encoding": encoding}
    async with httpx.AsyncClient(base_url=server.url, verify=False) as client:
        assert listener.audio == (await client.post("/v1/audio/speech", json=asked)).content


async def test_the_default_format_is_22050_hz_pcm(server: Served) -> None:
    async with listen(server) as listener:
        await listener.send("init")
        created = await listener.until("stream_created")
        assert (created["sample_rate"], created["encoding"], created["channels"]) == (22050, "pcm_s16le", 1)


async def test_text_without_a_stream_creates_one_and_announces_it_first(server: Served) -> None:
    async with listen(server) as listener:
        await listener.say([SHORT], mode="stream")
        await listener.finish()
        assert listener.kinds == ["stream_created", "audio", "segment_complete", "done"]
        check_accounts(listener.heard)


@pytest.mark.parametrize("mode", ["stream", "batch", "adaptive"])
async def test_each_text_with_a_mode_is_one_segment_in_order(server: Served, mode: str) -> None:
    texts = [SENTENCES[0], "no end here", VERY_LONG, "  ", "", "\n\n", "Two of them. In one.", "one", "word"]
    listener = await spoken(server, texts, fields={"mode": mode})
    num_spoken = sum(bool(text.strip()) for text in texts)
    assert [complete["segment"] for complete in listener.of("segment_complete")] == [*range(1, num_spoken + 1)]
    assert listener.kinds == ["stream_created", *["audio", "segment_complete"] * num_spoken, "done"]
    check_accounts(listener.heard)


async def test_segments_are_spoken_in_the_order_of_their_texts(fake_server: Served) -> None:
    texts = ["one", "and two", "then three", "four", "at last five"]
    alone = [(await spoken(fake_server, [text], fields={"mode": "stream"})).audio for text in texts]
    together = await spoken(fake_server, texts, fields={"mode": "stream"})
    assert together.segments == alone


@pytest.mark.parametrize("preset", ["aggressive", "balanced", "conservative"])
async def test_presets_change_nothing_in_the_audio(server: Served, preset: str) -> None:
    plain = await spoken(server, [LONG], fields={"mode": "stream"})
    other = await spoken(server, [LONG], fields={"mode": "stream", "preset": preset})
    assert other.audio == plain.audio


async def test_modes_differ_in_latency_and_not_in_samples(server: Served) -> None:
    texts = [SHORT, "It is warm today", "Are you there?"]
    heard = {mode: await spoken(server, texts, fields={"mode": mode}, seed=5)
             for mode in ("stream", "batch", "adaptive")}  # fmt: skip
    assert heard["stream"].segments == heard["batch"].segments == heard["adaptive"].segments
    long = [await spoken(server, [LONG, VERY_LONG], fields={"mode": mode}) for mode in ("stream", "batch")]
    assert long[0].segments == long[1].segments


async def test_the_default_mode_is_that_of_init(server: Served) -> None:
    by_default = await spoken(server, [f"{text} " for text in SENTENCES], default_mode="stream")
    batch = await spoken(server, [f"{text} " for text in SENTENCES])
    assert by_default.audio == batch.audio
    assert len(by_default.segments) == len(SENTENCES)


async def test_a_seed_decides_the_audio(server: Served) -> None:
    first, again, other = [await spoken(server, [SHORT], seed=seed) for seed in (1, 1, 2)]
    assert first.audio == again.audio != other.audio


async def test_a_voice_and_a_locale_are_taken_in_any_case(server: Served) -> None:
    plain = await spoken(server, [SHORT])
    assert (await spoken(server, [SHORT], voice="ARIA", language="en-US")).audio == plain.audio
    assert (await spoken(server, [SHORT], voice={"id": "Aria"}, language="EN")).audio == plain.audio


async def test_a_stream_without_text_is_done_at_once(server: Served) -> None:
    listener = await spoken(server, [])
    assert listener.kinds == ["stream_created", "done"]
    check_accounts(listener.heard)


@pytest.mark.parametrize("text", ["🎉", "...", "!?", "—", "\x07.", "你好"])
async def test_a_segment_with_nothing_to_speak_is_answered_without_audio(server: Served, text: str) -> None:
    listener = await spoken(server, [SHORT, text, SHORT, text], fields={"mode": "stream"})
    lengths_ms = [complete["audio_ms"] for complete in listener.of("segment_complete")]
    assert [length_ms == 0 for length_ms in lengths_ms] == [False, True, False, True]
    check_accounts([m for m in listener.heard if isinstance(m, bytes) or m["type"] != "warning"])


async def test_what_the_voice_cannot_speak_is_left_out_with_a_warning(server: Served) -> None:
    listener = await spoken(server, ["Hello 你好 there."], fields={"mode": "stream"})
    warning = listener.of("warning")[0]
    assert "你" in warning["message"]
    assert "好" in warning["message"]
    assert warning["code"]
    assert listener.of("segment_complete")[0]["audio_ms"] > 0
    assert not (await spoken(server, ["Déjà vu."], fields={"mode": "stream"})).of("warning")


# -- the life of streams on a socket -----------------------------------------------------------------------------------


async def test_close_does_not_hold_up_other_messages_and_done_comes_once(fake_server: Served) -> None:
    async with listen(fake_server) as listener:
        await listener.begin(send_rate=2)
        await listener.say([SHORT], mode="batch")
        await listener.send("close")
        await listener.send("ping")
        await listener.until("pong")
        assert not listener.of("done")
        await listener.until("done")
        assert not await listener.rest(0.2)
        await listener.send("ping")
        await listener.until("pong")
        check_accounts([m for m in listener.heard if isinstance(m, bytes) or m["type"] != "pong"])


async def test_init_drops_the_running_stream(server: Served) -> None:
    async with listen(server) as listener:
        first = await listener.begin(send_rate=1)
        await listener.say([LONG] * 3, mode="stream")
        await listener.until_audio()
        heard_before = len(listener.heard)
        await listener.send("init", send_rate=0)
        second = await listener.until("stream_created")
        late = listener.heard[heard_before:-1]
        await listener.say([SHORT], mode="stream")
        await listener.finish()
        assert second["stream_id"] != first["stream_id"]
        assert len(audio_of(late)) < 10_000
        assert kinds_of(late) in ([], ["audio"])
        check_accounts(listener.heard[listener.heard.index(second) :])
        assert listener.audio.endswith((await spoken(server, [SHORT], fields={"mode": "stream"})).audio)


async def test_every_init_is_answered_however_soon_the_next_comes(server: Served) -> None:
    async with listen(server) as listener:
        for _ in range(5):
            await listener.send("init", send_rate=0)
        for _ in range(5):
            await listener.until("stream_created")
        await listener.say([SHORT], mode="stream")
        await listener.finish()
        assert len({created["stream_id"] for created in listener.of("stream_created")}) == 5
        assert listener.kinds == [*["stream_created"] * 5, "audio", "segment_complete", "done"]


async def test_text_after_close_starts_the_next_stream_after_the_first_is_spoken(server: Served) -> None:
    async with listen(server) as listener:
        await listener.begin()
        for text in SENTENCES:
            await listener.say([text], mode="stream")
            await listener.send("close")
        for _ in SENTENCES:
            await listener.until("done")
        one_stream = ["stream_created", "audio", "segment_complete", "done"]
        assert listener.kinds == one_stream * 3
        alone = [(await spoken(server, [text], fields={"mode": "stream"})).audio for text in SENTENCES]
        assert listener.segments == alone


async def test_options_last_for_the_streams_that_follow(server: Served) -> None:
    async with listen(server) as listener:
        await listener.speak([SHORT], sample_rate=8000, encoding="mulaw", seed=4)
        await listener.say([SHORT])
        await listener.finish()
        first, second = listener.of("stream_created")
        assert first | {"stream_id": ""} == second | {"stream_id": ""}
        assert listener.segments[0] == listener.segments[1]


async def test_several_sockets_at_once_hear_what_each_hears_alone(server: Served) -> None:
    texts = [[f"This is number {number}.", LONG, "Good night."] for number in range(5)]
    alone = [await spoken(server, said, fields={"mode": "stream"}) for said in texts]
    together = await asyncio.gather(*(spoken(server, said, fields={"mode": "stream"}) for said in texts))
    assert [heard.segments for heard in together] == [heard.segments for heard in alone]
    assert len({heard.audio for heard in alone}) == len(texts)


@pytest.mark.slow
async def test_pings_are_answered_while_audio_streams_and_change_nothing_in_it(server: Served) -> None:
    async with listen(server) as listener:
        await listener.begin(send_rate=4)
        await listener.say([LONG], mode="stream")
        for _ in range(5):
            await listener.until_audio()
            await listener.send("ping")
            await (await listener.socket.ping())  # of RFC 6455
        await listener.finish()
        assert len(listener.of("pong")) == 5
        pong_at = [at for at, message in enumerate(listener.heard) if message == {"type": "pong"}]
        assert pong_at[0] < len(listener.heard) - 3
        assert listener.audio == (await spoken(server, [LONG], fields={"mode": "stream"})).audio


async def test_audio_of_a_segment_as_it_stands_begins_and_ends_in_almost_no_silence(fake_server: Served) -> None:
    listener = await spoken(fake_server, SENTENCES, fields={"mode": "stream"})
    for segment in listener.segments:
        loud_ms = np.flatnonzero(np.abs(np.frombuffer(segment, "<i2")) > 40) / 22.05
        assert loud_ms[0] <= 20
        assert len(segment) / 44.1 - loud_ms[-1] <= 60
