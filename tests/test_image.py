"""The container image, without an engine that could build it: its file is linted, its steps are run in a folder, and
what they have made is asked whether it is well, as the image's own health check does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.serving import ROOT, free_port

FILE: Final = ROOT / "Containerfile"
OF_THE_SYSTEM: Final = ("apt-get", "useradd")
"""Steps that begin so change the system they run on: an image has one of its own, a test has not."""


class Step(msgspec.Struct, frozen=True):
    """An instruction and what stands behind it. `stage` counts from 0."""

    stage: int
    name: str
    text: str


def steps() -> list[Step]:
    stage, found = -1, list[Step]()
    text = re.sub(r"\\\n", " ", "\n".join(line for line in FILE.read_text().splitlines() if not line.startswith("#")))
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        found.append(Step(stage, name, " ".join(rest.split())))
    return found


def step(name: str, stage: int) -> str:
    return next(step.text for step in steps() if (step.name, step.stage) == (name, stage))


@pytest.mark.skipif(shutil.which("hadolint", path=str(Path(sys.executable).parent)) is None, reason="for Linux only")
def test_the_file_has_no_fault_that_a_linter_finds() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "hadolint", FILE], capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout) == (0, "")


def test_nobody_is_root_and_somebody_asks_whether_it_is_well() -> None:
    assert step("USER", 1).isdigit()
    assert int(step("USER", 1)) > 0
    assert "/health" in step("HEALTHCHECK", 1)
    assert json.loads(step("CMD", 1))[:3] == ["python", "-m", "app.serve"]
    assert [each.name for each in steps() if each.stage == 1][-1] == "CMD"


def test_what_is_copied_is_let_in_and_nothing_else_is() -> None:
    ignored = (ROOT / ".containerignore").read_text().split()
    assert ignored[0] == "*", "nothing is let in that is not named"
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    copied = [
        source for each in steps() if each.name == "COPY" and each.stage == 0 for source in each.text.split()[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.slow
def test_its_steps_make_an_environment_that_serves_and_is_well(tmp_path: Path) -> None:
    image = Image(tmp_path)
    for each in steps():
        if each.stage == 0:
            image.take(each)
    with image.served() as environment:
        command = json.loads(step("HEALTHCHECK", 1).partition("CMD ")[2])
        image.wait_until_well(command, environment)
    assert {path.name for path in image.site_packages.iterdir()} >= {"app", "modes", "engines", "llama_cpp"}


class Image:
    """A folder that steps are taken in as if it were the root of a file system. llama.cpp is compiled as on this
    machine, of which there is one already; else each step is as it is written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root
        self._shell: list[str] = []

    def take(self, each: Step) -> None:
        match each.name:
            case "WORKDIR":
                self._folder = Path(self._here(each.text))
                self._folder.mkdir()
            case "COPY":
                *sources, target = each.text.split()
                self._copy(sources, self._folder / target)
            case "RUN":
                self._run(each.text)
            case _:
                assert each.name in ("FROM", "ENV"), each.name

    @property
    def site_packages(self) -> Path:
        return next((self._root / "venv").glob("lib/python*/site-packages"))

    @contextmanager
    def served(self) -> Iterator[dict[str, str]]:
        """The image's own command, on ports that are free. The environment that its health check has."""
        ports = {"TIDING_PORT": str(free_port()), "TIDING_LLM_PORT": str(free_port()), "TIDING_HOST": "127.0.0.1"}
        environment = self._clean() | ports
        with (self._root / "log").open("wb") as log:
            process = subprocess.Popen(
                json.loads(step("CMD", 1)), cwd=self._root, env=environment, stdout=log, stderr=log
            )
        try:
            yield environment
        finally:
            process.terminate()
            assert process.wait(20) == 0, (self._root / "log").read_text()

    def wait_until_well(self, command: Sequence[str], environment: dict[str, str]) -> None:
        deadline_s = time.monotonic() + 60
        while subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline_s, (self._root / "log").read_text()
            time.sleep(0.2)

    def _here(self, text: str) -> str:
        """With the image's paths in this folder."""
        return re.sub(r"(?<![\w.])/(venv|tools|build)\b", rf"{self._root}/\1", text)

    def _run(self, text: str) -> None:
        if text.startswith(OF_THE_SYSTEM):
            return
        command = self._here(text).replace("python -m venv", f"{sys.executable} -m venv")
        ran = subprocess.run(
            ["sh", "-ec", command], cwd=self._folder, env=self._clean(), capture_output=True, check=False
        )
        assert ran.returncode == 0, ran.stderr.decode()

    def _copy(self, sources: Sequence[str], target: Path) -> None:
        for source in sources:
            path = ROOT / source
            if path.is_dir():
                shutil.copytree(path, target, ignore=lambda _, names: [n for n in names if fnmatch(n, "__pycache__")])
            else:
                place = target / path.name if target.is_dir() or len(sources) > 1 else target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)

    def _clean(self) -> dict[str, str]:
        """This process's environment without what is ours, and with the image's programs first."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("TIDING_", "PYTHON", "VIRTUAL"))
        }
        return kept | {"PATH": f"{self._root}/venv/bin:{os.environ['PATH']}"}
