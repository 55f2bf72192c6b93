"""The audio side of a session: frames that its reader has not taken yet, and how far ahead of its listener it is."""

import asyncio
from collections import deque
from collections.abc import Callable

from engines.types import Frame


class FrameQueue:
    """Frames in order, for one reader. Event loop only.

    `on_taken` is told the number of samples whenever the reader takes audio. `clock` gives seconds, monotonic.
    """

    def __init__(self, sample_rate_hz: int, clock: Callable[[], float], on_taken: Callable[[int], None]) -> None:
        self.text_end = 0  # the text position that the reader has got to
        self._sample_rate_hz = sample_rate_hz
        self._clock = clock
        self._on_taken = on_taken
        self._frames: deque[Frame] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._num_taken = 0
        self._first_taken_at_s: float | None = None

    def __bool__(self) -> bool:
        return bool(self._frames)

    def put(self, frame: Frame) -> None:
        self._frames.append(frame)
        self.wake()

    def take(self) -> Frame:
        """The oldest frame; there must be one."""
        frame = self._frames.popleft()
        self.text_end = frame.text_end
        num_samples = len(frame.pcm)
        if num_samples:
            if self._first_taken_at_s is None:
                self._first_taken_at_s = self._clock()
            self._num_taken += num_samples
            self._on_taken(num_samples)
        return frame

    async def wait(self) -> None:
        """Return when a frame has been put, or `wake` was called for another reason."""
        assert self._reader is None or self._reader.done(), "a session has one reader"
        self._reader = asyncio.get_running_loop().create_future()
        await self._reader

    def wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def clear(self) -> None:
        self._frames.clear()

    @property
    def buffer_ms(self) -> float:
        """What the listener still has to hear: audio taken minus wall time since the first of it."""
        if self._first_taken_at_s is None:
            return 0.0
        elapsed_s = self._clock() - self._first_taken_at_s
        return max(0.0, (self._num_taken / self._sample_rate_hz - elapsed_s) * 1000)
