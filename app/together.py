"""Both servers with one command: each a process of its own, and speech comes first.

The LLM's packages may have to be compiled. That is done once the speech server answers, with the processor time that it
leaves, and something answers in the LLM server's place until it is there. Without an LLM server there is speech all the
same; without speech everything ends. When it is all to end, each of them finishes what it has begun.
"""

import asyncio
import json
import shlex
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from app.child import STOP_S, Child, Say
from app.end_requests import EndRequests
from app.logs import relayed
from app.stand_in import StandIn

LOOK_EVERY_S: Final = 0.2
ANSWER_S: Final = 2.0

END_S: Final = 15.0
"""More than a server takes to end when it has drained, or is to end by force."""

NOT_FOUND: Final = 127
"""The status that shells give a command that cannot be started."""

_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that mean every one of the machine's, and one of those."""


class Plan(msgspec.Struct, frozen=True):
    """What to start. `setup` installs what the LLM server needs; without it that is taken to be there. A server that
    has run for `steady_s` is started again when it fails; one that fails sooner is not. One that is to end may take
    `drain_s` to finish what it has begun. `logs_json`: each line is an object.
    """

    speech: Sequence[str]
    llm: Sequence[str]
    speech_address: tuple[str, int]
    llm_address: tuple[str, int]
    setup: Sequence[str] = ()
    steady_s: float = 60.0
    drain_s: float = 25.0
    logs_json: bool = False


def serve_together(plan: Plan) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP; another one of those ends it by force (`EndRequests`). The exit status is
    that of the speech server; its end is the end of everything.
    """
    return asyncio.run(Together(plan).serve())


class Together:
    """Event loop only."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._children: set[Child] = set()
        self._speech: Child | None = None
        self._is_stopped = asyncio.Event()
        self._requests = EndRequests()
        self._stand_in = StandIn(*plan.llm_address)

    async def serve(self) -> int:
        """The speech server's exit status, when all has ended."""
        self._listen_to_signals()
        speaking = asyncio.create_task(self._keep_speaking())
        writing = asyncio.create_task(self._serve_llm())
        stopping = asyncio.create_task(self._is_stopped.wait())
        await asyncio.wait([speaking, stopping], return_when=asyncio.FIRST_COMPLETED)
        if speaking.done():
            self._say(
                "tiding", f"the speech server has ended with status {speaking.result()}, and the rest ends with it"
            )
        for task in (writing, stopping):
            task.cancel()
        await asyncio.gather(self._stop_speech(), asyncio.wait([writing]))
        return await speaking

    async def _keep_speaking(self) -> int:
        """Run the speech server, and run it again where it has proved itself. Its last exit status."""
        while True:
            start_s = time.monotonic()
            self._speech = await self._start("speech", self._plan.speech, self._say)
            if self._is_stopped.is_set():  # meanwhile
                return await self._speech.stop()
            status = await self._speech.wait()
            self._children.discard(self._speech)
            is_over = status == 0 or self._is_stopped.is_set()
            if is_over or time.monotonic() - start_s < self._plan.steady_s:
                return status
            self._say("tiding", f"the speech server has ended with status {status}, and is started again")

    async def _stop_speech(self) -> None:
        if self._speech is not None:
            await self._speech.stop(within_s=self._plan.drain_s + END_S)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
                loop.add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        if self._requests.take():
            for child in self._children:
                child.kill()
        self._is_stopped.set()

    async def _serve_llm(self) -> None:
        """Until it is cancelled, which stops what has been started."""
        try:
            problem = await self._set_up() if self._plan.setup else ""
            if not problem:
                await self._stand_in.close()
                problem = await self._keep_serving()
            self._say("tiding", f"{problem}; speech goes on without it")
            self._stand_in.refuse("failed", f"{problem}: the console says why")
            await self._stand_in_listens()
            await asyncio.Event().wait()
        finally:
            await self._stand_in.close()

    async def _set_up(self) -> str:
        """Install what the LLM server needs. What went wrong, if anything."""
        self._stand_in.wait("installing", "the LLM server is installed as soon as the speech server is ready")
        await self._stand_in_listens()
        await _until_loaded(*self._plan.speech_address)
        self._say(
            "tiding", "speech is ready; the LLM server is installed now, with the processor time that speech leaves"
        )
        status = await self._run("llm", self._plan.setup, self._say_both, is_background=True)
        return f"the LLM server could not be installed ({shlex.join(self._plan.setup)}: status {status})" * bool(status)

    async def _keep_serving(self) -> str:
        """Run the LLM server, and run it again where it has proved itself. Why that is over."""
        while True:
            start_s = time.monotonic()
            status = await self._run("llm", self._plan.llm, self._say)
            problem = f"the LLM server has ended with status {status}"
            if status == 0 or time.monotonic() - start_s < self._plan.steady_s:
                return problem
            self._say("tiding", f"{problem}, and is started again")

    async def _run(self, name: str, command: Sequence[str], say: Say, *, is_background: bool = False) -> int:
        try:
            child = await self._start(name, command, say)
        except OSError as error:
            say(name, str(error))
            return NOT_FOUND
        try:
            if is_background:
                child.yield_to_others()
            return await child.wait()
        finally:
            within_s = STOP_S if is_background else self._plan.drain_s + END_S
            await child.stop(within_s=within_s, all_at_once=is_background)
            self._children.discard(child)

    async def _start(self, name: str, command: Sequence[str], say: Say) -> Child:
        child = await Child.start(name, command, say)
        self._children.add(child)
        return child

    async def _stand_in_listens(self) -> None:
        try:
            await self._stand_in.open()
        except OSError as error:
            self._say("tiding", f"nothing can be said on the LLM server's port: {error}")

    def _say(self, name: str, line: str) -> None:
        with suppress(OSError):  # nobody reads
            print(relayed(name, line, as_json=self._plan.logs_json), flush=True)

    def _say_both(self, name: str, line: str) -> None:
        self._say(name, line)
        self._stand_in.wait("installing", f"the LLM server is being installed: {line.strip()}")


async def _until_loaded(host: str, port: int) -> None:
    """Return when a speech server answers there and has its model."""
    while True:
        with suppress(OSError, TimeoutError, ValueError, KeyError):
            async with asyncio.timeout(ANSWER_S):
                health = await _health(_REACHED_AT.get(host, host), port)
            if json.loads(health)["model_loaded"]:
                return
        await asyncio.sleep(LOOK_EVERY_S)


async def _health(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return (await reader.read()).partition(b"\r\n\r\n")[2]
    finally:
        writer.close()
