"""What servers tell others, and leave behind on the machine of whoever runs them: nothing."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.launching import launching, processes_of

CI_SAYS = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "BUILD_NUMBER")
"""Where libraries that report home see one of these, they may keep quiet for a while: not for long enough."""


@pytest.mark.slow
def test_servers_keep_nothing_of_their_own_at_home_and_ask_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*CI_SAYS, "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    with launching(tmp_path) as launch:
        launched = launch(("all",), TIDING_MODEL="hibari", HOME=str(home))
        urls = launched.url, launched.llm_url
        for url in urls:
            launched.until(lambda url=url: httpx.get(f"{url}/ready").status_code == 200, f"{url} is ready")
        said = httpx.post(f"{launched.url}/v1/audio/speech", json={"input": "Good evening."}, timeout=20)
        asked = {"messages": [{"role": "user", "content": "Name a bird."}], "max_tokens": 4}
        wrote = httpx.post(f"{launched.llm_url}/v1/chat/completions", json=asked, timeout=20)
        assert (said.status_code, wrote.status_code) == (200, 200)
        ports = {int(url.rpartition(":")[2]) for url in urls}
        sockets = [one for pid in processes_of(launched) for one in psutil.Process(pid).net_connections("inet")]
        assert {one.laddr.port for one in sockets} == ports
        assert [str(path.relative_to(home)) for path in home.rglob("*")] == []


def test_a_report_home_can_still_be_asked_for() -> None:
    """Whoever runs the server decides, and has decided nothing yet."""
    code = "import os, engines; print(os.environ['ORT_DISABLE_TELEMETRY'])"

    def said(**variables: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
        done = subprocess.run([sys.executable, "-c", code], env=environment | variables, capture_output=True, text=True)
        return done.stdout.strip()

    assert (said(), said(ORT_DISABLE_TELEMETRY="0")) == ("1", "0")
