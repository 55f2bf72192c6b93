"""The command line as a shell runs it, in a process of its own or, where that makes no difference, in this one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from app.cli.command import tiding

COMMAND = (sys.executable, "-W", "error", "-m", "app.cli")
TIMEOUT_S = 60


def environment(**settings: str) -> dict[str, str]:
    """This environment with no settings but these (`model="fake"` is `TIDING_MODEL=fake`)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDING_")}
    root = str(Path(__file__).parent.parent.parent)
    return kept | {"PYTHONPATH": root} | {f"TIDING_{name.upper()}": value for name, value in settings.items()}


def run(
    *arguments: str, text: str | bytes = "", cwd: Path | None = None, model: str = "fake", **settings: str
) -> subprocess.CompletedProcess[bytes]:
    """A command with `text` on its stdin, in a process of its own."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=text if isinstance(text, bytes) else text.encode(),
        cwd=cwd, env=environment(model=model, **settings), capture_output=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


def start(*arguments: str, cwd: Path | None = None, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE,
          stderr: int = subprocess.PIPE, **settings: str) -> subprocess.Popen[bytes]:  # fmt: skip
    """A command on the fake model that runs on. The settings are as in `run`."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=environment(model="fake") | environment(**settings),
    )  # fmt: skip


def invoke(arguments: Sequence[str], text: str | bytes = "", *, model: str = "fake", **settings: str) -> Result:
    """A command in this process. What it raises beyond what it says is raised here."""
    given = {f"TIDING_{name.upper()}": value for name, value in settings.items()} | {"TIDING_MODEL": model}
    result = CliRunner().invoke(tiding, list(arguments), input=text, env=given, prog_name="tiding")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
