"""The mode of the tutorial: built, installed into an environment of its own beside Tiding, served by a real process."""

import io
import os
import shutil
import subprocess
import sys
import sysconfig
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.serving import ROOT, Served, serve_process

TUTORIAL = ROOT / "docs/tutorials/write-a-mode"

pytestmark = pytest.mark.slow


class Serving(msgspec.Struct, frozen=True):
    """A server, and where it logs."""

    served: Served
    log: Path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("say")
    source = shutil.copytree(TUTORIAL, folder / "write-a-mode")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has what this one has, and the mode."""
    scratch = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", scratch)
    python = scratch / "bin/python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "tiding.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel)
    return python


@pytest.fixture(scope="module")
def serving(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    with serve_with(python, log=log, model="fake") as served:
        yield Serving(served, log)


def test_wheel_holds_one_module_and_its_entry_point(wheel: Path) -> None:
    names = run(sys.executable, "-m", "zipfile", "-l", wheel)
    assert "tiding_say.py" in names
    assert "entry_points.txt" in names


def test_start_up_log_names_the_mode_and_its_distribution(serving: Serving) -> None:
    assert "mode say = tiding_say:mode (tiding-say 1.0.0) serves /say/{text}" in serving.log.read_text()


def test_mode_answers_with_a_wav(serving: Serving) -> None:
    response = httpx.get(f"{serving.served.url}/say/hello%20there")
    assert response.status_code == 200
    assert response.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(response.content)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 22_050)
        assert wav.getnframes() / wav.getframerate() == pytest.approx(len("hello there") * 0.05, abs=0.1)


def test_mode_is_listed_and_its_refusals_are_those_of_every_mode(serving: Serving) -> None:
    url = serving.served.url
    assert "say" in httpx.get(f"{url}/v1/audio/config").json()["modes"]
    assert "/say/{text}" in httpx.get(f"{url}/schema/openapi.json").json()["paths"]
    refused = httpx.get(f"{url}/say/...")
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "unspeakable_text"


def test_built_in_modes_serve_beside_it(serving: Serving) -> None:
    response = httpx.post(f"{serving.served.url}/v1/audio/speech", json={"input": "Hello."})
    assert response.status_code == 200


def test_server_without_the_mode_answers_404(tmp_path: Path) -> None:
    with serve_process(log=tmp_path / "log", model="fake") as served:
        assert httpx.get(f"{served.url}/say/hello%20there").status_code == 404


def test_mode_that_is_not_allowed_is_left_out(python: Path, tmp_path: Path) -> None:
    with serve_with(python, log=tmp_path / "log", model="fake", modes="batch, stream") as served:
        assert httpx.get(f"{served.url}/say/hello%20there").status_code == 404
        assert httpx.get(f"{served.url}/v1/audio/config").json()["modes"] == ["batch", "stream"]


def test_mode_passes_strict_type_checks(tmp_path: Path) -> None:
    shutil.copy(TUTORIAL / "tiding_say.py", tmp_path)
    config = {
        "extraPaths": [str(ROOT)],
        "stubPath": str(ROOT / "typings"),
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    path = tmp_path / "pyrightconfig.json"
    path.write_bytes(msgspec.json.encode(config))
    quiet = {"PYRIGHT_PYTHON_GLOBAL_NODE": "off", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    said = run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", path, environment=quiet)
    assert "0 errors, 0 warnings" in said


@contextmanager
def serve_with(python: Path, *, log: Path, **settings: str) -> Iterator[Served]:
    """`serve_process`, with another environment's Python."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", str(python))
            served = stack.enter_context(serve_process(log=log, **settings))
        yield served


def run(*command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """What a command prints; a failure shows all of it."""
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | (environment or {}), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout
