"""A device thread's life: it loads, takes its steps until it is told to stop, and says so when it fails."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from engines.errors import EngineFailure, EngineLoading, UnusableModel

State: TypeAlias = Literal["new", "loading", "ready", "failed", "closed"]

CLOSE_TIMEOUT_S: Final = 10.0
"""A model that does not come back from a step must not keep the process from ending."""

TELL_TIMEOUT_S: Final = 1.0
"""So long a failed engine waits for its sessions to be told."""

logger = logging.getLogger("tiding.engine")


class _Closes(Protocol):
    def close(self) -> None: ...


class Loaded(Protocol):
    """What exists once the model does. To close the scheduler is to let the steps end."""

    @property
    def model(self) -> _Closes: ...
    @property
    def scheduler(self) -> _Closes: ...


class Listener(Protocol):
    """A session, as the thread knows it. Called on its event loop."""

    def on_result(self, result: Any, /) -> None: ...
    def fail(self, error: Exception, /) -> None: ...


L = TypeVar("L", bound=Loaded)


class Device(Generic[L]):
    """The one thread that touches a device, and its way back to the event loop. Event loop only, except where a method
    says otherwise.

    On the thread, `load` makes what there is, and `step_until_closed` works with that until its scheduler is closed.
    Where either raises, `sessions` are told, and then `on_failure` is called, on the thread.
    """

    def __init__(
        self,
        load: Callable[[], L],
        step_until_closed: Callable[[L], None],
        sessions: Collection[Listener],
        on_failure: Callable[[Exception], None] | None,
    ) -> None:
        self._load = load
        self._step_until_closed = step_until_closed
        self._sessions = sessions
        self._on_failure = on_failure
        self._loaded: L | None = None
        self._state: State = "new"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._settled = threading.Event()  # loaded, failed or closed
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        """Begin loading on the thread and return at once. Call it on the loop that sessions will live on."""
        self._loop = asyncio.get_running_loop()
        self._state = "loading"
        self._thread.start()

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

    def require(self) -> L:
        """What was loaded.

        Raises:
            EngineLoading: nothing yet.
            EngineFailure: the device has failed, or was closed.
        """
        if self._loaded is not None and self._state == "ready":
            return self._loaded
        if self._state in ("failed", "closed"):
            raise EngineFailure("the engine has stopped; the server's log says why")
        raise EngineLoading

    # -- device thread ---------------------------------------------------------------------------------------------

    def deliver(self, batch: Sequence[tuple[Listener, object]]) -> None:
        """Hand results to their sessions: one call across the threads for all of them. Device thread only."""
        if batch:
            self._call_on_loop(_hand_out, batch)

    def _run(self) -> None:
        try:
            loaded = self._loaded = self._load()
            self._state = "ready"
            self._settled.set()
            self._step_until_closed(loaded)
        except UnusableModel as error:
            self._fail(error)
        except Exception as error:
            logger.exception("the device thread has failed")
            self._fail(error)
        finally:
            self._settled.set()
            if self._loaded is not None:
                self._loaded.model.close()

    def _fail(self, error: Exception) -> None:
        self._state = "failed"
        told = threading.Event()
        self._call_on_loop(self._fail_sessions, told)
        told.wait(TELL_TIMEOUT_S)
        if self._on_failure is not None:
            self._on_failure(error)

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
