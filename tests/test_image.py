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

from app.settings import read_settings
from tests.serving import ROOT, free_port

FILE: Final = ROOT / "Containerfile"
OF_THE_SYSTEM: Final = ("apt-get", "useradd")
"""Steps that begin so change the system they run on: an image has one of its own, a test has not."""

OF_LLAMA: Final = ("CMAKE_ARGS", "XDG_CACHE_HOME")
"""How, and for whom, llama.cpp is compiled: here it is taken from where this machine keeps it."""


class Step(msgspec.Struct, frozen=True):
    """An instruction and what stands behind it. `stage` is what its FROM calls it."""

    stage: str
    name: str
    text: str


def steps() -> list[Step]:
    stage, found = "", list[Step]()
    text = re.sub(r"\\\n", " ", "\n".join(line for line in FILE.read_text().splitlines() if not line.startswith("#")))
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        stage = rest.rpartition(" AS ")[2] if name == "FROM" else stage
        found.append(Step(stage, name, " ".join(rest.split())))
    return found


def step(name: str, stage: str) -> str:
    """The last one of that name in a stage."""
    return [step.text for step in steps() if (step.name, step.stage) == (name, stage)][-1]


def variables(text: str) -> dict[str, str]:
    return dict(re.findall(r"([A-Z_]+)=(\S+)", text))


def taken(stage: str) -> list[Step]:
    return [step for step in steps() if step.stage == stage]


@pytest.mark.skipif(shutil.which("hadolint", path=str(Path(sys.executable).parent)) is None, reason="for Linux only")
def test_the_file_has_no_fault_that_a_linter_finds() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "hadolint", FILE], capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout) == (0, "")


def test_nobody_is_root_and_somebody_asks_whether_it_is_well() -> None:
    assert step("USER", "runtime").isdigit()
    assert int(step("USER", "runtime")) > 0
    assert "/health" in step("HEALTHCHECK", "runtime")
    assert json.loads(step("CMD", "runtime"))[:3] == ["python", "-m", "app.serve"]


def test_what_a_gpu_needs_is_a_target_and_who_asks_for_none_gets_the_one_without() -> None:
    stages = [each.text for each in steps() if each.name == "FROM"]
    assert stages[-2:] == ["runtime AS cuda", "runtime AS cpu"]
    assert step("USER", "cuda") == step("USER", "runtime"), "root only while it installs"
    assert not any(each.name == "USER" for each in taken("cpu"))
    assert {"USER", "CMD", "HEALTHCHECK"} & {each.name for each in taken("cuda")} == {"USER"}
    for target in ("cpu", "cuda"):
        assert any("sbom.cdx.json" in each.text for each in taken(target))


def test_its_settings_are_settings_and_what_it_writes_goes_to_its_volume() -> None:
    said = variables(step("ENV", "runtime")) | variables(step("ENV", "cuda"))
    read_settings({name: value for name, value in said.items() if name.startswith("TIDING_")})
    assert json.loads(step("VOLUME", "runtime")) == ["/models", "/cache"]
    for name in ("HOME", "TMPDIR", "HF_HOME", "TRITON_CACHE_DIR"):
        assert Path(said[name]).is_relative_to("/cache")


def test_what_is_copied_is_let_in_and_nothing_else_is() -> None:
    ignored = (ROOT / ".containerignore").read_text().split()
    assert ignored[0] == "*", "nothing is let in that is not named"
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    copied = [
        source
        for each in steps()
        if each.name == "COPY" and not each.text.startswith("--from")
        for source in each.text.split()[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.slow
def test_its_steps_make_an_environment_that_serves_and_is_well_where_it_cannot_write(tmp_path: Path) -> None:
    image = Image(tmp_path)
    for each in taken("build"):
        image.take(each)
    with image.served() as environment:
        command = json.loads(step("HEALTHCHECK", "runtime").partition("CMD ")[2])
        image.wait_until_well(command, environment)
    assert {path.name for path in image.site_packages.iterdir()} >= {"app", "modes", "engines", "llama_cpp"}
    bill = json.loads((tmp_path / "build/sbom.cdx.json").read_text())
    listed = {each["name"].lower().replace("_", "-") for each in bill["components"]}
    assert {"litestar", "llama-cpp-python", "opentelemetry-sdk"} <= listed
    assert "pytest" not in listed
    assert "pip-audit" not in listed
    image.take_with_sources_alone(taken("build-cuda"))
    assert {path.name for path in image.site_packages.iterdir()} >= {"antlr4", "jieba", "wget.py"}


def read_only_but(folder: Path) -> list[str]:
    """What a command is put behind so that it sees a file system that it cannot write to, as `--read-only` makes it;
    where this system does not let a user do that, nothing.
    """
    script = (
        f"mount --bind {folder} {folder} && mount -o remount,bind,ro / && ! touch {folder.parent}/x 2>/dev/null "
        '&& exec "$@"'
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    can = (
        shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    )
    return command if can else []


class Image:
    """A folder that steps are taken in as if it were the root of a file system. llama.cpp is compiled as on this
    machine, of which there is one already; else each step is as it is written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root
        self._variables: dict[str, str] = {}

    def take(self, each: Step) -> None:
        match each.name:
            case "WORKDIR":
                self._folder = Path(self._here(each.text))
                self._folder.mkdir(exist_ok=True)
            case "COPY":
                *sources, target = each.text.split()
                self._copy(sources, self._folder / target)
            case "RUN":
                self._run(each.text)
            case "ENV":
                self._variables |= {name: value for name, value in variables(each.text).items() if name not in OF_LLAMA}
            case _:
                assert each.name == "FROM", each.name

    def take_with_sources_alone(self, of_cuda: Sequence[Step]) -> None:
        """The steps for a GPU, of whose packages only those are installed that are built from Python alone: the others
        are files that pip unpacks, gigabytes of them, and pyopenjtalk, which `just test-magpie` compiles.
        """
        lock = (ROOT / "locks/magpie.txt").read_text()
        blocks = re.findall(r"^[a-z0-9][\w.-]*==.*?(?=^[a-z0-9]|\Z)", lock, re.MULTILINE | re.DOTALL)
        built = ("antlr4-python3-runtime==", "jieba==", "wget==")
        (cut := self._root / "build/locks/magpie.txt").write_text("".join(b for b in blocks if b.startswith(built)))
        assert cut.stat().st_size > 200
        for each in of_cuda:
            if each.name == "RUN":
                self._run(each.text)

    @property
    def site_packages(self) -> Path:
        return next((self._root / "venv").glob("lib/python*/site-packages"))

    @contextmanager
    def served(self) -> Iterator[dict[str, str]]:
        """The image's own command, on ports that are free, where only `/cache` can be written to. The environment that
        its health check has.
        """
        ports = {"TIDING_PORT": str(free_port()), "TIDING_LLM_PORT": str(free_port()), "TIDING_HOST": "127.0.0.1"}
        (cache := self._root / "cache").mkdir()
        environment = self._clean() | ports | {"HOME": str(cache), "TMPDIR": str(cache)}
        with (self._root / "log").open("wb") as log:
            process = subprocess.Popen(
                [*read_only_but(cache), *json.loads(step("CMD", "runtime"))],
                cwd=self._root, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
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
        return re.sub(r"(?<![\w.])/(venv|tools|audit|build)\b", rf"{self._root}/\1", text)

    def _run(self, text: str) -> None:
        if text.startswith(OF_THE_SYSTEM):
            return
        command = self._here(text).replace("python -m venv", f"{sys.executable} -m venv")
        ran = subprocess.run(
            ["sh", "-ec", command],
            cwd=self._folder,
            env=self._clean() | self._variables,
            capture_output=True,
            check=False,
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
