"""Servers as commands start them: real processes, each in a session of its own, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.serving import ROOT, free_port

END_S = 20.0

SLOW_OR_BROKEN_MODEL = '''
    """Imported at start-up (sitecustomize): `fake` is a model that loads as the environment says."""
    import os, time
    from engines import catalog, fake

    def load(wake):
        time.sleep(float(os.environ.get("LOAD_S", "0")))
        if "LOAD_ERROR" in os.environ:
            raise OSError(os.environ["LOAD_ERROR"])
        return fake.FakeModel(wake)

    catalog.MODELS["fake"] = lambda _: load
'''


class Launched(msgspec.Struct):
    """A process and what it wrote. `url` is where its speech server listens, if it does, `llm_url` the other one."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str
    llm_url: str

    def wait(self) -> int:
        return self.process.wait(END_S)

    @property
    def text(self) -> str:
        return self.log.read_text()

    def until(self, is_so: Callable[[], Any], what: str) -> None:
        """Return when a state is reached. It is not while `is_so` cannot reach the server."""
        deadline_s = time.monotonic() + END_S
        while time.monotonic() < deadline_s:
            assert self.process.poll() is None, self.text
            try:
                if is_so():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise TimeoutError(f"this did not come about: {what}\n{self.text}")

    def until_health(self, status: str) -> None:
        self.until(lambda: httpx.get(f"{self.url}/health", timeout=2).json()["status"] == status, f"health {status}")

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.text, f"said: {text}")


Launch = Callable[..., Launched]


@contextmanager
def launching(tmp_path: Path) -> Iterator[Launch]:
    """Starts `python -m app.serve` with these arguments and variables. What still runs at the end is killed."""
    launched: list[Launched] = []

    def launch(
        arguments: tuple[str, ...] = ("tts",), *, command: tuple[str, ...] = ("-m", "app.serve"), **variables: str
    ) -> Launched:
        ports = {"TIDING_PORT": str(free_port()), "TIDING_LLM_PORT": str(free_port())}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDING_")}
        environment |= {
            **ports,
            "TIDING_MODEL": "fake",
            "TIDING_LOG_FORMAT": "text",
            "PYTHONPATH": str(tmp_path),
        } | variables
        log = tmp_path / f"log{len(launched)}"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        launched.append(Launched(process, log, *(f"http://127.0.0.1:{port}" for port in ports.values())))
        return launched[-1]

    try:
        yield launch
    finally:
        for one in launched:
            for process in processes_of(one):
                os.kill(process, signal.SIGKILL)
            one.process.wait(END_S)


def processes_of(launched: Launched) -> list[int]:
    """What runs in its session: itself and all that it has started, in whatever process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[3]) == launched.process.pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def worker_of(launched: Launched) -> int:
    """The process that serves, of one server. 0: there is none at the moment."""
    return next((process for process in processes_of(launched) if process != launched.process.pid), 0)


def assert_refused(launched: Launched, *parts: str, status: int) -> None:
    assert launched.wait() == status
    text = launched.text
    for part in parts:
        assert part in text
    assert "Traceback" not in text
    assert processes_of(launched) == []
