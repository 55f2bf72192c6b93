"""What the services have in common whose text is streamed in: a stream for each of pipecat's audio contexts."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final, Protocol

from loguru import logger
from pipecat.frames.frames import ErrorFrame, Frame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.transcriptions.language import Language
from pipecat.utils.errors import ErrorCategory

from app.clients.errors import ClientError
from app.clients.pipecat.failures import NO_END_OF_TRIES, category_of
from app.clients.pipecat.settings import TidingTTSSettings, complete
from app.clients.speech_events import Audio, Cancelled, Event, Warned, Words

_STOP_AFTER_S: Final = 600.0
"""The server says when a context is over. What is silent meanwhile waits for its text, held back or slow to come."""


class Stream(Protocol):
    """What a context is spoken by."""

    async def say(self, text: str) -> None: ...
    async def flush(self) -> None: ...
    async def close(self) -> None: ...
    async def cancel(self) -> Cancelled: ...
    def __aiter__(self) -> AsyncIterator[Event]: ...


class StreamingTTSService(TTSService):
    """Text goes to the server as it comes, and the server cuts it; sound comes in a task for each context, until the
    server says that it was all. An interruption drops the stream, and with it all that is still on its way.

    Event handlers, beside those of `TTSService`:
        on_speech_cancelled: an interruption has cut a context off. Given the context's id, and what of its text the
            listener can have heard.
    """

    Settings = TidingTTSSettings
    _settings: TidingTTSSettings  # pyright: ignore[reportIncompatibleVariableOverride]  # pipecat's own do it so

    def __init__(
        self,
        *,
        settings: TidingTTSSettings | None = None,
        text_aggregation_mode: TextAggregationMode = TextAggregationMode.TOKEN,
        **kwargs: Any,
    ) -> None:
        """Args:

        settings: Voice, language and more; what is not given is as the server says.
        text_aggregation_mode: TOKEN, the default: text goes to the server as it comes. SENTENCE: pipecat cuts it.
        **kwargs: For `TTSService`.
        """
        options: dict[str, Any] = {
            "stop_frame_timeout_s": _STOP_AFTER_S,
            "append_trailing_space": True,
            **NO_END_OF_TRIES,
            **kwargs,
        }
        super().__init__(
            settings=complete(settings),
            text_aggregation_mode=text_aggregation_mode,
            push_start_frame=True,
            **options,
        )
        self._streams: dict[str, Stream] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._register_event_handler("on_speech_cancelled")

    @abstractmethod
    def make_stream(self, context_id: str) -> Stream:
        """A stream with the settings as they are now, that begins with its first text."""

    def can_generate_metrics(self) -> bool:
        return True

    @property
    def supports_processing_metrics(self) -> bool:
        return False

    def language_to_service_language(self, language: Language) -> str:
        return language.value

    def _classify_error(self, exception: Exception) -> ErrorCategory | None:
        return category_of(exception)

    # -- text ----------------------------------------------------------------------------------------------------------

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        stream = self._streams.get(context_id) or self._begin(context_id)
        try:
            await stream.say(text)
            if self._text_aggregation_mode == TextAggregationMode.SENTENCE:
                await stream.flush()
            await self.start_tts_usage_metrics(text)
        except ClientError as error:
            if context_id in self._listening:
                return  # where it listens the error is told as well, once
            yield ErrorFrame(str(error), exception=error)
        yield None

    async def flush_audio(self, context_id: str | None = None) -> None:
        """No more text comes for a context. One that nothing is being spoken in is over."""
        context_id = context_id or self.get_active_audio_context_id() or ""
        stream = self._streams.get(context_id)
        if stream is None:
            await self._end_context(context_id)
            return
        try:
            await stream.close()
        except ClientError as error:
            logger.debug(f"{self}: {error}")  # told where it listens

    async def _update_settings(self, delta: Any) -> dict[str, Any]:
        """A stream keeps the settings that it began with: what is left of a turn goes into a new one."""
        changed = await super()._update_settings(delta)
        if changed and self._turn_context_id in self._streams:
            await self._push_sequencer_frames(
                await self._aggregated_frame_sequencer.finalize(self._turn_context_id), self._turn_context_id
            )
            await self.flush_audio(self._turn_context_id)
            self._renew_turn()
        return changed

    def _renew_turn(self) -> None:
        self._turn_context_id = None
        self._turn_context_id = self.create_context_id()

    # -- sound ---------------------------------------------------------------------------------------------------------

    def _begin(self, context_id: str) -> Stream:
        stream = self._streams[context_id] = self.make_stream(context_id)
        self._listening[context_id] = self.create_task(self._listen(stream, context_id), f"listen_{context_id}")
        return stream

    async def _listen(self, stream: Stream, context_id: str) -> None:
        try:
            async for event in stream:
                await self._take(event, context_id)
        except ClientError as error:
            await self.stop_all_metrics()
            await self.push_error(str(error), exception=error)
            # What was not spoken is not said to have been: pipecat would complete it.
            self._aggregated_frame_sequencer.clear(keep_contexts={*self._tts_contexts} - {context_id})
            if self._turn_context_id == context_id:
                self._renew_turn()  # and with it whatever is still to be said
        self._streams.pop(context_id, None)
        self._listening.pop(context_id, None)
        await self._end_context(context_id)

    async def _end_context(self, context_id: str) -> None:
        if self.audio_context_available(context_id):
            await self.append_to_audio_context(context_id, TTSStoppedFrame(context_id=context_id))
            await self.remove_audio_context(context_id)

    async def _take(self, event: Event, context_id: str) -> None:
        if isinstance(event, Audio):
            frame = TTSAudioRawFrame(event.data, self.sample_rate, 1, context_id=context_id)
            await self.append_to_audio_context(context_id, frame)
        elif isinstance(event, Words):
            times = [(word.text, word.start_ms / 1000) for word in event.words]
            await self.add_word_timestamps(times, context_id)
        elif isinstance(event, Warned):
            logger.warning(f"{self}: {event.message}")

    # -- interruptions -------------------------------------------------------------------------------------------------

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        await self.stop_all_metrics()
        listening = self._listening.pop(context_id, None)
        if listening is not None:
            await self.cancel_task(listening)
        stream = self._streams.pop(context_id, None)
        if stream is not None:  # nobody waits for the answer: silence is what counts now
            self.create_task(self._cancel_stream(stream, context_id), f"cancel_{context_id}")
        await super().on_audio_context_interrupted(context_id)

    async def stop_listening(self) -> None:
        """Nothing more is heard, of any context."""
        for listening in list(self._listening.values()):
            await self.cancel_task(listening)
        self._listening.clear()
        self._streams.clear()

    async def _cancel_stream(self, stream: Stream, context_id: str) -> None:
        try:
            cancelled = await stream.cancel()
        except ClientError as error:
            logger.debug(f"{self}: {error}")
            return
        logger.debug(f"{self}: heard [{cancelled.text_spoken}]")
        await self._call_event_handler("on_speech_cancelled", context_id, cancelled.text_spoken)
