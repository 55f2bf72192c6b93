"""A context: streams that follow each other under one name, with settings of their own. A socket has one without a
name, and those that its client names.
"""

import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from engines.engine import Engine
from engines.errors import EngineFailure, SpeechError
from engines.segmenter import Verdict, sentence_end
from modes.http_audio import open_session
from modes.messages import Cancel, Cancelled, Chunk, Failed, Init, ServerMessage, Text, in_context
from modes.outbox import Outbox
from modes.speaking import SpokenStream, cutting_of

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine beside the caller, as long as the socket lives."""


class Context:
    """Event loop only. The socket's reader calls what a client asks for; a speaker, which runs while there is something
    to speak, sends the streams one after the other.
    """

    def __init__(self, name: str | None, engine: Engine, outbox: Outbox, spawn: Spawn, options: Init) -> None:
        self.name = name
        self.options = options
        self._engine = engine
        self._outbox = outbox
        self._spawn = spawn
        self._streams: deque[SpokenStream] = deque()  # the first is being spoken, the last may still take text
        self._last: SpokenStream | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to speak or to wait for."""
        return not self._streams

    @property
    def has_text(self) -> bool:
        """Whether anything that its client has sent is being spoken, or will be."""
        return any(stream.session.text for stream in self._streams if not stream.is_dropped)

    # -- what a client asks for ----------------------------------------------------------------------------------------

    def start_over(self, options: Init) -> None:
        """Drop what is being spoken, and begin a stream with these settings."""
        stream = self._create(options, is_asked_for=True)
        self.drop()
        self.options = options
        self._enqueue(stream)

    def add(self, message: Text) -> str:
        """Speak this as well. The characters that cannot be spoken come back."""
        open_stream = self._open_stream()
        if not message.text.strip() and (open_stream is None or open_stream.stands_alone(message)):
            return ""  # blank; between tokens of an LLM it is a word's end, or a paragraph's
        if open_stream is None:
            self._engine.check_room()  # of a crowd, who finds none is told so before anything is made for it
        stream = open_stream or self._create(self.options, is_asked_for=False)
        try:
            left_out = stream.push(message)
        except SpeechError:
            if stream is not open_stream:
                stream.drop()
            raise
        if stream is not open_stream:
            self._enqueue(stream)
        if is_whole_sentence(message):
            stream.session.flush()
        return left_out

    def close(self) -> bool:
        """End the stream that takes text. False: there is none."""
        stream = self._open_stream()
        if stream is not None:
            stream.close()
        return stream is not None

    def cancel(self, message: Cancel) -> Cancelled | None:
        """Drop what is being spoken. The answer; None: the speaker gives it, behind the last audio.

        When nothing is left to send, the last stream may still sound at the listener's.
        """
        first = next((stream for stream in self._streams if not stream.is_dropped), None)
        if first is not None:
            first.cancel(message.played_ms)
            self.drop()
            return None
        if self._last is not None and self._last.is_audible(time.monotonic()):
            return self._last.cancel(message.played_ms)
        return Cancelled(None, 0.0, "")

    def flush(self) -> None:
        """Speak what waits for the end of its sentence."""
        if (stream := self._open_stream()) is not None:
            stream.session.flush()

    def drop(self) -> None:
        """No further audio of it leaves; the device stops within a step."""
        for stream in self._streams:
            stream.drop()

    def _open_stream(self) -> SpokenStream | None:
        """The stream that takes text, if there is one."""
        stream = self._streams[-1] if self._streams else None
        return None if stream is None or stream.is_closed or stream.is_dropped else stream

    def _create(self, options: Init, *, is_asked_for: bool) -> SpokenStream:
        engine = self._engine
        session = open_session(engine, options, cutting=cutting_of(options), idle_flush_s=engine.limits.idle_flush_s)
        send_rate = engine.limits.send_rate if options.send_rate is None else options.send_rate
        try:
            return SpokenStream(
                session, options, engine.format.sample_rate_hz, send_rate=send_rate, is_asked_for=is_asked_for
            )
        except Exception:
            session.cancel()
            raise

    def _enqueue(self, stream: SpokenStream) -> None:
        self._streams.append(stream)
        if len(self._streams) == 1:
            self._spawn(self._speak())

    # -- speaker -------------------------------------------------------------------------------------------------------

    async def _speak(self) -> None:
        """Until nothing is left.

        Raises:
            EngineFailure: the engine has failed, and the client has been told.
        """
        while self._streams:
            stream = self._streams[0]
            try:
                if stream.must_speak:
                    await stream.speak(self._send)
            except SpeechError as error:
                await self._break(stream, error)
            self._last = self._streams.popleft()

    async def _break(self, stream: SpokenStream, error: SpeechError) -> None:
        """A stream that cannot go on ends with an error; the socket goes too when the engine has."""
        stream.drop()
        is_fatal = isinstance(error, EngineFailure) and self._engine.state in ("failed", "closed")
        await self._send(Failed(str(error), error.code, fatal=is_fatal))
        if is_fatal:
            raise error

    async def _send(self, message: ServerMessage | bytes) -> None:
        if isinstance(message, bytes):
            await self._send_audio(message)
        else:
            await self._outbox.send(in_context(message, self.name))

    async def _send_audio(self, audio: bytes) -> None:
        stream = self._streams[0]
        head = None if self.name is None else Chunk(stream.id, len(audio), context_id=self.name)
        await self._outbox.send_audio(audio, head, lambda: not stream.is_dropped)


def is_whole_sentence(message: Text) -> bool:
    """Whether a message without a `mode` is a sentence by itself, rather than an LLM's next token: several words, and
    an end that no next word could take back.
    """
    text = message.text.rstrip()
    if message.mode is not None or not any(char.isspace() for char in text.lstrip()):
        return False
    is_open_number = text.endswith(".") and text[-2:-1].isdigit()
    return not is_open_number and sentence_end(text + " The", len(text)) is Verdict.END
