"""The engine: one model, the one thread that touches it, and the sessions it serves."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial

import msgspec

from engines.accounts import Books
from engines.admission import Admission
from engines.cleaning import speakable
from engines.device import CLOSE_TIMEOUT_S, STALL_S, Device, State
from engines.errors import RequestError, UnsupportedLocale
from engines.jobs import Job
from engines.measures import SpeechMeasures
from engines.model import Loader, Made, Model, Prefill, StepResult
from engines.reading import Lexicon, is_read, read
from engines.requests import EXPECTED, ORIGIN, Refusals, Witnesses
from engines.scheduler import Scheduler
from engines.session import Host, Session
from engines.shaping import SegmentShaper
from engines.stretching import MAX_SPEED, MIN_SPEED
from engines.types import SMALL_CHUNKS, AudioFormat, ChunkSizes, Cutting, Limits, Params, Voice
from engines.voices import DEFAULT_VOICE, VoiceBook

logger = logging.getLogger("tiding.engine")


class _Loaded(msgspec.Struct, frozen=True):
    """What exists once the model does."""

    model: Model
    scheduler: Scheduler[Session]
    voices: VoiceBook
    host: Host


class Engine:
    """Speaks for many sessions at once. Event loop only, except where a method says otherwise.

    `load` makes the model on the device thread after `start` has returned, so everything that depends on the model
    raises `EngineLoading` until then. A step that fails costs all sessions, and as many times as `num_restarts` says
    the model is loaded again on a new thread. `on_failure` is called once, on a thread, when that is used up, the model
    cannot be loaded, or a step does not end in twice `stall_s`; sessions have been told by then. `lexicon` is of
    every session. `measures`
    counts what is done, `refusals` what is not; `witnesses` makes who is told of each request.
    """

    def __init__(
        self,
        load: Loader,
        *,
        limits: Limits | None = None,
        lexicon: Lexicon | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[Exception], None] | None = None,
        num_restarts: int = 0,
        stall_s: float = STALL_S,
        witnesses: Witnesses | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.measures = SpeechMeasures()
        self.refusals = Refusals(witnesses)
        self._witnesses = witnesses
        self.admission = Admission(self.limits.max_sessions, self.limits.max_client_sessions)
        self._lexicon = lexicon or Lexicon()
        self._load = load
        self._clock = clock
        self._loaded: _Loaded | None = None
        self._sessions: dict[Session, str] = {}  # and whose they are
        self._shapers: dict[int, SegmentShaper] = {}
        self._expected: set[object] = set()  # requests that have not opened their session yet
        self._device = Device(
            self._open,
            self._step_until_closed,
            self._sessions,
            on_failure,
            num_restarts=num_restarts,
            stall_s=stall_s,
            clock=clock,
        )

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin loading on the device thread and return at once. Call it on the loop that sessions will live on."""
        self._device.start()

    async def wait_ready(self) -> None:
        """Return when sessions can be opened.

        Raises:
            EngineFailure: the model could not be loaded.
        """
        await self._device.wait_ready()

    async def close(self) -> None:
        """Cancel all sessions, stop the device thread and wait for it."""
        for session in tuple(self._sessions):
            session.cancel()
        await self._device.close(CLOSE_TIMEOUT_S)

    @property
    def state(self) -> State:
        """Any thread."""
        return self._device.state

    @property
    def was_ready(self) -> bool:
        """Whether its model has been loaded, however it is now. Any thread."""
        return self._device.was_ready

    @property
    def is_stalled(self) -> bool:
        """Whether a step takes longer than it may, while somebody waits. Any thread."""
        return self._device.is_stalled

    # -- what a mode may ask ---------------------------------------------------------------------------------------

    @property
    def model_name(self) -> str:
        return self._device.require().model.name

    @property
    def format(self) -> AudioFormat:
        """What frames hold."""
        return self._device.require().model.format

    @property
    def voices(self) -> Sequence[Voice]:
        """The model's voices, with the names of other systems' voices that each answers to."""
        return self._device.require().voices.voices

    @property
    def languages(self) -> Sequence[str]:
        """Primary language subtags that the model speaks, the default first."""
        return self._device.require().model.languages

    @property
    def num_sessions(self) -> int:
        return len(self._sessions)

    @property
    def num_unfinished(self) -> int:
        """Sessions that have something to say: those without text have not."""
        return sum(bool(session.text) for session in self._sessions)

    @property
    def num_slots(self) -> int:
        return self._device.require().model.num_slots

    @property
    def num_busy_slots(self) -> int:
        return self._device.require().scheduler.num_busy_slots

    @property
    def num_waiting(self) -> int:
        """Sessions that want for a slot and have none."""
        return self._device.require().scheduler.num_in_line

    @property
    def num_cut_short(self) -> Mapping[str, int]:
        """Segments that a guard of the model has ended before their text did, by reason, since the start."""
        return {reason: int(count) for (reason,), count in dict(self.measures.cut_short).items()}

    def check_room(self, client: str | None = None) -> None:
        """Return where a new session, of this client if one is named, would be let in and find a place.

        Raises:
            EngineLoading, Draining, ShareUsedUp, CapacityError: it would not, for now.
            EngineFailure: the model has failed.
        """
        loaded = self._device.require()
        self.admission.check(client)
        loaded.scheduler.check_room(len(self._expected))

    def expect(self, client: str) -> Callable[[], None]:
        """Keep a place for a request that will open a session, until it has, or what this returns is called: of a crowd
        that comes at once, who will find no place need not be read. Raises as `check_room`.
        """
        self.check_room(client)
        self._expected.add(expected := object())
        EXPECTED.set(expected)
        return lambda: self._expected.discard(expected)

    def open_session(
        self,
        *,
        voice: str = DEFAULT_VOICE,
        language: str = "en",
        seed: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        cfg_scale: float | None = None,
        speed: float = 1.0,
        lexicon: Mapping[str, str] | None = None,
        is_markdown: bool | None = None,
        chunk_sizes: ChunkSizes = SMALL_CHUNKS,
        cutting: Cutting = "early",
        is_paced: bool = True,
        idle_flush_s: float | None = None,
    ) -> Session:
        """A new session, spoken by `voice`.

        `temperature` (0: greedy), `top_k` and `cfg_scale` are the sampler's; None is the model's own, and a model that
        has no such knob ignores it. `speed`, 0.25 to 4, is in times the voice's own pace, at its own pitch.
        `lexicon` has words and phrases with a respelling, or with IPA between slashes; it goes before the server's own.
        With `is_markdown`, marks of Markdown are not read out; None: as `limits` say.
        `chunk_sizes` says how much audio is wanted at once; `cutting`, how aggregated text becomes segments. A paced
        session has a listener: its first audio goes before other work, and it is made at most `limits.max_queued_s`
        ahead of its reader. One that is not paced is made as fast as what is left of the device allows. With
        `idle_flush_s`, text that waits for the end of its sentence is spoken after that many seconds without news.

        Raises:
            UnknownVoice, UnsupportedLocale: the model does not have it.
            RequestError: `speed` is out of range, or `lexicon` holds what cannot be pronounced.
            EngineLoading: the model is not warm yet.
            Draining: admission is closed.
            ShareUsedUp: this client has as many open as `limits` allows one.
            CapacityError: all sessions that `limits` allows are open.
            EngineFailure: the model has failed.
        """
        loaded = self._device.require()
        speaker = loaded.voices.resolve(voice)
        primary = _primary_language(language, loaded.model.languages)
        self.admission.check(client := ORIGIN.get().client)
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise RequestError(f"speed is {speed}; expected {MIN_SPEED} to {MAX_SPEED}", param="speed")
        params = Params(primary, seed, temperature, top_k, cfg_scale, chunk_sizes.first, chunk_sizes.later, speed)
        session = Session(
            loaded.host,
            speaker,
            params,
            locale=language,
            lexicon=self._lexicon_with(lexicon or {}),
            is_markdown=self.limits.is_markdown if is_markdown is None else is_markdown,
            cutting=cutting,
            is_paced=is_paced,
            idle_flush_s=idle_flush_s,
        )
        self.admission.enter(client)
        self._sessions[session] = client
        self._expected.discard(EXPECTED.get())
        return session

    def _leave(self, session: Session) -> None:
        self.admission.leave(self._sessions.pop(session))

    def _lexicon_with(self, entries: Mapping[str, str]) -> Lexicon:
        try:
            return self._lexicon.merged(Lexicon.of(entries))
        except ValueError as error:
            raise RequestError(str(error), param="lexicon") from None

    # -- device thread ---------------------------------------------------------------------------------------------

    def _open(self) -> _Loaded:
        started_s = self._clock()
        model = self._load(self._wake)
        scheduler = Scheduler[Session](
            model.num_slots,
            model.num_prefills,
            model.step_width,
            sample_rate_hz=model.format.sample_rate_hz,
            max_queued=model.format.num_samples(self.limits.max_queued_s),
            clock=self._clock,
            max_line=self.limits.max_line,
        )
        host = Host(
            scheduler,
            model.format,
            self.limits,
            cache(partial(_speakable, model)),
            model.max_segment_chars,
            self._clock,
            Books(self.measures, self._clock, self._witnesses),
            self._leave,
        )
        for language in model.languages:
            read("", language)  # its rules are made once, and not while somebody waits for the first sound
        self._loaded = _Loaded(model, scheduler, VoiceBook(model.voices), host)
        logger.info("%s is ready after %.1f s: %d slots", model.name, self._clock() - started_s, model.num_slots)
        return self._loaded

    def _step_until_closed(self, loaded: _Loaded) -> None:
        try:
            self._step(loaded.model, loaded.scheduler)
        finally:
            self._loaded = None  # whoever loads another one has room for it
            self._shapers.clear()

    def _step(self, model: Model, scheduler: Scheduler[Session]) -> None:
        while (step := scheduler.next_step()) is not None:
            for slot in step.releases:
                model.release(slot)
            for session in step.forgets:
                model.forget(session)
            began_s = self._clock()
            self._prefill(model, step.prefills)
            made = model.step(step.slots) if step.rows else Made()
            if step.rows:
                self.measures.stepped(self._clock() - began_s, len(step.rows), step.waits_s)
            results = [self._shape(result) for result in made.results]
            self._deliver(scheduler.finish_step(step, results, made.not_ready))

    def _prefill(self, model: Model, jobs: Sequence[Prefill]) -> None:
        for job in jobs:
            speed = job.params.speed
            tempo = speed / min(max(speed, model.speeds[0]), model.speeds[1])
            self._shapers[job.slot] = SegmentShaper(job.segment, model.format.sample_rate_hz, tempo)
        if jobs:
            model.prefill(jobs)

    def _shape(self, result: StepResult) -> StepResult:
        if result.error is not None:
            self.measures.num_failed_segments += 1
            logger.error("a segment failed", exc_info=result.error)
            return result
        if result.cut_short:
            self.measures.cut_short[result.cut_short,] += 1
            logger.warning("a segment was cut short: %s", result.cut_short)
        try:
            return self._shapers[result.slot].shape(result)
        except Exception as error:  # one segment's sound must not cost the others theirs
            logger.exception("a segment's sound could not be shaped")
            return StepResult(result.slot, result.pcm[:0], is_segment_end=True, error=error)

    def _deliver(self, wanted: Iterable[tuple[Job[Session], StepResult]]) -> None:
        """One call across the threads for all sessions of a step."""
        self._device.deliver([(job.owner, result) for job, result in wanted if _has_news(result)])

    def _wake(self) -> None:
        """Any thread: the model's pool calls it."""
        if self._loaded is not None:
            self._loaded.scheduler.wake()


def _primary_language(locale: str, languages: Sequence[str]) -> str:
    primary = locale.strip().lower().replace("_", "-").partition("-")[0]
    if primary not in languages:
        raise UnsupportedLocale(locale, languages)
    return primary


def _has_news(result: StepResult) -> bool:
    return bool(len(result.pcm) or result.is_segment_end or result.words or result.error)


def _speakable(model: Model, language: str) -> Mapping[int, str]:
    """What the model says itself, and what is read as words in front of it."""
    return speakable(lambda char: model.is_speakable(char, language) or is_read(char, language))
