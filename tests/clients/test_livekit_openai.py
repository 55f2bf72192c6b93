"""LiveKit's own classes for OpenAI, as they are, with nothing but a base URL of ours."""

import asyncio
import math
from typing import get_args

import httpx
import pytest
from livekit.agents import APIStatusError, llm, metrics, tokenize, tts
from livekit.plugins import openai
from livekit.plugins.openai.models import TTSVoices

from tests.clients.livekit_listening import agent_session, samples_of
from tests.contract import int16_samples
from tests.decoding import similarity
from tests.holding import held
from tests.llm import holding, talking
from tests.recognising import transcribe, word_error_rate
from tests.serving import Served

TEXT = "The first one is here, and it is long enough. Then comes another."
MANY_WORDS = "This is a sentence that goes on for quite a while. " * 4
PCM_HZ = 24_000
LOST_S = {"flac": 0.1}
"""What LiveKit's decoder drops: the first block. That of mp3, aac and opus is short and holds little but a delay."""

STREAMED, WHOLE = "gpt-4o-mini-tts", "tts-1"
"""LiveKit asks for events, but of the older models: for those it asks for the file."""


def voice_of(served: Served, **options: object) -> openai.TTS:
    return openai.TTS(base_url=f"{served.url}/v1", api_key="unused", **options)  # type: ignore[arg-type]


def writer_of(served: talking.Served, **options: object) -> openai.LLM:
    return openai.LLM(base_url=f"{served.url}/v1", api_key="unused", **options)  # type: ignore[arg-type]


def spoken_by_curl(served: Served, text: str) -> bytes:
    return httpx.post(f"{served.url}/v1/audio/speech", json={"input": text, "response_format": "pcm"}).content


@pytest.mark.parametrize("model", [STREAMED, WHOLE])
@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
async def test_speech_in_every_format_sounds_like_the_pcm(hibari_server: Served, name: str, model: str) -> None:
    async with voice_of(hibari_server, response_format=name, model=model) as voice:
        frame = await voice.synthesize(TEXT).collect()
    assert (frame.sample_rate, frame.num_channels) == (PCM_HZ, 1)
    reference = int16_samples(spoken_by_curl(hibari_server, TEXT)).astype("f4")
    likeness, _ = similarity(samples_of([frame]).astype("f4"), reference)
    assert likeness > 0.9
    assert frame.duration == pytest.approx(len(reference) / PCM_HZ, abs=LOST_S.get(name, 0.05))


@pytest.mark.parametrize("name", get_args(TTSVoices))
async def test_every_voice_that_livekit_lists_speaks(server: Served, name: str) -> None:
    async with voice_of(server, response_format="pcm", voice=name) as voice:
        assert (await voice.synthesize("Hello.").collect()).duration > 0.1


async def test_options_are_taken_up_by_what_follows(fake_server: Served) -> None:
    async with voice_of(fake_server, response_format="pcm") as voice:
        before = await voice.synthesize(TEXT).collect()
        voice.update_options(speed=2.0, instructions="Be quick.")
        after = await voice.synthesize(TEXT).collect()
    assert after.duration == pytest.approx(before.duration / 2, rel=0.1)


async def test_metrics_tell_of_the_first_audio_and_of_usage(fake_server: Served) -> None:
    seen: list[metrics.TTSMetrics] = []
    async with voice_of(fake_server) as voice:
        voice.on("metrics_collected", seen.append)
        heard = await voice.synthesize(TEXT).collect()
    assert len(seen) == 1
    assert 0 < seen[0].ttfb < seen[0].duration
    assert seen[0].audio_duration == pytest.approx(heard.duration)
    assert seen[0].input_tokens == len(TEXT)
    assert seen[0].output_tokens > 0


@pytest.mark.parametrize("model", [STREAMED, WHOLE])
async def test_a_text_that_cannot_be_spoken_is_refused_once(fake_server: Served, model: str) -> None:
    async with voice_of(fake_server, model=model) as voice:
        errors: list[tts.TTSError] = []
        voice.on("error", errors.append)
        with pytest.raises(APIStatusError) as refused:
            await voice.synthesize("?!").collect()
    assert refused.value.status_code == 400
    assert [error.recoverable for error in errors] == [False]


async def test_tokens_become_sentences_become_speech(hibari_server: Served) -> None:
    async with voice_of(hibari_server, response_format="pcm") as voice:
        adapter = tts.StreamAdapter(tts=voice, sentence_tokenizer=tokenize.basic.SentenceTokenizer())
        async with adapter.stream() as stream:
            for token in TEXT.split(" "):
                stream.push_text(f"{token} ")
            stream.end_input()
            frames = [event.frame async for event in stream]
    heard = transcribe(samples_of(frames), PCM_HZ)
    assert word_error_rate([TEXT], [heard]) <= 0.1, heard


async def test_speech_that_is_given_up_frees_its_slot() -> None:
    async with held() as here, voice_of(here.served, response_format="pcm") as voice:
        stream = voice.synthesize(MANY_WORDS)
        await here.until_speaking()
        await stream.aclose()
        await here.assert_freed_within_one_step()


# -- LLM ---------------------------------------------------------------------------------------------------------------


def asking(text: str) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="developer", content="You are brief.")
    context.add_message(role="user", content=[text])
    return context


async def test_an_answer_comes_token_by_token_and_says_what_was_used(chat_server: talking.Served) -> None:
    async with writer_of(chat_server, temperature=0.0, max_completion_tokens=20) as writer:
        chunks = [chunk async for chunk in writer.chat(chat_ctx=asking("Tell me a story."))]
    texts = [chunk.delta.content for chunk in chunks if chunk.delta and chunk.delta.content]
    assert len(texts) > 3
    usage = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usage) == 1
    assert 0 < usage[0].completion_tokens <= 20
    assert usage[0].prompt_tokens > 3


async def test_an_answer_that_is_given_up_is_not_written_on() -> None:
    async with holding.held() as here, writer_of(here.served) as writer:
        stream = writer.chat(chat_ctx=asking("Tell me a story."))
        await here.until_writing(3)
        await stream.aclose()
        await here.assert_free_within_one_step()


# -- both, in a session ------------------------------------------------------------------------------------------------


async def test_an_agent_answers_a_text_aloud(hibari_server: Served, fake_chat_server: talking.Served) -> None:
    voice, writer = voice_of(hibari_server), writer_of(fake_chat_server, temperature=0.0)
    async with voice, writer, agent_session(pace=20, tts=voice, llm=writer) as (session, speaker):
        result = await session.run(user_input="Tell me a story, please.")
        answer = session.history.messages()[-1].text_content
        heard = transcribe(speaker.samples, PCM_HZ)
    result.expect.next_event().is_message(role="assistant")
    assert answer is not None
    assert answer.casefold().startswith("once there was a fox")
    assert "once there was a fox who lived by the river" in heard.casefold().replace(",", ""), heard


async def test_an_agent_that_is_interrupted_leaves_both_servers_idle() -> None:
    async with held() as here, holding.held() as there, voice_of(here.served, response_format="pcm") as voice:
        there.gate.allow(math.inf)
        async with writer_of(there.served) as writer, agent_session(tts=voice, llm=writer) as (session, speaker):
            session.generate_reply(user_input="Tell me a story.")
            await here.until_speaking(4)
            await asyncio.wait_for(session.interrupt(force=True), 5)
            await here.assert_freed_within_one_step()
            assert there.engine.num_running == 0
            num_frames = len(speaker.frames)
            here.gate.allow(math.inf)
            await asyncio.sleep(0)
            assert len(speaker.frames) == num_frames
