"""What comes of a stream of speech, handed on to LiveKit: sound, and the words that are in it."""

from typing import Final

from livekit.agents import tts
from livekit.agents.types import TimedString

from app.clients.speech import SpeechStream
from app.clients.speech_events import Audio, Created, Done, Words

_SILENCE: Final = bytes(2 * 480)
"""20 ms at 24 000 Hz."""


class Hearing:
    """`is_begun_by_server`: a segment of LiveKit's begins with the stream, and is named as the server names that."""

    def __init__(self, stream: SpeechStream, emitter: tts.AudioEmitter, *, is_begun_by_server: bool = False) -> None:
        self._stream = stream
        self._emitter = emitter
        self._is_begun_by_server = is_begun_by_server
        self._num_chars_told = 0

    async def hear(self) -> None:
        """To the end. Raises as iteration over the stream."""
        async for event in self._stream:
            match event:
                case Audio():
                    self._emitter.push(event.data)
                case Created() if self._is_begun_by_server:
                    self._emitter.start_segment(segment_id=event.stream_id)
                case Words():
                    for word in event.words:
                        self._tell(word.char_end, word.start_ms / 1000, word.end_ms / 1000)
                case Done():
                    self._end(event.total_audio_ms / 1000)
                case _:
                    pass

    def _tell(self, char_end: int, start_s: float, end_s: float) -> None:
        """The transcript up to here, as it was said: a word with the space in front of it, and what is not spoken."""
        text = self._stream.text[self._num_chars_told : char_end]
        self._num_chars_told = max(self._num_chars_told, char_end)
        if text:
            self._emitter.push_timed_transcript(TimedString(text, start_time=start_s, end_time=end_s))

    def _end(self, duration_s: float) -> None:
        if self._num_chars_told:
            self._tell(len(self._stream.text), duration_s, duration_s)
        if not duration_s:  # there was nothing to speak, an emoji say: LiveKit takes what is not a sound for a failure
            self._emitter.push(_SILENCE)
