"""LiveKit agents without a room: a loudspeaker that keeps what it is given, and an agent that is asked in text."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io


class Loudspeaker(io.AudioOutput):
    """Plays by the clock, `pace` times as fast as it sounds, and keeps each frame with the time it came."""

    def __init__(self, pace: float = 1.0) -> None:
        super().__init__(label="Loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False))
        self.pace = pace
        self.frames: list[rtc.AudioFrame] = []
        self.times_s: list[float] = []
        self.cleared_s: float | None = None
        self._num_before = 0
        self._ending: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self.frames.append(frame)
        self.times_s.append(time.monotonic())
        if len(self.frames) == self._num_before + 1:
            self.on_playback_started(created_at=time.time())

    def flush(self) -> None:
        super().flush()
        if self._is_playing:
            left_s = (self._duration_s - self._played_s) / self.pace
            self._ending = asyncio.get_running_loop().call_later(left_s, self._end, self._duration_s)

    def clear_buffer(self) -> None:
        if self._is_playing:
            self.cleared_s = time.monotonic()
            self._end(min(self._played_s, self._duration_s), is_interrupted=True)

    @property
    def samples(self) -> np.ndarray:
        """(N,) int16, all that came."""
        return samples_of(self.frames)

    @property
    def _is_playing(self) -> bool:
        return len(self.frames) > self._num_before

    @property
    def _played_s(self) -> float:
        return (time.monotonic() - self.times_s[self._num_before]) * self.pace

    @property
    def _duration_s(self) -> float:
        return sum(frame.duration for frame in self.frames[self._num_before :])

    def _end(self, played_s: float, *, is_interrupted: bool = False) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self._num_before = len(self.frames)
        self.on_playback_finished(playback_position=played_s, interrupted=is_interrupted)


def samples_of(frames: list[rtc.AudioFrame]) -> np.ndarray:
    """(N,) int16."""
    return np.concatenate([np.zeros(0, np.int16), *(np.frombuffer(frame.data, np.int16) for frame in frames)])


@asynccontextmanager
async def agent_session(pace: float = 1.0, **parts: Any) -> AsyncIterator[tuple[AgentSession[None], Loudspeaker]]:
    """An `AgentSession` of these parts (`llm`, `tts`), which speaks into a loudspeaker."""
    speaker = Loudspeaker(pace)
    session: AgentSession[None] = AgentSession(**parts)
    session.output.audio = speaker
    await session.start(Agent(instructions="You are brief."), record=False)
    try:
        yield session, speaker
    finally:
        await session.aclose()
