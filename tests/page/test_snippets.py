"""What the page shows as a program of what was just done says the same, wherever it is pasted."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from playwright.sync_api import Page

from tests.contract import int16_samples
from tests.page.visiting import LISTENING, run_elsewhere
from tests.serving import Served, serve_process

TEXT = """It's "quoted", isn't it?\nA café costs $3 \\ 2.50 & `more`: ${HOME}, 100 %."""
KEY = "a-key-of-one's-own+/="
HZ = 22_050

PROLOGUES = {"batch": "window.Audio = class { constructor(url) { window.played = url; } play() {} };"}
EPILOGUES = {
    "batch": "console.log((await (await fetch(window.played)).arrayBuffer()).byteLength);",
    "adaptive": "console.log(2 * samples.length);",
}
"""What a page has to be told to say how much it heard; in the other modes it prints that by itself."""


@pytest.fixture(scope="module", params=["open", "keyed"])
def key(request: pytest.FixtureRequest) -> str:
    return KEY if request.param == "keyed" else ""


@pytest.fixture(scope="module")
def lent(key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that lets in the pages of this machine, to those who show a key where there is one."""
    settings = {"api_keys": key} if key else {}
    log = tmp_path_factory.mktemp("lent") / "log"
    with serve_process(log=log, origins="http://127.0.0.1:*", **settings) as served:
        yield served


@pytest.fixture(scope="module")
def num_bytes(lent: Served, key: str) -> int:
    """Of the text as PCM."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body = {"input": TEXT}
    return len(httpx.post(f"{lent.url}/v1/audio/speech/stream", json=body, headers=headers, timeout=60).content)


@pytest.mark.parametrize("mode", ["batch", "stream", "adaptive", "websocket"])
def test_each_program_says_what_the_page_has_said(
    page: Page, lent: Served, key: str, num_bytes: int, mode: str, tmp_path: Path
) -> None:
    shown = programs(page, lent, key, mode)
    assert not key or not any(key in code for code in shown.values()), "a key is not for copying"
    for language in ("curl", "python"):
        folder = tmp_path / language
        folder.mkdir()
        assert heard(folder, language, shown[language], key) == pytest.approx(num_bytes, rel=0.05), language
    page.on("dialog", lambda dialog: dialog.accept(key))
    printed = run_elsewhere(page, "\n".join([PROLOGUES.get(mode, ""), shown["javascript"], EPILOGUES.get(mode, "")]))
    if mode == "websocket":
        assert any("Float32Array" in line or "Int16Array" in line for line in printed), printed
    elif mode == "batch":
        assert int(printed[-1]) > 10_000
    else:
        assert sum(map(int, printed)) == pytest.approx(num_bytes, rel=0.05)


def programs(page: Page, served: Served, key: str, mode: str) -> dict[str, str]:
    """Language -> what the page shows for the text in this mode."""
    page.add_init_script(LISTENING)
    if key:
        page.add_init_script(f"sessionStorage.setItem('tiding.key', {key!r})")
    page.goto(served.url)
    page.wait_for_selector("html[data-ready=true]")
    page.select_option("#mode", mode)
    page.fill("#text", TEXT)
    shown: dict[str, str] = {}
    for language in ("curl", "python", "javascript"):
        page.click(f"#tab-{language}")
        shown[language] = page.text_content("#snippet code") or ""
    return shown


def heard(folder: Path, language: str, code: str, key: str) -> int:
    """How many bytes of PCM at 22 050 Hz a program has made in its folder, or played."""
    player = folder / "ffplay"
    player.write_text("#!/bin/sh\nexec cat > speech.pcm\n")
    player.chmod(0o755)
    command = ["bash", "-c", code] if language == "curl" else [sys.executable, "-c", code]
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "TIDING_API_KEY": key}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    if (folder / "speech.pcm").exists():
        pcm = int16_samples((folder / "speech.pcm").read_bytes())
        assert np.abs(pcm.astype(float)).mean() > 100
        return 2 * len(pcm)
    with av.open(folder / "speech.mp3") as file:
        duration_s = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    return round(2 * HZ * duration_s)
