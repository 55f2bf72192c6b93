"""What is piped in, spoken by a server as it comes: its WebSocket cuts text that is still being written."""

import asyncio
import codecs
import os
import stat
import sys
from collections.abc import AsyncIterator
from typing import Final

from app.cli.asking import PATIENCE_S, Server
from app.cli.failure import Failure
from app.cli.pieces import Piece, Speech, Take, TimedWord
from app.clients import Audio, ClientError, Done, Manner, SpeechClient, SpeechStream, Words

MAX_WAITING_CHARS: Final = 4_000
"""So much text is at the server unspoken; what is piped in faster waits here."""

_READ_BYTES: Final = 4_096


def speak(server: Server, speech: Speech, take: Take) -> None:
    """Speak what stdin gives until it ends; the text of `speech` does not count.

    Raises:
        Failure: the server cannot be reached, has refused, or has broken off; or what is piped in is no text.
    """
    try:
        asyncio.run(_speak(server, speech, take))
    except ClientError as error:
        raise Failure(str(error)) from None


async def _speak(server: Server, speech: Speech, take: Take) -> None:
    if speech.format == "wav":
        from engines.encoders import wav_header  # and with it NumPy

        take(Piece(wav_header(speech.sample_rate, None, speech.encoding)))
    async with (
        SpeechClient(server.url, api_key=server.api_key, patience_s=PATIENCE_S) as client,
        client.stream(**_manner(speech)) as stream,
    ):
        progress = _Progress()
        saying = asyncio.create_task(_say(stream, progress))
        try:
            async for event in stream:
                if isinstance(event, Audio):
                    take(Piece(event.data))
                elif isinstance(event, Words):
                    words = tuple(
                        TimedWord(w.text, w.start_ms, w.end_ms, w.char_start, w.char_end) for w in event.words
                    )
                    progress.reach(words[-1].char_end)
                    take(Piece(b"", words, words[-1].char_end, words[-1].end_ms))
                elif isinstance(event, Done):
                    take(Piece(b"", (), len(stream.text), event.total_audio_ms))
                    if not event.total_audio_ms:
                        raise Failure("the text holds nothing that can be spoken")
            await saying
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)


def _manner(speech: Speech) -> Manner:
    manner: Manner = {
        "voice": speech.voice,
        "language": speech.language,
        "speed": speech.speed,
        "seed": speech.seed,
        "sample_rate": speech.sample_rate,
        "encoding": speech.encoding,
        "word_timestamps": True,
    }
    if speech.is_whole:  # nobody listens meanwhile
        manner["send_rate"] = 0.0
    return manner


class _Progress:
    """How far the text has been spoken."""

    def __init__(self) -> None:
        self._text_end = 0
        self._news = asyncio.Event()

    def reach(self, text_end: int) -> None:
        self._text_end = text_end
        self._news.set()

    async def until_near(self, num_chars: int) -> None:
        """Return when not too much of so many characters is left to speak."""
        while num_chars - self._text_end > MAX_WAITING_CHARS:
            self._news.clear()
            await self._news.wait()


async def _say(stream: SpeechStream, progress: _Progress) -> None:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        async for data in _stdin():
            if text := decoder.decode(data):
                await progress.until_near(len(stream.text))
                await stream.say(text)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        await stream.cancel()
        raise Failure("what was piped in is not text in UTF-8") from None
    await stream.close()


async def _stdin() -> AsyncIterator[bytes]:
    """What comes, when it comes."""
    number = sys.stdin.fileno()
    is_file = stat.S_ISREG(os.fstat(number).st_mode)  # it has always something to read
    while True:
        if not is_file:
            await _readable(number)
        if not (data := os.read(number, _READ_BYTES)):
            return
        yield data


async def _readable(number: int) -> None:
    """Return when there is something to read, so that reading does not block."""
    loop, is_there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(number, is_there.set)
    try:
        await is_there.wait()
    finally:
        loop.remove_reader(number)
