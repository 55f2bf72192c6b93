"""pipecat's own classes for OpenAI, as they are, with nothing but a base URL of ours."""

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMRunFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.metrics.metrics import LLMUsageMetricsData, TTFBMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.tts import VALID_VOICES, OpenAITTSService
from pipecat.tests.utils import run_test
from pipecat.workers.runner import WorkerRunner

from tests.holding import held
from tests.llm import holding, talking
from tests.recognising import transcribe
from tests.serving import Served

TEXT = "The first one is here, and it is long enough. Then comes another."
MANY_WORDS = "This is a sentence that goes on for quite a while. " * 4
RATE_HZ = 24_000

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

PARAMS = PipelineParams(audio_out_sample_rate=RATE_HZ, enable_metrics=True, enable_usage_metrics=True)


@pytest.fixture(autouse=True)
def _connections_that_pipecat_leaves() -> Iterator[None]:
    """These classes never close their connections: they go with the test that had them."""
    yield
    gc.collect()


def voice_of(served: Served, **settings: object) -> OpenAITTSService:
    wanted = OpenAITTSService.Settings(**settings)  # type: ignore[arg-type]
    return OpenAITTSService(api_key="unused", base_url=f"{served.url}/v1", settings=wanted)


def writer_of(served: talking.Served, **settings: object) -> OpenAILLMService:
    wanted = OpenAILLMService.Settings(**settings)  # type: ignore[arg-type]
    return OpenAILLMService(api_key="unused", base_url=f"{served.url}/v1", settings=wanted)


def bot_of(speech: Served, text: talking.Served, question: str) -> tuple[Pipeline, LLMContext]:
    """What an example bot of pipecat's has between its transport's ends, and what was said to it."""
    context = LLMContext([{"role": "developer", "content": "You are brief."}, {"role": "user", "content": question}])
    turns = LLMContextAggregatorPair(context)
    writer = writer_of(text, temperature=0.0)  # or the answer is shouted here and there
    return Pipeline([turns.user(), writer, voice_of(speech), turns.assistant()]), context


async def frames_of(processor: FrameProcessor, *frames: Frame) -> tuple[Sequence[Frame], Sequence[Frame]]:
    return await run_test(processor, frames_to_send=frames, pipeline_params=PARAMS, start_timeout=20)


def errors_of(frames: Sequence[Frame]) -> list[ErrorFrame]:
    return [frame for frame in frames if isinstance(frame, ErrorFrame)]


def audio_of(frames: Sequence[Frame]) -> bytes:
    return b"".join(frame.audio for frame in frames if isinstance(frame, TTSAudioRawFrame))


def spoken_by_curl(served: Served, text: str, **fields: object) -> bytes:
    body = {"input": text, "response_format": "pcm", **fields}
    return httpx.post(f"{served.url}/v1/audio/speech", json=body).content


async def test_speech_comes_whole_in_blocks_of_half_a_second(server: Served) -> None:
    down, up = await frames_of(voice_of(server), TTSSpeakFrame(TEXT))
    audio = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    assert not errors_of(up)
    assert audio_of(down) == spoken_by_curl(server, TEXT, voice="alloy")
    assert {frame.sample_rate for frame in audio} == {RATE_HZ}
    assert {len(frame.audio) for frame in audio[:-1]} == {RATE_HZ}  # bytes: half a second of samples
    wanted = (TTSStartedFrame, TTSAudioRawFrame, TTSTextFrame, TTSStoppedFrame)
    order = [kind for frame in down for kind in wanted if type(frame) is kind]
    assert order == [TTSStartedFrame, *[TTSAudioRawFrame] * len(audio), TTSTextFrame, TTSStoppedFrame]


@pytest.mark.parametrize("name", VALID_VOICES)
async def test_every_voice_that_pipecat_lets_through_speaks(fake_server: Served, name: str) -> None:
    down, up = await frames_of(voice_of(fake_server, voice=name), TTSSpeakFrame("Hello."))
    assert not errors_of(up)
    assert audio_of(down) == spoken_by_curl(fake_server, "Hello.", voice=name)


async def test_the_time_to_the_first_audio_is_reported(fake_server: Served) -> None:
    down, _ = await frames_of(voice_of(fake_server), TTSSpeakFrame(TEXT))
    reports = [data for frame in down if isinstance(frame, MetricsFrame) for data in frame.data]
    assert any(isinstance(data, TTFBMetricsData) and 0 < data.value < 5 for data in reports)


async def test_settings_are_taken_up_by_what_follows(fake_server: Served) -> None:
    change = TTSUpdateSettingsFrame(delta=OpenAITTSService.Settings(voice="onyx", speed=2.0, instructions="Be quick."))
    down, up = await frames_of(voice_of(fake_server), TTSSpeakFrame("Hello."), change, TTSSpeakFrame("Hello."))
    assert not errors_of(up)
    quick = spoken_by_curl(fake_server, "Hello.", voice="onyx", speed=2.0)
    assert audio_of(down) == spoken_by_curl(fake_server, "Hello.", voice="alloy") + quick


async def test_a_text_that_cannot_be_spoken_is_an_error_and_the_next_is_spoken(fake_server: Served) -> None:
    down, up = await frames_of(voice_of(fake_server), TTSSpeakFrame("\N{GRINNING FACE}"), TTSSpeakFrame("Hello."))
    errors = errors_of(up)
    assert "400" in errors[0].error
    assert not any(error.fatal for error in errors)
    assert audio_of(down) == spoken_by_curl(fake_server, "Hello.")


async def test_a_bot_answers_aloud_and_remembers_what_it_said(
    hibari_server: Served, fake_chat_server: talking.Served
) -> None:
    bot, context = bot_of(hibari_server, fake_chat_server, "Tell me a story, please.")
    down, up = await frames_of(bot, LLMRunFrame())
    assert not errors_of(up)
    heard = transcribe(np.frombuffer(audio_of(down), "<i2"), RATE_HZ)
    assert "once there was a fox who lived by the river" in heard.casefold().replace(",", ""), heard
    answer = context.messages[-1]
    assert answer["role"] == "assistant"  # type: ignore[index]
    assert "fox who lived by the river" in answer["content"].casefold()  # type: ignore[index, union-attr]


async def test_an_answer_of_a_real_model_comes_and_says_what_was_used(
    fake_server: Served, chat_server: talking.Served
) -> None:
    context = LLMContext([{"role": "user", "content": "Say hello."}])
    turns = LLMContextAggregatorPair(context)
    writer = writer_of(chat_server, temperature=0.0, max_completion_tokens=12)
    down, up = await frames_of(
        Pipeline([turns.user(), writer, voice_of(fake_server), turns.assistant()]), LLMRunFrame()
    )
    assert not errors_of(up)
    assert len(audio_of(down)) > RATE_HZ // 4
    reports = [data for frame in down if isinstance(frame, MetricsFrame) for data in frame.data]
    used = next(data.value for data in reports if isinstance(data, LLMUsageMetricsData))
    assert 0 < used.completion_tokens <= 12
    assert used.prompt_tokens > 0


async def test_an_interruption_leaves_both_servers_idle() -> None:
    async with held() as here, holding.held() as there:
        there.gate.allow(math.inf)
        bot, _ = bot_of(here.served, there.served, "Tell me a story.")
        async with at_work(bot) as worker:
            await worker.queue_frame(LLMRunFrame())
            await here.until_speaking(2)
            await worker.queue_frame(InterruptionFrame())
            await here.assert_freed_within_one_step()
            assert there.engine.num_running == 0
            here.gate.allow(math.inf)


@asynccontextmanager
async def at_work(pipeline: Pipeline) -> AsyncIterator[PipelineWorker]:
    """A pipeline that has started, until the block ends."""
    worker = PipelineWorker(pipeline, cancel_on_idle_timeout=False, params=PARAMS)
    started = asyncio.Event()
    worker.add_event_handler("on_pipeline_started", lambda *_: started.set())
    runner = WorkerRunner()
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await started.wait()
        yield worker
        await worker.queue_frame(EndFrame())
        await running
    finally:
        running.cancel()
