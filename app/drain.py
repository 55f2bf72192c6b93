"""The end of a server, without a word lost: nothing new is taken, what runs is finished, then it ends.

Who has begun to speak or to write goes on, and may be sent more text; who only holds a socket open is told to go (1001)
when nobody speaks any more, or when the time is up.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from app.connections import Connections
from engines.admission import Admission

LOOK_EVERY_S: Final = 0.05

SETTLE_S: Final = 0.25
"""So long nothing may run before all is taken to be over: the last message of a stream follows its last audio."""

GOODBYE_S: Final = 2.0
"""For what is broken off to leave."""

LINGER_S: Final = 5.0
"""For readers who are behind with what was sent to them, and the model, when the time of the drain is up."""

logger = logging.getLogger("tiding.app")


class Drained(Protocol):
    """An engine, as far as its drain has to know it."""

    @property
    def admission(self) -> Admission: ...
    @property
    def num_unfinished(self) -> int: ...
    @property
    def was_ready(self) -> bool: ...


class Drain:
    """Event loop only. `on_begun` and `on_over` are called when it begins and when it is over, `on_overdue` where the
    process is still there some seconds after its time was up.
    """

    def __init__(self, engine: Drained, connections: Connections, drain_s: float) -> None:
        self.on_begun: Callable[[], None] = _do_nothing
        self.on_over: Callable[[], None] = _do_nothing
        self.on_overdue: Callable[[], None] = _do_nothing
        self.is_over = False
        self._engine = engine
        self._connections = connections
        self._drain_s = drain_s
        self._draining: asyncio.Task[None] | None = None

    @property
    def has_begun(self) -> bool:
        return self._draining is not None

    def begin(self) -> None:
        """Let nothing new in, and end when what runs is over. Once it has begun, that changes nothing."""
        if self._draining is None:
            self._engine.admission.close()
            loop = asyncio.get_running_loop()
            self._draining = loop.create_task(self._run())
            most_s = self._drain_s if self._engine.was_ready else 0.0  # while it loads, nobody has anything to lose
            loop.call_later(most_s + LINGER_S, lambda: self.on_overdue())
            self.on_begun()

    async def _run(self) -> None:
        logger.info("draining: %d under way, at most %g s are left to them", self._num_running, self._drain_s)
        try:
            async with asyncio.timeout(self._drain_s):
                await self._until_quiet()
        except TimeoutError:
            if self._num_running:
                logger.warning("drained in part: %d are broken off", self._num_running)
        self.is_over = True
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._connections.close()
        except TimeoutError:
            logger.warning("some connections do not close")
        logger.info("drained")
        self.on_over()

    async def _until_quiet(self) -> None:
        quiet_s = 0.0
        while quiet_s < SETTLE_S:
            await asyncio.sleep(LOOK_EVERY_S)
            quiet_s = 0.0 if self._num_running else quiet_s + LOOK_EVERY_S

    @property
    def _num_running(self) -> int:
        return max(self._engine.num_unfinished, self._connections.num_busy)


def _do_nothing() -> None:
    """Nobody is to be told."""
