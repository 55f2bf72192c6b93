"""Granian's main process: it lets its worker drain before it ends, and starts another one when the worker has died.

Leans on Granian 2.8: `signal_handler_interrupt` is called for SIGINT and SIGTERM, `signal_handler_reload` for SIGHUP;
`main_loop_interrupt` is what the main loop waits for; `interrupt_children` are the workers that have ended, and
`respawn_failed_workers` is read then; `_spawn_worker` makes a worker's process, and its target gets the socket as
`app.listener` takes it.
`tests/test_supervisor.py` pins all of it with real processes.
"""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Final, Protocol, TypeAlias

from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels, logger
from granian.server.mp import MPServer, WorkerProcess

from app.end_requests import EndRequests
from app.listener import serve_on_listener
from app.status import GAVE_UP
from app.worker import TELLS_OF_DRAIN

END_S: Final = 8.0
"""More than a worker takes from the end of its time to drain to its own."""

KILL_TIMEOUT_S: Final = 2
"""For a worker that did not end in time to do so after all."""

LOOK_EVERY_S: Final = 0.1

MAX_DEATHS: Final = 5
DEATHS_WITHIN_S: Final = 60.0
"""A worker that dies more often is not started again: somebody should have a look."""


Target: TypeAlias = Callable[..., Any]


class Deaths:
    """Of workers. `clock` gives seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at_s: deque[float] = deque(maxlen=MAX_DEATHS)

    def may_respawn(self, status: int) -> bool:
        """Whether another worker should be started in place of one that has just ended with `status`."""
        if status in (0, GAVE_UP):
            return False
        now_s = self._clock()
        is_often = len(self._at_s) == MAX_DEATHS and now_s - self._at_s[0] <= DEATHS_WITHIN_S
        self._at_s.append(now_s)
        return not is_often


class Worker(Protocol):
    """Granian's, as far as it is used here. `terminate` tells it that its end is no failure."""

    inner: BaseProcess

    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...


class Interrupt(threading.Event):
    """What Granian's main loop waits for. Handlers of signals run in the main thread, and it sleeps on where another
    thread was interrupted in its place, as may be when two signals come at once: so it looks up now and then.
    """

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(LOOK_EVERY_S):
            pass
        return True


class Supervisor(MPServer):
    """One worker: a device has one owner.

    The first SIGTERM, SIGINT or SIGHUP (or what the worker tells of) is a drain of `drain_s` at most; another signal
    ends the worker at once, but not the first one after a drain that began by other means: who asks over HTTP may go on
    to send it, and where a whole group is asked, the worker may have told of it before our own signal is seen. Exit
    status 0: the worker has drained and ended by itself.
    """

    pid: int | None
    wrks: list[Worker]  # pyright: ignore[reportIncompatibleVariableOverride]
    interrupt_children: list[int]
    respawned_wrks: dict[int, float]

    def __init__(
        self, target: str, *, address: str, port: int, drain_s: float, send_timeout_s: float,
        log_dictconfig: dict[str, Any],
    ) -> None:  # fmt: skip
        self._deaths = Deaths()
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            target,
            factory=True,
            interface=Interfaces.ASGI,
            # A message of audio takes a seventh less of a processor than with asyncio's own; and the loop is the same
            # whatever is installed beside.
            loop=Loops.uvloop,
            # Where it has to find out which HTTP is spoken, it waits for ever for the first byte.
            http=HTTPModes.http1,
            address=address,
            port=port,
            workers=1,
            workers_kill_timeout=KILL_TIMEOUT_S,
            log_level=LogLevels.info,
            log_dictconfig=log_dictconfig,
        )
        self.main_loop_interrupt = Interrupt()
        self._drain_s = drain_s
        self._send_timeout_s = send_timeout_s
        self._is_draining = False
        self._requests = EndRequests()
        self._is_deaf_to_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # as nohup leaves it

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        signal.signal(TELLS_OF_DRAIN, self._on_told_of_drain)
        super().startup(spawn_target, target_loader)  # pyright: ignore[reportUnknownMemberType]

    def _spawn_worker(self, idx: int, target: Target, callback_loader: Target) -> WorkerProcess:
        on_listener = partial(serve_on_listener, target, self._send_timeout_s)
        return super()._spawn_worker(idx, on_listener, callback_loader)  # pyright: ignore[reportUnknownMemberType]

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        if os.getpid() != self.pid:  # a worker has this handler until it has its own: it serves nobody yet
            os._exit(0)
        if self._requests.take():
            logger.info("Ending at once")
            for worker in self.wrks:
                worker.kill()
            super().signal_handler_interrupt(*args, **kwargs)  # pyright: ignore[reportUnknownMemberType]
        else:
            self._begin_drain()

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """Settings are read once: there is nothing to load again, and two workers cannot share a device."""
        if not self._is_deaf_to_hangup:
            self.signal_handler_interrupt(*args, **kwargs)

    @property
    def respawn_failed_workers(self) -> bool:
        """Asked when a worker has ended."""
        self.respawned_wrks.clear()  # by which Granian would end after the second death in a row
        status = _status(self.wrks[0])
        if status < 0:
            logger.error("A worker was ended by signal %d (%s)", -status, signal.strsignal(-status))
        return self._deaths.may_respawn(status)

    @respawn_failed_workers.setter
    def respawn_failed_workers(self, _: bool) -> None:
        """What Granian is told at its making is decided anew each time."""

    def shutdown(self, exit_code: int = 0) -> None:
        workers = list(self.wrks)
        self.interrupt_children.clear()
        super().shutdown(exit_code)
        if any(_status(worker) for worker in workers):
            sys.exit(1)

    def _on_told_of_drain(self, _: int, __: FrameType | None) -> None:
        self._begin_drain()

    def _begin_drain(self) -> None:
        if self._is_draining:
            return
        self._is_draining = True
        logger.info("Draining: another signal ends it at once")
        for worker in self.wrks:
            worker.terminate()
        # In a thread: a signal's handler may not wait.
        threading.Thread(target=self._end_after_workers, daemon=True).start()

    def _end_after_workers(self) -> None:
        for worker in self.wrks:
            worker.join(self._drain_s + END_S)
        super().signal_handler_interrupt()  # pyright: ignore[reportUnknownMemberType]


def _status(worker: Worker) -> int:
    """Of a worker that has ended. Who waits for a process beside us may be the one who is told of its end first."""
    for _ in range(1000):
        status = worker.inner.exitcode
        if status is not None:
            return status
        time.sleep(0.001)
    return 1
