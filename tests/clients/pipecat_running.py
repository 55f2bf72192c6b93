"""pipecat pipelines for tests: processors between a source that is fed and a sink that keeps what it gets, and when."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

PATIENCE_S = 20.0
RATE_HZ = 24_000

FrameKind = TypeVar("FrameKind", bound=Frame)


class Running:
    """A pipeline that runs. `down` and `up` hold the frames that came out of it at either end, in order."""

    def __init__(self, worker: PipelineWorker) -> None:
        self.worker = worker
        self.down: list[Frame] = []
        self.up: list[Frame] = []
        self.times_s: list[float] = []  # of those that came down
        self._news = asyncio.Event()

    def keep(self, frame: Frame, direction: FrameDirection) -> None:
        if direction == FrameDirection.DOWNSTREAM:
            self.down.append(frame)
            self.times_s.append(time.monotonic())
        else:
            self.up.append(frame)
        self._news.set()

    async def push(self, *frames: Frame) -> None:
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def speak(self, *tokens: str) -> None:
        """An LLM's answer, as it comes."""
        await self.push(LLMFullResponseStartFrame(), *map(LLMTextFrame, tokens), LLMFullResponseEndFrame())

    async def until(self, is_so: Callable[[], object], what: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    async def until_down(self, kind: type[FrameKind], count: int = 1, *, start: int = 0) -> FrameKind:
        """The frame of this kind that came down as the `count`th behind the place `start`."""
        await self.until(lambda: len(self.of(kind, start)) >= count, f"{count} x {kind.__name__}")
        return self.of(kind, start)[count - 1]

    async def until_spoken(self, count: int = 1, *, start: int = 0) -> None:
        await self.until_down(TTSStoppedFrame, count, start=start)

    async def interrupt(self) -> int:
        """Interrupt. The place behind the interruption, at the pipeline's end."""
        frame = InterruptionFrame()
        await self.push(frame)
        await self.until(lambda: frame in self.down, "the interruption")
        return self.down.index(frame) + 1

    def of(self, kind: type[FrameKind], start: int = 0) -> list[FrameKind]:
        return [frame for frame in self.down[start:] if isinstance(frame, kind)]

    def audio(self, start: int = 0) -> bytes:
        return b"".join(frame.audio for frame in self.of(TTSAudioRawFrame, start))

    @property
    def errors(self) -> list[ErrorFrame]:
        return [frame for frame in self.up if isinstance(frame, ErrorFrame)]

    @property
    def ttfb_s(self) -> list[float]:
        """The times to the first byte that were reported, but for those at the start, which are 0."""
        data = [one for frame in self.of(MetricsFrame) for one in frame.data]
        return [one.value for one in data if isinstance(one, TTFBMetricsData) and one.value]


class _End(FrameProcessor):
    """Keeps what passes in one direction."""

    def __init__(self, keep: Callable[[Frame, FrameDirection], None], direction: FrameDirection) -> None:
        super().__init__(enable_direct_mode=True)
        self._keep = keep
        self._direction = direction

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction == self._direction:
            self._keep(frame, direction)
        await self.push_frame(frame, direction)


@asynccontextmanager
async def running(*processors: FrameProcessor, **options: Any) -> AsyncIterator[Running]:
    """These processors in a pipeline, until the block ends."""
    kept: list[Running] = []

    def keep(frame: Frame, direction: FrameDirection) -> None:
        kept[0].keep(frame, direction)

    pipeline = Pipeline([_End(keep, FrameDirection.UPSTREAM), *processors, _End(keep, FrameDirection.DOWNSTREAM)])
    params = PipelineParams(audio_out_sample_rate=RATE_HZ, enable_metrics=True, enable_usage_metrics=True)
    worker = PipelineWorker(pipeline, params=params, enable_rtvi=False, cancel_on_idle_timeout=False, **options)
    kept.append(Running(worker))
    started = asyncio.Event()

    async def start(*_: object) -> None:
        started.set()

    worker.add_event_handler("on_pipeline_started", start)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    task = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await started.wait()
        yield kept[0]
        await worker.queue_frame(EndFrame())
        async with asyncio.timeout(PATIENCE_S):
            await task
    finally:
        if not task.done():
            await worker.cancel()
            await task
