"""Speech by an engine in this process: the one of the server, with the settings of the environment."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import msgspec

from app.cli.failure import Failure, Misuse, warn
from app.cli.pieces import Piece, Speech, Take, TimedWord
from app.cli.speakers import ListedVoice
from app.settings import SettingsError, TtsSettings, read_settings
from engines.catalog import MODELS, ModelMissing
from engines.engine import Engine
from engines.errors import EngineFailure, SessionClosed, SpeechError, TextTooLong, UnspeakableText
from engines.formats import AudioForm, Encoder, audio_form
from engines.session import Session
from engines.types import SMALL_CHUNKS, ChunkSizes, Frame, Word

MAX_WAITING_CHARS: Final = 8_000
"""So much of a text is in the session's hands at once. The setting of that name protects a server from its clients."""

_PORTION_CHARS: Final = 1_000
_WHOLE: Final = ChunkSizes(32, 32)
_MAX_NAMED_CHARS: Final = 40

_Result = TypeVar("_Result")


def speak(speech: Speech, take: Take, *, is_quiet: bool) -> None:
    """Speak a text, piece by piece as it is made.

    Raises:
        Failure: the request, a setting or the model cannot be used, or the model has failed.
    """
    _run(_speak(speech, take, is_quiet=is_quiet))


def voices() -> list[ListedVoice]:
    """The voices of the model that the environment names. Raises as `speak`."""
    return _run(_voices())


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    try:
        return asyncio.run(work)
    except SettingsError as error:
        raise Misuse(str(error)) from None
    except (ModelMissing, SpeechError) as error:
        raise Failure(str(error)) from None


async def _voices() -> list[ListedVoice]:
    async with _engine(is_quiet=False) as engine:
        return [ListedVoice(voice.name, voice.locale, voice.gender, voice.aliases) for voice in engine.voices]


async def _speak(speech: Speech, take: Take, *, is_quiet: bool) -> None:
    form = audio_form(speech.format, speech.sample_rate, speech.encoding)
    async with _engine(is_quiet=is_quiet) as engine, _session(engine, speech) as session:
        text = _LongText(session, speech.text)
        text.hand_over()
        spoken = _Spoken(form, speech, engine)
        async for frame in session:
            take(spoken.piece(frame))
            if frame.is_segment_end:
                text.hand_over()
        if text.left_out and not is_quiet:
            warn(f"the voice cannot speak, and leaves out: {text.left_out}")
        if not session.has_speech:
            raise UnspeakableText
        take(spoken.rest())


def _session(engine: Engine, speech: Speech) -> Session:
    """Cut as the speech endpoint cuts: the samples are the same."""
    return engine.open_session(
        voice=speech.voice,
        language=speech.language,
        seed=speech.seed,
        speed=speech.speed,
        chunk_sizes=_WHOLE if speech.is_whole else SMALL_CHUNKS,
        cutting="sentence",
        is_paced=not speech.is_whole,
    )


class _LongText:
    """A text that is handed to a session as it is spoken. Event loop only."""

    def __init__(self, session: Session, text: str) -> None:
        self._session = session
        self._text = text
        self._num_handed = 0
        self._left_out: dict[str, None] = {}

    def hand_over(self) -> None:
        """Give the session as much as it takes now. It then has something to speak, or all of it."""
        while self._num_handed < len(self._text):
            portion = self._text[self._num_handed : self._num_handed + _PORTION_CHARS]
            try:
                self._left_out |= dict.fromkeys(self._session.push(portion))
            except (TextTooLong, SessionClosed):  # it is full, or has failed: its frames say which
                return
            self._num_handed += len(portion)
        self._session.finish()

    @property
    def left_out(self) -> str:
        """The first of the characters that the voice cannot speak, each once."""
        named = " ".join(list(self._left_out)[:_MAX_NAMED_CHARS])
        return f"{named} ..." if len(self._left_out) > _MAX_NAMED_CHARS else named


class _Spoken:
    """A session's frames as pieces of a file. Event loop only."""

    def __init__(self, form: AudioForm, speech: Speech, engine: Engine) -> None:
        # Samples need no more than their sizes put right at the end: they need not wait for it in memory.
        is_whole = speech.is_whole and not form.is_raw
        self._encoder: Encoder = form.encoder(engine.format.sample_rate_hz, is_whole=is_whole)
        self._rate_hz = engine.format.sample_rate_hz
        self._num_samples = 0

    def piece(self, frame: Frame) -> Piece:
        data = self._encoder.encode(frame.pcm)
        if frame.is_segment_end:
            data += self._encoder.end_segment()
        self._num_samples += len(frame.pcm)
        audio_ms = self._num_samples * 1000 / self._rate_hz
        return Piece(data, tuple(map(_timed, frame.words)), frame.text_end, audio_ms)

    def rest(self) -> Piece:
        return Piece(self._encoder.finish())


def _timed(word: Word) -> TimedWord:
    """Times as a server sends them, to a tenth of a millisecond."""
    return TimedWord(word.text, round(word.start_ms, 1), round(word.end_ms, 1), word.char_start, word.char_end)


@asynccontextmanager
async def _engine(*, is_quiet: bool) -> AsyncGenerator[Engine]:
    """An engine that is ready, until the block ends."""
    settings = read_settings(os.environ)
    causes: list[Exception] = []
    try:
        with _log_to_stderr(settings, is_quiet=is_quiet):
            engine = _made(settings, causes.append)
            engine.start()
            try:
                await engine.wait_ready()
                yield engine
            finally:
                await engine.close()
    except EngineFailure as error:
        why = f"{type(causes[0]).__name__}: {causes[0]}" if causes else str(error).partition(";")[0]
        raise Failure(f"the model {settings.model} has failed: {why}") from None


def _made(settings: TtsSettings, on_failure: Callable[[Exception], None]) -> Engine:
    return Engine(
        MODELS[settings.model](settings.model_options),
        limits=msgspec.structs.replace(settings.limits, max_waiting_chars=MAX_WAITING_CHARS),
        lexicon=settings.pronunciations,
        on_failure=on_failure,
    )


@contextmanager
def _log_to_stderr(settings: TtsSettings, *, is_quiet: bool) -> Generator[None]:
    """What the engine warns of, in a line each, or its errors alone; all that it does, with TIDING_LOG_LEVEL=debug."""
    is_debug = settings.log_level == "debug"
    logger, handler = logging.getLogger("tiding"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("tiding: %(message)s") if is_debug else _OneLine())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if is_debug else logging.ERROR if is_quiet else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _OneLine(logging.Formatter):
    """A record without its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        return f"tiding: {record.getMessage()}" + (f": {type(error).__name__}: {error}" if error else "")
