"""The text engine: one model, the one thread that touches it, and the conversations that it goes on with."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from engines.admission import Admission
from engines.device import CLOSE_TIMEOUT_S, Device, State
from engines.errors import CapacityError, EngineFailure
from engines.llm.accounts import TextBooks
from engines.llm.breaks import Breaks
from engines.llm.cache import Cache
from engines.llm.jobs import Job, Row, Step
from engines.llm.model import TextLoader, TextModel
from engines.llm.prefill_budget import PrefillBudget
from engines.llm.scheduler import Scheduler
from engines.llm.session import Host, Terms, TextSession
from engines.llm.stepper import Stepper
from engines.llm.turns import first_prompt
from engines.llm.types import ChunkEnd, Event, Messages, Sampling
from engines.measures import TextMeasures
from engines.requests import ORIGIN, Refusals, Witnesses

SessionState: TypeAlias = Literal["running", "waiting", "paused", "preempted"]
"""In a chunk; waiting for a slot; between chunks, with a slot or with what it has in the cache put aside."""

_Result: TypeAlias = Sequence[Event] | EngineFailure

_SAMPLING: Final = Sampling()

STALL_S: Final = 60.0
"""So long a step may take: a large model reads a batch of a prompt in many seconds on a small processor."""

logger = logging.getLogger("tiding.engine")


class TextLimits(msgspec.Struct, frozen=True):
    """What the engine allows. `step_ms` is how long those who write may wait where prompts are read beside them;
    `remembered` is how many sessions stay in the cache when they are over, of those that ask for it.
    """

    max_sessions: int = 64
    max_client_sessions: int = 0  # of one client; 0: all of them
    max_line: int | None = None  # newcomers that may wait for a slot; None: any number
    max_wait_s: float | None = None  # a newcomer for a slot; None: any time
    step_ms: float = 150.0
    remembered: int = 8


class _Loaded(msgspec.Struct, frozen=True):
    """What exists once the model does."""

    model: TextModel
    scheduler: Scheduler[TextSession]
    budget: PrefillBudget
    cache: Cache
    host: Host


class TextEngine:
    """Writes for many sessions at once. Event loop only, except where a method says otherwise.

    `load` makes the model on the device thread after `start` has returned, so everything that depends on the model
    raises `EngineLoading` until then. A step that fails costs all sessions, and as many times as `num_restarts` says
    the model is loaded again on a new thread. `on_failure` is called once, on a thread, when that is used up, the model
    cannot be loaded, or a step does not end in twice `stall_s`; sessions have been told by then. `measures`
    counts what is done, `refusals` what is not; `witnesses` makes who is told of each request.
    """

    def __init__(
        self,
        load: TextLoader,
        *,
        limits: TextLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[Exception], None] | None = None,
        num_restarts: int = 0,
        stall_s: float = STALL_S,
        witnesses: Witnesses | None = None,
    ) -> None:
        self.limits = limits or TextLimits()
        self.measures = TextMeasures()
        self.refusals = Refusals(witnesses)
        self._witnesses = witnesses
        self.admission = Admission(self.limits.max_sessions, self.limits.max_client_sessions)
        self._load = load
        self._clock = clock
        self._sessions: dict[TextSession, str] = {}  # and whose they are
        self._num_coming = 0  # sessions without a chunk yet
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
        """Close all sessions, stop the device thread and wait for it."""
        self._close_sessions()
        await self._device.close(CLOSE_TIMEOUT_S)
        self._close_sessions()  # those that were being opened

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

    # -- what a service may ask ------------------------------------------------------------------------------------

    @property
    def model_name(self) -> str:
        return self._device.require().model.name

    @property
    def context_length(self) -> int:
        """The most tokens that a conversation may have."""
        return self._device.require().model.context_length

    @property
    def num_slots(self) -> int:
        return self._device.require().model.num_slots

    @property
    def num_busy_slots(self) -> int:
        return self._device.require().scheduler.num_busy_slots

    @property
    def num_cells(self) -> int:
        return self._device.require().model.num_cells

    @property
    def num_used_cells(self) -> int:
        """Those of sessions, and of what is remembered of sessions that are over."""
        return self._device.require().cache.num_used

    @property
    def num_sessions(self) -> int:
        return len(self._sessions)

    @property
    def num_unfinished(self) -> int:
        """Sessions whose answer has not ended, paused ones included, and those that are being opened."""
        num_opening = self.admission.num_inside - len(self._sessions)
        return sum(not session.is_done for session in self._sessions) + num_opening

    @property
    def num_running(self) -> int:
        """Sessions in a chunk."""
        return self._device.require().scheduler.num_running

    @property
    def num_by_state(self) -> Mapping[SessionState, int]:
        """Sessions by what they are about."""
        scheduler = self._device.require().scheduler
        jobs, line = scheduler.jobs, scheduler.line
        num_aside = max(0, sum(session.is_aside for session in self._sessions) - sum(job.is_aside for job in line))
        num_running = sum(job.is_running for job in jobs)
        num_open = sum(not job.is_closed for job in jobs)
        return {"running": num_running, "waiting": len(line), "paused": num_open - num_running, "preempted": num_aside}

    def check_room(self, client: str | None = None) -> None:
        """Return where a new session, of this client if one is named, would be let in and find a slot.

        Raises:
            EngineLoading, Draining, ShareUsedUp, CapacityError: it would not, for now.
            EngineFailure: the model has failed.
        """
        loaded = self._device.require()
        self.admission.check(client)
        if self.limits.max_line is None:
            return
        num_places = loaded.model.num_slots + self.limits.max_line
        if self._num_coming + loaded.scheduler.num_running >= num_places:
            raise CapacityError(f"all {num_places} places are taken: {loaded.model.num_slots} slots and the line")

    def expect(self, client: str) -> Callable[[], None]:
        """As that of the speech engine; a place is taken as soon as a session is asked for. Raises as `check_room`."""
        self.check_room(client)
        return lambda: None

    async def open_session(
        self,
        messages: Messages,
        *,
        sampling: Sampling = _SAMPLING,
        stop: Sequence[str] = (),
        max_total_tokens: int | None = None,
        is_remembered: bool = False,
    ) -> TextSession:
        """A new session, to answer these messages. Nothing is evaluated before its first chunk.

        An answer ends in front of any text in `stop`, and all of a session's answers have at most `max_total_tokens`.
        With `is_remembered` what it has in the cache stays there when it is over, for who goes on from it.

        Raises:
            RequestError: the model's chat template refuses the messages.
            ContextTooLong: they leave no room for an answer.
            Draining: admission is closed.
            ShareUsedUp: this client has as many open as `limits` allows one.
            CapacityError: all sessions that `limits` allows are open.
            EngineLoading: the model is not warm yet.
            EngineFailure: the model has failed.
        """
        model = self._device.require().model
        self.check_room(client := ORIGIN.get().client)
        self.admission.enter(client)
        self._num_coming += 1
        try:
            prompt = await asyncio.to_thread(first_prompt, model, messages)
            terms = Terms(sampling, tuple(stop), max_total_tokens)
            session = TextSession(self._device.require().host, prompt, terms, is_remembered=is_remembered)
        except BaseException:
            self.admission.leave(client)
            self._num_coming -= 1
            raise
        self._sessions[session] = client
        return session

    def _begin(self) -> None:
        self._num_coming -= 1

    def _leave(self, session: TextSession) -> None:
        self.admission.leave(self._sessions.pop(session))

    def _close_sessions(self) -> None:
        for session in tuple(self._sessions):
            session.close()

    # -- device thread ---------------------------------------------------------------------------------------------

    def _open(self) -> _Loaded:
        started_s = self._clock()
        model = self._load()
        budget = PrefillBudget(self.limits.step_ms)
        scheduler = Scheduler[TextSession](
            model.num_slots,
            model.batch_size,
            budget,
            num_remembered=self.limits.remembered,
            reads_aside=model.reader is not None,
        )
        books = TextBooks(self.measures, self._clock, self._witnesses)
        host = Host(scheduler, model, self._clock, books, self._begin, self._leave, self.limits.max_wait_s)
        logger.info("%s is ready after %.1f s: %d slots", model.name, self._clock() - started_s, model.num_slots)
        return _Loaded(model, scheduler, budget, Cache(model), host)

    def _step_until_closed(self, loaded: _Loaded) -> None:
        scheduler, stepper = loaded.scheduler, Stepper(loaded.model, loaded.cache, loaded.scheduler.note_back)
        breaks = Breaks(
            self.limits.step_ms, lambda step: self._take(loaded, stepper, step), scheduler.poll_step, self._clock
        )
        try:
            while (step := scheduler.next_step()) is not None:
                breaks.take(step)
                if (reading := step.reading) is not None:
                    breaks.begin_piece()
                    stepper.read(reading, breaks.breathe)
                    if scheduler.note_read(reading):
                        stepper.bring_in(reading.job, breaks.breathe_early)
                    scheduler.finish_reading(reading)
        finally:
            stepper.close()

    def _take(self, loaded: _Loaded, stepper: Stepper, step: Step[TextSession]) -> None:
        """A step, but for what it reads aside."""
        stepper.prepare(step)
        self.measures.num_preempted += len(step.saves)
        self._deliver((job, job.owner.answer.stop(self._clock())) for job in step.stops)
        if not step.rows:
            return
        began_s = self._clock()
        if stepper.evaluate(step.rows):
            made = [(row.job, self._write(stepper, row)) for row in step.rows if row.run.draws]
            self._measure(loaded.budget, step.rows, began_s)
            loaded.scheduler.finish_step(job for job, result in made if _is_over(result))
            self._deliver(made)
        elif (job := loaded.scheduler.relieve()) is not None:
            self._deliver([(job, job.owner.answer.finish("max_tokens", self._clock()))])

    def _write(self, stepper: Stepper, row: Row[TextSession]) -> _Result:
        answer = row.job.owner.answer
        try:
            piece = stepper.draw(row)
            if piece is None:
                return answer.finish("eos", self._clock())
            self.measures.num_drawn += 1
            return answer.push(piece, self._clock())
        except Exception:  # one session's token must not cost the others theirs
            logger.exception("a token could not be written")
            return EngineFailure("the model failed on this text; the server's log says why")

    def _measure(self, budget: PrefillBudget, rows: Sequence[Row[TextSession]], began_s: float) -> None:
        duration_s = self._clock() - began_s
        self.measures.stepped(duration_s, len(rows))
        num_tokens = sum(len(row.run.tokens) for row in rows)
        num_writers = sum(len(row.run.tokens) == 1 for row in rows)
        budget.observe(1000 * duration_s, num_tokens - num_writers)

    def _deliver(self, made: Iterable[tuple[Job[TextSession], _Result]]) -> None:
        """One call across the threads for all sessions of a step."""
        self._device.deliver([(job.owner, result) for job, result in made if result])


def _is_over(result: _Result) -> bool:
    """Whether a chunk is."""
    return isinstance(result, EngineFailure) or (bool(result) and isinstance(result[-1], ChunkEnd))
