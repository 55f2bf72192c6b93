"""A process of ours, with whatever it has started: its output goes to the console under its name."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Self

Say = Callable[[str, str], None]
"""Writes a line under a name."""

STOP_S: Final = 8.0
"""Between the request to end and the end by force, where nothing has to be finished."""

LAST_OUTPUT_S: Final = 1.0
"""For what was written by a process that has ended. Another one that holds its output open is not waited for."""


class Child:
    """Leads a process group of its own, so that nothing that it started outlives it. Event loop only."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, say: Say) -> None:
        self._name = name
        self._process = process
        self._say = say
        self._copying = asyncio.create_task(self._copy())

    @classmethod
    async def start(cls, name: str, command: Sequence[str], say: Say) -> Self:
        """Raises:
        OSError: there is no such program.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            process_group=0,
        )
        return cls(name, process, say)

    def yield_to_others(self) -> None:
        """Run it, and all that it starts, with the time that nobody else wants."""
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PGRP, self._process.pid, 19)

    async def wait(self) -> int:
        """Its exit status, when it has ended and its output has been written; 128 and the signal that ended it."""
        status = await self._process.wait()
        self.kill()
        await asyncio.wait([self._copying], timeout=LAST_OUTPUT_S)
        return 128 - status if status < 0 else status

    async def stop(self, *, within_s: float = STOP_S, all_at_once: bool = False) -> int:
        """Ask it to end, or it and all that it started; end it by force where it has not in time. Its exit status."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._signal_all(signal.SIGTERM) if all_at_once else self._process.terminate()
            # Its output ends when the last of those have ended that it shares it with.
            await asyncio.wait([self._copying], timeout=within_s)
        self.kill()
        return await self.wait()

    def kill(self) -> None:
        """End it by force, and all that it started."""
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _copy(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while data := await self._process.stdout.read(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._say(self._name, line.decode("utf-8", "replace"))
        if rest:
            self._say(self._name, rest.decode("utf-8", "replace"))
