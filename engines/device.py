"""A device thread's life: it loads, takes its steps until it is told to stop, and says so when it fails.

    new -> loading -> ready -> closed
              ^         |
              +--once---+--> failed

A thread that has failed has ended: what it held can be given back and another one may begin again, once. One that hangs
cannot be replaced, for nobody knows what it still holds: that is the end, and what becomes of the process is up to
`on_failure`.
"""

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from engines.errors import EngineFailure, EngineLoading, UnusableModel
from engines.watchdog import Watchdog

State: TypeAlias = Literal["new", "loading", "ready", "failed", "closed"]

CLOSE_TIMEOUT_S: Final = 10.0
"""A model that does not come back from a step must not keep the process from ending."""

TELL_TIMEOUT_S: Final = 1.0
"""So long a failed engine waits for its sessions to be told."""

STALL_S: Final = 10.0
"""So long a step may take: a thousand times what it should."""

_MENDING: Final = -1
"""Where a device is, as the watchdog sees it, between its failure and its new beginning."""

logger = logging.getLogger("tiding.engine")


class _Closes(Protocol):
    def close(self) -> None: ...


class _Steps(_Closes, Protocol):
    @property
    def progress(self) -> int | None: ...


class Loaded(Protocol):
    """What exists once the model does. To close the scheduler is to let the steps end."""

    @property
    def model(self) -> _Closes: ...
    @property
    def scheduler(self) -> _Steps: ...


class Listener(Protocol):
    """A session, as the thread knows it. Called on its event loop."""

    def on_result(self, result: Any, /) -> None: ...
    def fail(self, error: Exception, /) -> None: ...


L = TypeVar("L", bound=Loaded)


class DeviceHangs(Exception):
    """A step does not come to its end."""


class Device(Generic[L]):
    """The one thread that touches a device, and its way back to the event loop. Event loop only, except where a method
    says otherwise.

    On the thread, `load` makes what there is, and `step_until_closed` works with that until its scheduler is closed.
    Where the latter raises, `sessions` are told, and as many times as `num_restarts` says all begins again on a new
    thread. Else, or where loading fails, or a step does not end in twice `stall_s`, they are told as well and then
    `on_failure` is called, on a thread.
    """

    def __init__(
        self,
        load: Callable[[], L],
        step_until_closed: Callable[[L], None],
        sessions: Collection[Listener],
        on_failure: Callable[[Exception], None] | None,
        *,
        num_restarts: int = 0,
        stall_s: float = STALL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._step_until_closed = step_until_closed
        self._sessions = sessions
        self._on_failure = on_failure
        self._num_restarts = num_restarts
        self._watchdog = Watchdog(stall_s, clock)
        self._next_look: asyncio.TimerHandle | None = None
        self._loaded: L | None = None
        self._state: State = "new"
        self.was_ready = False
        self._is_closing = False
        self._is_mending = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._settled = threading.Event()  # loaded, failed or closed
        self._thread = self._make_thread(None)

    def start(self) -> None:
        """Begin loading on the thread and return at once. Call it on the loop that sessions will live on."""
        self._loop = asyncio.get_running_loop()
        self._state = "loading"
        self._thread.start()
        self._next_look = self._loop.call_later(self._watchdog.interval_s, self._keep_looking)

    async def wait_ready(self) -> None:
        """Return when the model is loaded.

        Raises:
            EngineFailure: it could not be.
        """
        await asyncio.to_thread(self._settled.wait)
        if self._state != "ready":
            raise EngineFailure("the model could not be loaded; the server's log says why")

    async def close(self, timeout_s: float) -> None:
        """Stop the thread and wait for it, but not for ever."""
        if self._state in ("new", "closed"):
            return
        self._is_closing = True
        if self._next_look is not None:
            self._next_look.cancel()
        await asyncio.to_thread(self._settled.wait, timeout_s)
        if self._loaded is not None:
            self._loaded.scheduler.close()
        await asyncio.to_thread(self._thread.join, timeout_s)
        if self._thread.is_alive():
            logger.error("the device thread is still in the model after %g s; it ends with the process", timeout_s)
        self._state = "closed"

    @property
    def state(self) -> State:
        """Any thread."""
        return self._state

    @property
    def is_stalled(self) -> bool:
        """Whether a step takes longer than it may. Any thread."""
        return self._watchdog.is_stalled

    def require(self) -> L:
        """What was loaded.

        Raises:
            EngineLoading: nothing yet.
            EngineFailure: the device has failed, or was closed.
        """
        loaded = self._loaded
        if loaded is not None and self._state == "ready":
            return loaded
        if self._state in ("failed", "closed"):
            raise EngineFailure("the engine has stopped; the server's log says why")
        raise EngineLoading

    # -- the watchdog ----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See whether the thread gets on; give it up if it hangs. Done by itself from the start to the end."""
        was_stalled = self.is_stalled
        self._watchdog.look(self._progress)
        if self.is_stalled and not was_stalled:
            logger.error("the device has work and does not get on")
        if self._watchdog.is_hanging and self._state != "failed":
            self._give_up(DeviceHangs("a step does not come to its end"))

    def _keep_looking(self) -> None:
        assert self._loop is not None, "the thread is started by start()"
        self.look()
        if self._state != "failed":
            self._next_look = self._loop.call_later(self._watchdog.interval_s, self._keep_looking)

    @property
    def _progress(self) -> int | None:
        """How long loading takes nobody knows: it is not watched."""
        loaded = self._loaded
        if self._is_mending:
            return _MENDING
        return loaded.scheduler.progress if loaded is not None and self._state == "ready" else None

    def _give_up(self, error: Exception) -> None:
        """The thread cannot be replaced: it may still touch the device."""
        logger.error("the device thread hangs")
        self._state = "failed"
        self._fail_sessions(threading.Event())
        if self._on_failure is not None:  # on a thread: it may wait until connections have sent their error
            threading.Thread(target=self._on_failure, args=(error,), name="last words", daemon=True).start()

    # -- device thread ---------------------------------------------------------------------------------------------

    def deliver(self, batch: Sequence[tuple[Listener, object]]) -> None:
        """Hand results to their sessions: one call across the threads for all of them. Device thread only."""
        if batch:
            self._call_on_loop(_hand_out, batch)

    def _make_thread(self, last: threading.Thread | None) -> threading.Thread:
        return threading.Thread(target=self._run, args=(last,), name="device", daemon=True)

    def _run(self, last: threading.Thread | None) -> None:
        if last is not None:
            last.join()
        error = self._work()
        if error is None:
            self._settled.set()
            self._close_model()
        elif self._may_restart:
            self._restart(error)
        else:
            self._fail(error)

    def _work(self) -> Exception | None:
        """Load and step. What went wrong, if anything."""
        try:
            loaded = self._load()
            self._loaded, self._state, self.was_ready = loaded, "ready", True
            self._settled.set()
            self._step_until_closed(loaded)
        except UnusableModel as error:
            return error
        except BaseException as error:  # one that is no Exception would end the thread in silence
            logger.exception("the device thread has failed")
            return error if isinstance(error, Exception) else RuntimeError(repr(error))
        return None

    @property
    def _may_restart(self) -> bool:
        return self._state == "ready" and self._num_restarts > 0 and not self._is_closing

    def _restart(self, error: Exception) -> None:
        """Begin again, once nothing is left of what has failed."""
        self._num_restarts -= 1
        self._is_mending = True
        self._settled.clear()
        self._state = "loading"
        self._tell_sessions()
        traceback.clear_frames(error.__traceback__)  # they hold the model
        is_free = self._close_model()
        self._loaded = None
        self._is_mending = False
        if self._state != "loading":  # given up meanwhile
            return
        if not is_free:
            self._fail(error)
            return
        logger.warning("the engine is started again, on a new thread")
        self._thread = self._make_thread(threading.current_thread())
        self._thread.start()

    def _fail(self, error: Exception) -> None:
        self._state = "failed"
        self._settled.set()
        self._tell_sessions()
        if self._on_failure is not None:
            self._on_failure(error)
        self._close_model()

    def _close_model(self) -> bool:
        """Whether what the model held has been given back."""
        try:
            if self._loaded is not None:
                self._loaded.model.close()
        except Exception:
            logger.exception("the model could not be closed")
            return False
        return True

    def _tell_sessions(self) -> None:
        told = threading.Event()
        self._call_on_loop(self._fail_sessions, told)
        told.wait(TELL_TIMEOUT_S)

    def _fail_sessions(self, told: threading.Event) -> None:
        for session in tuple(self._sessions):
            session.fail(EngineFailure("the engine has failed; the server's log says why"))
        told.set()

    def _call_on_loop(self, call: Callable[..., None], *args: object) -> None:
        assert self._loop is not None, "the thread is started by start()"
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the loop has gone: nobody is left to tell
            logger.debug("results were dropped: the event loop is closed")


def _hand_out(batch: Sequence[tuple[Listener, object]]) -> None:
    for session, result in batch:
        try:
            session.on_result(result)
        except Exception:  # a bug in one session's path must not cost the others theirs
            logger.exception("a session broke on a result")
            session.fail(EngineFailure("the session broke; the server's log says why"))
