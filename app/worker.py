"""Granian's worker, as far as signals are concerned: every one that asks it to end asks it to drain.

A terminal sends ^C to the supervisor and to the worker alike, and so does who signals a whole group or service. What
Granian would do at once is done when the drain is over.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias

from app.drain import Drain

TELLS_OF_DRAIN: Final = signal.SIGUSR1
"""From the worker to its supervisor, which would else take its end for a failure."""

Callback: TypeAlias = Callable[..., object]


class Endings:
    """Of a worker. Make it before Granian asks the loop for its signals: that request is kept, and done last."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listen: Callable[[int, Callback], None] = loop.add_signal_handler
        self._end: Callback | None = None
        self._drain: Drain | None = None
        # Not a subclass: the loop is there already, and is Granian's choice.
        setattr(loop, "add_signal_handler", self._take_request)  # noqa: B010

    def drain_with(self, drain: Drain) -> None:
        """End by this drain: on a signal, when it is begun by other means, and when the supervisor has gone."""
        self._drain = drain
        drain.on_begun, drain.on_over, drain.on_overdue = self._tell_supervisor, self._finish, _leave
        self._listen(signal.SIGHUP, drain.begin)
        if (supervisor := multiprocessing.parent_process()) is not None:
            self._loop.add_reader(supervisor.sentinel, self._on_orphaned, supervisor.sentinel)

    def _take_request(self, number: int, callback: Callback, *args: Any) -> None:
        self._end = partial(callback, *args)
        self._listen(number, self._begin)

    def _begin(self) -> None:
        if self._drain is not None:
            self._drain.begin()

    def _on_orphaned(self, sentinel: int) -> None:
        self._loop.remove_reader(sentinel)
        self._begin()

    def _tell_supervisor(self) -> None:
        supervisor = multiprocessing.parent_process()
        if supervisor is not None and supervisor.pid is not None and supervisor.is_alive():
            with suppress(ProcessLookupError):
                os.kill(supervisor.pid, TELLS_OF_DRAIN)

    def _finish(self) -> None:
        assert self._end is not None, "Granian asks for its signals before it serves"
        self._end()


def _leave() -> None:
    logging.getLogger("tiding.app").warning("what is left of connections or of the model is not waited for")
    logging.shutdown()
    os._exit(0)
