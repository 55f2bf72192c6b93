"""A pipecat bot on Tiding, in text and out speech: `python bot.py "Why is the sky blue?" -o answer.wav`.

The parts are those of any bot: a context, an LLM, a voice, a transport. This transport plays in real time into a file,
and asks what its arguments say; `--barge-in 2` interrupts two seconds after the bot began to speak. Put another
transport and speech recognition in front, and it is a voice agent.
"""

import argparse
import asyncio
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    MetricsFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from app.clients.pipecat import (
    TidingAdaptiveTTSService,
    TidingHttpTTSService,
    TidingLLMService,
    TidingLLMSettings,
    TidingTTSService,
    TidingTTSSettings,
)

VOICES: dict[str, Callable[..., TTSService]] = {
    "websocket": TidingTTSService,  # text streamed in, word times: the one to begin with
    "adaptive": TidingAdaptiveTTSService,  # text streamed in over HTTP
    "stream": TidingHttpTTSService,  # a request for each sentence
    "batch": lambda url, **options: TidingHttpTTSService(url, delivery="batch", **options),  # and its answer whole
}
INSTRUCTION = "You are a friendly voice assistant. Answer in short, plain sentences."
RATE_HZ = 24_000


class WavTransport(BaseOutputTransport):
    """Plays into a file, as a loudspeaker would: in real time, and no longer than it is let."""

    def __init__(self, path: Path) -> None:
        super().__init__(TransportParams(audio_out_enabled=True))
        self._path = path
        self._file: wave.Wave_write | None = None
        self._free_s = 0.0  # when all that was played has sounded

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._file = wave.open(str(self._path), "wb")  # noqa: SIM115
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(self.sample_rate)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now_s = time.monotonic()
        self._free_s = max(self._free_s, now_s) + len(frame.audio) / 2 / self.sample_rate
        if self._file is not None:
            self._file.writeframes(frame.audio)
        await asyncio.sleep(max(0.0, self._free_s - now_s - 0.02))
        return True

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Ear(FrameProcessor):
    """Stands behind the transport, and says when an answer has begun to sound and when it has been heard."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.heard = asyncio.Event(), asyncio.Event()
        self.ttfb_s: dict[str, float] = {}
        self._is_written = self._is_speaking = False

    def expect(self) -> None:
        """Another answer comes."""
        self._is_written = self._is_speaking = False
        self.begun.clear()
        self.heard.clear()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        match frame:
            case BotStartedSpeakingFrame():
                self._is_speaking = True
                self.begun.set()
            case BotStoppedSpeakingFrame():
                self._is_speaking = False
            case LLMFullResponseEndFrame():
                self._is_written = True
            case MetricsFrame():
                found = [data for data in frame.data if isinstance(data, TTFBMetricsData) and data.value]
                self.ttfb_s |= {data.processor: data.value for data in found}
        if self._is_written and not self._is_speaking:
            self.heard.set()


async def converse(
    questions: list[str],
    path: Path,
    *,
    mode: str = "websocket",
    voice: str = "aria",
    speech_url: str = "http://localhost:8001",
    llm_url: str = "http://localhost:8002",
    barge_in_s: float | None = None,
    seed: int | None = None,
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Ask, and hear each answer to its end, or to an interruption. The conversation, as it was heard; and how long each
    service took to its first token or sound, in seconds.
    """
    llm = TidingLLMService(llm_url, settings=TidingLLMSettings(system_instruction=INSTRUCTION, seed=seed))
    tts = VOICES[mode](speech_url, settings=TidingTTSSettings(voice=voice))
    context = LLMContext()
    aggregators = LLMContextAggregatorPair(context)
    ear = Ear()
    pipeline = Pipeline([aggregators.user(), llm, tts, WavTransport(path), ear, aggregators.assistant()])
    params = PipelineParams(audio_out_sample_rate=RATE_HZ, enable_metrics=True)
    worker = PipelineWorker(pipeline, params=params, enable_rtvi=False)
    worker.set_reached_downstream_filter((InterruptionFrame,))
    started, interrupted = asyncio.Event(), asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def _(_worker: PipelineWorker, _frame: Frame) -> None:
        started.set()

    @worker.event_handler("on_frame_reached_downstream")
    async def _(_worker: PipelineWorker, _frame: Frame) -> None:
        interrupted.set()

    async def ask() -> None:
        await started.wait()
        for question in questions:
            ear.expect()
            said = [{"role": "user", "content": question}]
            await worker.queue_frame(LLMMessagesAppendFrame(said, run_llm=True))
            if barge_in_s is None:
                await ear.heard.wait()
                continue
            await ear.begun.wait()
            await asyncio.sleep(barge_in_s)
            interrupted.clear()
            await worker.queue_frame(InterruptionFrame())
            await interrupted.wait()  # what was heard is part of the conversation now
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), ask())
    return list(context.get_messages()), ear.ttfb_s


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("questions", nargs="*", default=["Why is the sky blue?"])
    parser.add_argument("-o", "--output", type=Path, default=Path("answer.wav"))
    parser.add_argument("--mode", choices=VOICES, default="websocket", help="how the voice is asked")
    parser.add_argument("--voice", default="aria")
    parser.add_argument("--speech", default="http://localhost:8001")
    parser.add_argument("--llm", default="http://localhost:8002")
    parser.add_argument("--barge-in", type=float, help="interrupt so many seconds after the bot began to speak")
    parser.add_argument("--seed", type=int, help="the same answers each time")
    asked = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    messages, ttfb_s = await converse(
        asked.questions,
        asked.output,
        mode=asked.mode,
        voice=asked.voice,
        speech_url=asked.speech,
        llm_url=asked.llm,
        barge_in_s=asked.barge_in,
        seed=asked.seed,
    )
    for message in messages:
        print(f"{message['role']}: {message['content']}")
    for name, seconds in ttfb_s.items():
        print(f"{seconds * 1000:6.0f} ms  to the first of {name}")
    print(f"written: {asked.output}")


if __name__ == "__main__":
    asyncio.run(main())
