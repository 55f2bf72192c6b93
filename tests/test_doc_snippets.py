"""Snippets that say they run do run: against a real server on the fake model, with a stand-in for the player."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.decoding import decoded
from tests.reading_docs import PAGES, Snippet, snippets
from tests.serving import ROOT, Served, serve_process

pytestmark = pytest.mark.slow


def here(page: Path) -> list[Snippet]:
    """Those that need no browser: `just test-page` runs the others."""
    return [snippet for snippet in snippets(page) if snippet.language != "js"]


RUNNABLE = [page for page in PAGES if here(page)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_process(log=tmp_path_factory.mktemp("server") / "log", model="fake") as served:
        yield served


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH with an `ffplay` that keeps what it is given to play."""
    folder = tmp_path / "tools"
    folder.mkdir()
    player = folder / "ffplay"
    player.write_text('#!/bin/sh\nfor last; do :; done\ncat "$last" >>played.pcm\n')
    player.chmod(0o755)
    return folder


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets_of_a_page_run_and_leave_audio(page: Path, served: Served, tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for snippet in here(page):
        if snippet.language == "python" or shutil.which("curl"):
            run(snippet, served, tools, folder)
    for path in folder.iterdir():
        if path.suffix == ".mp3":
            assert len(decoded(path.read_bytes())[0]), path.name
        assert path.stat().st_size > 1000, path.name


def test_the_readme_has_a_snippet_for_each_mode() -> None:
    code = "".join(snippet.code for snippet in snippets(ROOT / "README.md"))
    for path in ("/v1/audio/speech ", "/v1/audio/speech/stream ", "/v1/tts/stream ", "/ws/tts/stream"):
        assert path in code.replace('"', " ").replace(")", " ")


def test_snippets_of_python_are_short_in_the_readme() -> None:
    for snippet in snippets(ROOT / "README.md"):
        assert len([line for line in snippet.code.splitlines() if line.strip()]) <= 10


def run(snippet: Snippet, served: Served, tools: Path, folder: Path) -> None:
    code = snippet.code.replace("localhost:8001", f"127.0.0.1:{served.port}")
    command = (
        [sys.executable, "-W", "error", "-c", code]
        if snippet.language == "python"
        else ["bash", "-euo", "pipefail", "-c", code]
    )
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    assert '"error"' not in done.stdout, f"{code}\n{done.stdout}"
