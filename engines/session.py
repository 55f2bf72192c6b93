"""One client's open utterance: text in, frames out.

A session lives on the event loop. It hands the scheduler one segment at a time and gets results back through
`on_result`, which the engine calls on the same loop; nothing else crosses. What the reader has not taken yet counts
against the session's credit, so a reader that stops stops its own session and no other.
"""

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Self

import msgspec
import numpy as np

from engines.accounts import Books, Ledger, Outcome
from engines.adaptive import Choice, choose
from engines.cleaning import SpeechFilter
from engines.errors import CapacityError, EngineFailure, SessionClosed, TextTooLong
from engines.frame_queue import FrameQueue
from engines.jobs import Job
from engines.model import StepResult
from engines.patience import Patience
from engines.reading import Lexicon, read
from engines.recital import Recital
from engines.scheduler import Scheduler
from engines.text_queue import Cut, TextQueue
from engines.types import AudioFormat, ChunkSizes, Cutting, Frame, Granularity, Limits, Params, Voice

logger = logging.getLogger("tiding.session")


class Host(msgspec.Struct, frozen=True):
    """What a session needs of the engine that opened it."""

    scheduler: "Scheduler[Session]"
    format: AudioFormat
    limits: Limits
    speakable: Callable[[str], Mapping[int, str]]
    max_segment_chars: Callable[[str], int]
    clock: Callable[[], float]
    books: Books
    on_closed: "Callable[[Session], None]"


class Session:
    """Event loop only. Use it as a context manager: leaving the block cancels what is left.

        async with engine.open_session(voice="aria") as session:
            session.push("Hello there.")
            session.finish()
            async for frame in session:
                ...

    `voice` is the one that speaks.
    """

    def __init__(
        self,
        host: Host,
        voice: Voice,
        params: Params,
        *,
        locale: str,
        lexicon: Lexicon,
        is_markdown: bool,
        cutting: Cutting,
        is_paced: bool,
        idle_flush_s: float | None,
    ) -> None:
        self.voice = voice
        self._params = params
        self._host = host
        self._cutting: Cutting = cutting
        self._idle_flush_s = idle_flush_s
        self._loop = asyncio.get_running_loop()
        self._job: Job[Session] = host.scheduler.open_job(self, voice, params, is_paced=is_paced)
        self._locale = locale
        self._lexicon = lexicon
        self._filter = SpeechFilter(host.speakable(params.language))
        max_chars = host.max_segment_chars(params.language)
        self._max_spoken_chars = min(max_chars, _MAX_GROWTH * host.limits.max_segment_chars)
        self._texts = TextQueue(
            min(host.limits.max_segment_chars, max_chars),
            self._filter.prepare,
            pause_scale=1 / params.speed,
            is_markdown=is_markdown,
        )
        self._in_flight: Cut | None = None
        self._recital: Recital | None = None  # of what is in flight
        self._choice: Choice | None = None
        self._num_segments_begun = 0
        self._idle: asyncio.TimerHandle | None = None
        self._is_overdue = False
        self._is_newcomer = False  # has a place and nothing else yet
        self._patience = Patience(
            _patience_s(host.limits.max_wait_s, is_paced=is_paced),
            lambda: host.scheduler.is_waiting(self._job),
            lambda: self.fail(CapacityError("no slot has become free in time")),
        )
        self._frames = FrameQueue(host.format.sample_rate_hz, host.clock, self._on_taken)
        self._num_received = 0
        self._text_end = 0
        self._ledger = Ledger(voice.name, params.language, host.format.sample_rate_hz, host.books)
        self._last_used_s = host.clock()
        self._error: Exception | None = None
        self._is_cancelled = False
        self._is_closed = False

    # -- text in ---------------------------------------------------------------------------------------------------

    def push(self, text: str, *, label: object = None, chunk_sizes: ChunkSizes | None = None) -> str:
        """Add text as it comes; the segmenter cuts it. Returns the characters that the voice cannot speak, each once.

        `label` comes back with the frames; `chunk_sizes` are other ones than the session's. Of text that is joined
        with what waits already, both are those of its beginning.

        Raises:
            TextTooLong: it is more than a request may have, or more would wait than a session may hold.
            CapacityError: all places are taken. The session is as it was.
            SessionClosed: after `finish` or `cancel`.
        """
        self._check_open(len(text))
        self._ledger.pushed(len(text))
        self._texts.push(text, self._cutting, label, chunk_sizes)
        return self._pushed()

    def push_segment(
        self,
        text: str,
        *,
        cutting: Cutting = "sentence",
        label: object = None,
        chunk_sizes: ChunkSizes | None = None,
    ) -> str:
        """Add text that is one segment for the client, whatever is in it. Otherwise as `push`."""
        self._check_open(len(text))
        self._ledger.pushed(len(text))
        self._texts.push_message(text, cutting, label, chunk_sizes)
        return self._pushed()

    def flush(self) -> None:
        """Speak what has been pushed, without waiting for the end of its sentence."""
        self._texts.flush()
        self._advance()

    def finish(self) -> None:
        """No more text: iteration ends when all of it has been spoken. Calling it again changes nothing."""
        self._texts.finish()
        self._last_used_s = self._host.clock()
        self._stop_idle_timer()
        self._advance()

    def cancel(self) -> str:
        """Drop what has not been spoken; the device stops within a step. Returns the text that the reader has taken."""
        spoken = self._texts.text[: self._frames.text_end]
        self._is_cancelled = True
        self._frames.clear()
        self._close("cancelled")
        return spoken

    # -- frames out ------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        """The next frame, in order, as soon as it is made.

        Raises:
            SessionClosed: the session was cancelled.
            EngineFailure: the device failed; frames made before are delivered first.
        """
        while not self._frames:
            if self._error is not None:
                raise self._error
            if self._is_cancelled:
                raise SessionClosed("the session was cancelled")
            if self._is_spent:
                self._close("done")
                raise StopAsyncIteration
            await self._frames.wait()
        return self._frames.take()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    @contextmanager
    def sending(self, duration_ms: float) -> Generator[None]:
        """Send audio that was taken, so much of it, inside this: it is counted when it has been sent."""
        begun_s = self._host.clock()
        yield
        is_all = self._in_flight is None and not self._frames
        self._ledger.sent(begun_s, duration_ms / 1000, is_all=is_all)

    @property
    def text(self) -> str:
        """All text pushed so far, as it was pushed: word positions and `text_end` count in it."""
        return self._texts.text

    @property
    def has_speech(self) -> bool:
        """Whether anything pushed so far can be spoken."""
        return self._filter.has_speech

    @property
    def buffer_ms(self) -> float:
        """What the listener still has to hear: audio taken by the reader minus wall time since the first of it."""
        return self._frames.buffer_ms

    @property
    def idle_s(self) -> float:
        """Seconds since text was pushed, or audio was made or taken, or the text was finished."""
        return self._host.clock() - self._last_used_s

    # -- from the engine -------------------------------------------------------------------------------------------

    def on_result(self, result: StepResult) -> None:
        """One result of the segment in flight. Called on the session's loop."""
        if self._is_closed or self._in_flight is None:
            return
        self._patience.stop()
        if result.error is not None:
            self.fail(EngineFailure("the voice failed on this text; the server's log says why"))
            return
        assert self._recital is not None, "what is in flight is spoken"
        is_over = result.is_segment_end and (bool(result.cut_short) or not self._recital.has_parts)
        self._receive(result, self._in_flight, self._recital, is_over=is_over)
        if is_over:
            self._in_flight = None
            self._advance()
        elif result.is_segment_end:
            self._submit_part(self._in_flight, self._recital)

    def fail(self, error: Exception) -> None:
        """End with an error, after the frames that are already here. Called on the session's loop."""
        if not self._is_closed:
            self._error = error
            self._close("failed")

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _is_spent(self) -> bool:
        return self._texts.is_spent and self._in_flight is None

    def _check_open(self, num_chars: int) -> None:
        if self._is_closed or self._texts.is_finished:
            raise SessionClosed("no text can be added: the session has been finished or cancelled")
        limits = self._host.limits
        if num_chars > limits.max_request_chars:
            raise TextTooLong(num_chars, limits.max_request_chars)
        num_waiting = self._texts.num_waiting_chars + num_chars
        if num_waiting > limits.max_waiting_chars:
            raise TextTooLong(num_waiting, limits.max_waiting_chars)
        self._is_newcomer |= self._host.scheduler.take_place(self._job)

    def _pushed(self) -> str:
        self._is_overdue = False
        self._last_used_s = self._host.clock()
        self._advance()
        self._start_idle_timer()
        return self._filter.take_left_out()

    def _advance(self) -> None:
        """Hand over the next segment if none is in flight, and tell the reader when nothing is left."""
        while not self._is_closed and self._in_flight is None:
            cut = self._next_cut()
            if cut is None:
                break
            if cut.segment is None:
                self._put(Frame(_NO_PCM, cut.number, True, (), self._text_end, cut.label))
            else:
                self._submit(cut)
        if self._is_spent:
            self._frames.wake()

    def _next_cut(self) -> Cut | None:
        granularity = self._granularity()
        cut = self._texts.next(granularity)
        if cut is None and self._is_overdue and self._texts.has_open_speech:
            self._texts.flush()
            cut = self._texts.next(granularity)
        return cut

    def _granularity(self) -> Granularity:
        cutting = self._texts.cutting or self._cutting
        self._choice = None
        if cutting == "adaptive":
            small_buffer_ms = self._host.limits.small_buffer_s * 1000
            self._choice = choose(self.buffer_ms, self._texts.num_waiting_chars, small_buffer_ms=small_buffer_ms)
            return self._choice.granularity
        if cutting == "early":
            return "sentence" if self._num_segments_begun else "clause"
        return cutting

    def _submit(self, cut: Cut) -> None:
        assert cut.segment is not None, "only a segment can be submitted"
        if self._choice is not None:
            logger.info(
                "adaptive: segment %d takes a %s of %d characters (%s: %.0f ms, %d characters left waiting)",
                cut.number, self._choice.granularity, len(cut.segment.text), self._choice.reason, self.buffer_ms,
                self._texts.num_waiting_chars,
            )  # fmt: skip
        self._in_flight = cut
        self._num_segments_begun += 1
        self._ledger.began_segment(len(cut.segment.text))
        spoken = read(cut.segment.text, self._locale, self._lexicon)
        sent = self._texts.text[cut.segment.start : cut.segment.end]
        self._recital = Recital(cut.segment, sent, spoken, self._max_spoken_chars)
        self._submit_part(cut, self._recital)
        if self._is_newcomer:
            self._is_newcomer = False
            self._patience.start()

    def _submit_part(self, cut: Cut, recital: Recital) -> None:
        part = recital.next_part(self._num_received * 1000 / self._host.format.sample_rate_hz)
        is_urgent = self._choice is not None and self._choice.is_urgent
        self._host.scheduler.submit(self._job, part, params=self._params_of(cut), is_urgent=is_urgent)

    def _params_of(self, cut: Cut) -> Params:
        sizes = cut.chunk_sizes
        if sizes is None:
            return self._params
        return msgspec.structs.replace(self._params, first_chunk_frames=sizes.first, chunk_frames=sizes.later)

    def _receive(self, result: StepResult, cut: Cut, recital: Recital, *, is_over: bool) -> None:
        is_spoken = is_over and not result.cut_short
        words = recital.written(result.words, is_end=is_spoken)
        if words:
            self._text_end = words[-1].char_end
        if is_spoken and cut.segment is not None:
            self._text_end = cut.segment.end
        self._num_received += len(result.pcm)
        self._ledger.made(len(result.pcm))
        is_end = is_over and cut.is_last_of_number
        self._put(Frame(result.pcm, cut.number, is_end, words, self._text_end, cut.label))

    def _put(self, frame: Frame) -> None:
        self._last_used_s = self._host.clock()
        self._frames.put(frame)

    def _on_taken(self, num_samples: int) -> None:
        self._ledger.taken()
        self._last_used_s = self._host.clock()
        self._host.scheduler.consume(self._job, num_samples)

    def _start_idle_timer(self) -> None:
        self._stop_idle_timer()
        if self._idle_flush_s is not None and self._texts.has_open_speech:
            self._idle = self._loop.call_later(self._idle_flush_s, self._on_idle)

    def _stop_idle_timer(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _on_idle(self) -> None:
        spare_s = self.buffer_ms / 1000 - self._host.limits.small_buffer_s
        if self._texts.cutting == "adaptive" and spare_s > 0:  # enough is buffered to wait for the whole sentence
            self._idle = self._loop.call_later(spare_s, self._on_idle)
            return
        self._is_overdue = True
        self._advance()

    def _close(self, outcome: Outcome) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if outcome == "cancelled" and not self.has_speech:
            self._ledger.forget()
        self._ledger.close(outcome, self._texts.text if self._host.limits.is_text_logged else None)
        self._stop_idle_timer()
        self._patience.stop()
        self._host.scheduler.close_job(self._job)
        self._host.on_closed(self)
        self._frames.wake()


def _patience_s(max_wait_s: float | None, *, is_paced: bool) -> float | None:
    return max_wait_s if max_wait_s is None or is_paced else max(max_wait_s, _UNHEARD_WAIT_S)


_UNHEARD_WAIT_S = 30.0
"""What is not heard while it is made takes its turn behind what is: nobody listens to the silence."""

_MAX_GROWTH = 2
"""Times as long as it was written may a segment be spoken at once: figures would else hold the device for long."""

_NO_PCM = np.zeros(0, np.float32)
