"""The speech plug-in for LiveKit agents, in LiveKit's own hands and against real servers."""

import asyncio
import math
import time
from pathlib import Path

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, tts
from livekit.agents.metrics import TTSMetrics
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, TimedString

from app.clients.livekit import LLM, TTS
from tests.clients.livekit_listening import agent_session, samples_of
from tests.holding import held
from tests.llm import holding, talking
from tests.recognising import transcribe, word_error_rate
from tests.running import until
from tests.serving import Served, free_port, serve_process

TEXT = "The first one costs $5.50, and it is *long* enough. Then comes another."
MANY_WORDS = "This is a sentence that goes on for quite a while. " * 4
RATE_HZ = 24_000
ONCE = APIConnectOptions(max_retry=0, timeout=5)
SOON = APIConnectOptions(max_retry=3, retry_interval=0.05, timeout=5)


def tokens_of(text: str) -> list[str]:
    """As LLMs write: four characters or so, spaces in front."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]


async def heard_of(stream: tts.SynthesizeStream, text: str = TEXT) -> list[tts.SynthesizedAudio]:
    """All that comes of a stream, of a text said token by token."""
    for token in tokens_of(text):
        stream.push_text(token)
    stream.end_input()
    return [event async for event in stream]


async def said(voice: tts.TTS, text: str = TEXT, conn_options: APIConnectOptions = ONCE) -> np.ndarray:
    """(N,) int16."""
    async with voice.stream(conn_options=conn_options) as stream:
        return samples_of([event.frame for event in await heard_of(stream, text)])


def words_of(frames: list[rtc.AudioFrame]) -> list[TimedString]:
    return [word for frame in frames for word in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])]


async def test_tokens_become_one_segment_of_sound(server: Served) -> None:
    async with TTS(server.url) as voice, voice.stream() as stream:
        events = await heard_of(stream)
    assert {event.segment_id for event in events} != {""}
    assert len({event.segment_id for event in events}) == len({event.request_id for event in events}) == 1
    assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]
    assert {event.frame.sample_rate for event in events} == {RATE_HZ}
    assert np.abs(samples_of([event.frame for event in events])).max() > 1000


async def test_what_was_said_is_what_is_heard(hibari_server: Served) -> None:
    async with TTS(hibari_server.url) as voice:
        heard = transcribe(await said(voice), RATE_HZ)
    assert word_error_rate([TEXT], [heard]) <= 0.15, heard


async def test_the_transcript_is_the_text_with_the_time_of_each_word(server: Served) -> None:
    async with TTS(server.url) as voice, voice.stream() as stream:
        frames = [event.frame for event in await heard_of(stream)]
    words = words_of(frames)
    duration_s = sum(frame.duration for frame in frames)
    assert voice.capabilities.aligned_transcript
    assert "".join(words) == TEXT
    assert words[4:6] == [" $5.50,", " and"]
    times_s = [time_s for word in words for time_s in (word.start_time, word.end_time)]
    assert times_s == sorted(times_s)
    assert times_s[0] >= 0
    assert times_s[-1] <= duration_s + 0.05


async def test_without_word_times_there_are_none(fake_server: Served) -> None:
    async with TTS(fake_server.url, word_timestamps=False) as voice, voice.stream() as stream:
        assert not words_of([event.frame for event in await heard_of(stream)])
    assert not voice.capabilities.aligned_transcript


async def test_a_whole_text_sounds_as_in_tokens(server: Served) -> None:
    async with TTS(server.url) as voice:
        whole = await voice.synthesize(TEXT).collect()
        pieces = await said(voice)
    assert whole.duration == pytest.approx(len(pieces) / RATE_HZ, abs=0.05)
    assert "".join(words_of([whole])) in (TEXT, "")  # frames that are joined lose what they carried


async def test_a_flush_speaks_what_is_there(fake_server: Served) -> None:
    async with TTS(fake_server.url) as voice, voice.stream() as stream:
        stream.push_text("No full stop here")
        stream.flush()
        assert (await anext(stream)).frame.duration > 0
        stream.end_input()
        assert len([event async for event in stream]) > 1


async def test_options_are_taken_up_by_what_follows(fake_server: Served) -> None:
    async with TTS(fake_server.url) as voice:
        before = await said(voice)
        voice.update_options(speed=2.0)
        quick = await said(voice)
        voice.update_options(speed=1.0, voice="square")
        other = await said(voice)
    assert len(quick) == pytest.approx(len(before) / 2, rel=0.1)
    assert len(other) == pytest.approx(len(before), rel=0.02)
    assert not np.array_equal(other, before)


async def test_text_with_nothing_to_speak_is_a_moment_of_silence(server: Served) -> None:
    async with TTS(server.url) as voice:
        assert not np.any(await said(voice, "\N{GRINNING FACE}"))
        assert (await voice.synthesize("?!", conn_options=ONCE).collect()).duration == 0.02


async def test_a_stream_that_is_told_nothing_ends(fake_server: Served) -> None:
    async with TTS(fake_server.url) as voice, voice.stream() as stream:
        stream.end_input()
        assert not [event async for event in stream]


# -- connections -------------------------------------------------------------------------------------------------------


async def test_a_connection_serves_one_speech_after_the_other(fake_server: Served) -> None:
    seen: list[TTSMetrics] = []
    async with TTS(fake_server.url) as voice:
        voice.on("metrics_collected", seen.append)
        voice.prewarm()
        for _ in range(3):
            await said(voice)
        await voice.synthesize("Hello.").collect()
    assert [metrics.connection_reused for metrics in seen] == [True] * 4
    assert all(0 < metrics.ttfb < metrics.duration for metrics in seen)


async def test_speeches_at_once_do_not_mix(fake_server: Served) -> None:
    texts = ["One.", "This is the second, and it is longer.", "Here comes the third one."]
    async with TTS(fake_server.url) as voice:
        alone = [await said(voice, text) for text in texts]
        together = await asyncio.gather(*(said(voice, text) for text in texts))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


async def test_an_interruption_frees_the_slot_and_keeps_the_connection() -> None:
    async with held() as here, TTS(here.served.url) as voice:
        stream = voice.stream()
        stream.push_text(MANY_WORDS)
        await here.until_speaking(2)
        await stream.aclose()
        await here.assert_freed_within_one_step()
        here.gate.allow(math.inf)
        after = await said(voice, "Yes?")
        assert voice.pool.last_connection_reused
        assert np.array_equal(after, await said(voice, "Yes?")), "nothing of the first is in it"


async def test_leaving_ends_what_is_being_said() -> None:
    async with held() as here:
        voice = TTS(here.served.url)
        stream = voice.stream()
        stream.push_text(MANY_WORDS)
        await here.until_speaking()
        await voice.aclose()
        await here.assert_freed_within_one_step()


async def test_a_server_that_came_back_is_spoken_to_again(tmp_path: Path) -> None:
    port = str(free_port())
    with serve_process(log=tmp_path / "log", model="fake", port=port):
        voice = TTS(f"http://127.0.0.1:{port}")
        before = await said(voice)
    with serve_process(log=tmp_path / "log", model="fake", port=port):
        assert np.array_equal(await said(voice, conn_options=SOON), before)
    await voice.aclose()


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_a_voice_that_nobody_knows_is_refused_once(fake_server: Served) -> None:
    errors: list[tts.TTSError] = []
    async with TTS(fake_server.url, voice="nobody") as voice:
        voice.on("error", errors.append)
        with pytest.raises(APIStatusError, match="nobody") as refused:
            await voice.synthesize(TEXT, conn_options=SOON).collect()
    assert refused.value.status_code == 400
    assert refused.value.body == {"code": "unknown_voice"}
    assert [error.recoverable for error in errors] == [False]


async def test_a_server_that_is_not_there_is_asked_again_and_then_given_up() -> None:
    errors: list[tts.TTSError] = []
    async with TTS(f"http://127.0.0.1:{free_port()}") as voice:
        voice.on("error", errors.append)
        with pytest.raises(APIConnectionError, match="cannot be reached"):
            await voice.synthesize(TEXT, conn_options=SOON).collect()
    assert [error.recoverable for error in errors] == [True, True, True, False]


async def test_another_server_takes_over(fake_server: Served) -> None:
    gone, there = TTS(f"http://127.0.0.1:{free_port()}"), TTS(fake_server.url)
    adapter = tts.FallbackAdapter([gone, there], max_retry_per_tts=0)
    async with gone, there, adapter:
        assert adapter.capabilities.streaming
        assert len(await said(adapter, "Hello.")) == pytest.approx(len(await said(there, "Hello.")), abs=RATE_HZ // 10)


# -- in a session ------------------------------------------------------------------------------------------------------


async def test_an_agent_answers_a_text_aloud(hibari_server: Served, fake_chat_server: talking.Served) -> None:
    voice, writer = TTS(hibari_server.url), LLM(fake_chat_server.url, temperature=0.0)
    parts = {"tts": voice, "llm": writer, "use_tts_aligned_transcript": True}
    async with voice, writer, agent_session(pace=20, **parts) as (session, speaker):
        result = await session.run(user_input="Tell me a story, please.")
        answer = session.history.messages()[-1].text_content
        heard = transcribe(speaker.samples, RATE_HZ)
    result.expect.next_event().is_message(role="assistant")
    assert answer is not None
    assert answer.casefold().startswith("once there was a fox who lived by the river")
    assert "once there was a fox who lived by the river" in heard.casefold().replace(",", ""), heard


async def test_an_agent_that_is_interrupted_is_silent_and_both_servers_are_idle() -> None:
    async with held() as here, holding.held() as there, TTS(here.served.url) as voice, LLM(there.served.url) as writer:
        there.gate.allow(math.inf)
        async with agent_session(tts=voice, llm=writer) as (session, speaker):
            session.generate_reply(user_input="Tell me a story.")
            await here.until_speaking(4)
            await asyncio.wait_for(session.interrupt(force=True), 5)
            num_frames = len(speaker.frames)
            await here.assert_freed_within_one_step()
            assert there.engine.num_running == 0
            here.gate.allow(math.inf)
            await said(voice, "Yes?")
            assert len(speaker.frames) == num_frames


async def test_an_interruption_is_silence_within_150_ms(hibari_server: Served) -> None:
    async with TTS(hibari_server.url) as voice, agent_session(tts=voice) as (session, speaker):
        speech = session.say(MANY_WORDS)
        await until(lambda: bool(speaker.frames), "it speaks")
        before_s = time.monotonic()
        await session.interrupt(force=True)
        assert speech.interrupted
        assert speaker.cleared_s is not None
        assert max(speaker.cleared_s, *speaker.times_s) - before_s < 0.15
