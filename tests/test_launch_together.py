"""Both servers with one command, as real processes: who waits for whom, what ends what, and what is left behind."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.end_requests import SAME_S
from tests.draining import begin_to_speak
from tests.launching import SLOW_OR_BROKEN_MODEL, Launch, Launched, assert_refused, processes_of
from tests.serving import ROOT

pytestmark = pytest.mark.slow

Together = Callable[..., Launched]

SERVE = """
    import json, os, sys
    from app.together import Plan, serve_together
    addresses = [("127.0.0.1", int(os.environ[name])) for name in ("TIDING_PORT", "TIDING_LLM_PORT")]
    llm, setup, steady_s = json.loads(sys.argv[1])
    sys.exit(serve_together(Plan([sys.executable, "-m", "app.serve", "tts"], llm, *addresses, setup, steady_s)))
"""
"""What `python -m app.serve all` does, with other commands."""

LLM = """
    import http.server, os
    print("the LLM speaks", flush=True)
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    http.server.HTTPServer(("127.0.0.1", int(os.environ["TIDING_LLM_PORT"])), Answer).serve_forever()
"""
"""In an LLM server's place: who supervises one knows no more of it than its command and its port."""

SETUP = """
    import os
    print("compiling: 3 of 9", flush=True)
    with open(os.environ["GO"]) as go:
        status = go.read()
    print("compiled", flush=True)
    raise SystemExit(int(status))
"""
"""Waits for its exit status."""


def python(source: str) -> list[str]:
    return [sys.executable, "-c", dedent(source)]


@pytest.fixture
def together(launch: Launch, tmp_path: Path) -> Together:
    """Starts both: the speech server with the fake, and `llm` in the other's place."""
    os.mkfifo(tmp_path / "go")

    def start(
        *, llm: Sequence[str] = python(LLM), setup: Sequence[str] = (), steady_s: float = 60.0, **variables: str
    ) -> Launched:
        plan = json.dumps([llm, setup, steady_s])
        return launch((plan,), command=("-c", dedent(SERVE)), GO=str(tmp_path / "go"), **variables)

    return start


def llm_status(launched: Launched) -> int:
    return httpx.get(f"{launched.llm_url}/ready").status_code


def until_both_serve(launched: Launched) -> None:
    launched.until_health("healthy")
    launched.until(lambda: llm_status(launched) == 200, "the LLM server serves")


def until_llm_says(launched: Launched, detail: str) -> httpx.Response:
    said: list[httpx.Response] = []

    def is_said() -> bool:
        said[:] = [httpx.get(f"{launched.llm_url}/ready")]
        return detail in said[0].text

    launched.until(is_said, f"the LLM server's port says: {detail}")
    return said[0]


def is_speaking(launched: Launched) -> bool:
    speech = httpx.post(f"{launched.url}/v1/audio/speech", json={"input": "Hello."})
    return launched.process.poll() is None and speech.status_code == 200


# -- both are there ----------------------------------------------------------------------------------------------------


def test_both_serve_and_each_line_says_whose_it_is(together: Together) -> None:
    launched = together()
    until_both_serve(launched)
    lines = launched.text.splitlines()
    assert "llm    | the LLM speaks" in lines
    assert {line[:9] for line in lines} == {"speech | ", "llm    | "}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_both_with_status_0_and_leaves_no_process(together: Together, number: signal.Signals) -> None:
    launched = together()
    until_both_serve(launched)
    launched.process.send_signal(number)
    assert_refused(launched, "speech | [INFO] Shutting down granian", status=0)


def test_ctrl_c_at_the_whole_group_ends_both_with_status_0(together: Together) -> None:
    launched = together()
    until_both_serve(launched)
    os.killpg(launched.process.pid, signal.SIGINT)
    assert_refused(launched, status=0)


def test_with_the_speech_server_everything_ends(together: Together, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(dedent(SLOW_OR_BROKEN_MODEL))
    launched = together(LOAD_ERROR="no such file: weights.bin")
    assert launched.wait() == 1
    assert "CRITICAL tiding.app: the speech server ends: OSError: no such file: weights.bin" in launched.text
    assert "tiding | the speech server has ended with status 1, and the rest ends with it" in launched.text
    assert processes_of(launched) == []


def test_an_llm_server_that_cannot_start_leaves_speech_and_a_reason(together: Together) -> None:
    launched = together(llm=python("raise SystemExit('tiding: no such file: llm.gguf')"))
    refused = until_llm_says(launched, "the LLM server has ended with status 1")
    assert (refused.status_code, refused.json()["reason"]) == (503, "failed")
    assert "Retry-After" not in refused.headers
    launched.until_health("healthy")
    assert is_speaking(launched)
    assert "llm    | tiding: no such file: llm.gguf" in launched.text
    assert "tiding | the LLM server has ended with status 1; speech goes on without it" in launched.text
    launched.process.terminate()
    assert_refused(launched, status=0)


def test_an_llm_server_that_has_proved_itself_is_started_again(together: Together, tmp_path: Path) -> None:
    first = f"import os; os.mkdir({str(tmp_path / 'once')!r}) or os.kill(os.getpid(), 9)"
    once = f"try: {first}\nexcept FileExistsError: pass\n"
    launched = together(llm=[sys.executable, "-c", once + dedent(LLM)], steady_s=0)
    until_both_serve(launched)
    assert "tiding | the LLM server has ended with status 137, and is started again" in launched.text


# -- it has to be installed first --------------------------------------------------------------------------------------


def test_the_llm_is_installed_once_speech_is_ready_and_its_port_says_so(together: Together, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(dedent(SLOW_OR_BROKEN_MODEL))
    launched = together(setup=python(SETUP), LOAD_S="0.5")
    until_llm_says(launched, "as soon as the speech server is ready")
    said = until_llm_says(launched, "compiling: 3 of 9")
    assert httpx.get(f"{launched.url}/ready").status_code == 200
    assert is_speaking(launched)
    assert (said.status_code, said.json()["ready"], said.json()["reason"]) == (503, False, "installing")
    assert said.json()["error"] == {
        "message": "the LLM server is being installed: compiling: 3 of 9",
        "type": "server_error",
        "param": None,
        "code": "installing",
    }
    assert int(said.headers["Retry-After"]) >= 1
    assert "the LLM speaks" not in launched.text
    (tmp_path / "go").write_text("0")
    until_both_serve(launched)
    lines = launched.text.splitlines()
    assert lines.index("llm    | compiled") < lines.index("llm    | the LLM speaks")


def test_whatever_is_asked_meanwhile_is_answered(together: Together) -> None:
    launched = together(setup=python(SETUP))
    until_llm_says(launched, "compiling")
    answered = httpx.post(f"{launched.llm_url}/v1/chat/completions", json={"messages": []})
    assert (answered.status_code, answered.json()["error"]["code"]) == (503, "installing")
    assert httpx.head(f"{launched.llm_url}/health").status_code == 503
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{launched.llm_url.replace('http', 'ws')}/ws").close()
    assert refused.value.response.status_code == 503
    with socket.create_connection(("127.0.0.1", httpx.URL(launched.llm_url).port)) as mute:
        mute.sendall(b"GET /")
        assert llm_status(launched) == 503


def test_an_installation_that_fails_is_said_once_and_speech_goes_on(together: Together, tmp_path: Path) -> None:
    launched = together(setup=python(SETUP))
    until_llm_says(launched, "compiling")
    (tmp_path / "go").write_text("7")
    refused = until_llm_says(launched, "could not be installed")
    assert (refused.json()["reason"], "Retry-After" in refused.headers) == ("failed", False)
    assert is_speaking(launched)
    assert launched.text.count("the LLM server could not be installed") == 1
    assert "the LLM speaks" not in launched.text
    launched.process.terminate()
    assert_refused(launched, "status 7); speech goes on without it", status=0)


def test_without_a_compiler_it_is_said_what_to_install_and_speech_goes_on(together: Together, tmp_path: Path) -> None:
    setup = [sys.executable, str(ROOT / "locks/llama_wheel.py")]
    launched = together(setup=setup, PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    until_llm_says(launched, "could not be installed")
    assert is_speaking(launched)
    assert "llm    | setup: the LLM server needs a C and a C++ compiler" in launched.text
    assert "apt install g++" in launched.text


def test_an_installer_that_is_not_there_is_said_and_speech_goes_on(together: Together) -> None:
    launched = together(setup=["/nowhere/just", "setup-llm"])
    until_llm_says(launched, "could not be installed (/nowhere/just setup-llm: status 127)")
    assert is_speaking(launched)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_installation_and_all_that_it_has_started(together: Together, number: signal.Signals) -> None:
    launched = together(setup=["bash", "-c", "echo compiling; sleep 1000 & sleep 1000"])
    until_llm_says(launched, "compiling")
    launched.process.send_signal(number)
    assert_refused(launched, status=0)


async def test_a_signal_that_comes_twice_at_once_lets_both_finish(together: Together) -> None:
    """As where a service manager hangs up as well, or a parent passes on what it got."""
    launched = together()
    await asyncio.to_thread(until_both_serve, launched)
    speaking = await begin_to_speak(launched.url, send_rate=8.0)
    for number in (signal.SIGTERM, signal.SIGHUP):  # two of one number might become one on their way
        launched.process.send_signal(number)
    ending = await speaking
    assert (ending.kinds[-1], ending.code) == ("done", 1001)
    await asyncio.to_thread(assert_refused, launched, status=0)


def test_another_signal_ends_what_does_not_want_to(together: Together) -> None:
    launched = together(setup=["bash", "-c", "trap 'echo no' TERM; echo compiling; while :; do sleep 1000; done"])
    until_llm_says(launched, "compiling")
    launched.process.send_signal(signal.SIGINT)
    launched.until_said("llm    | no")
    time.sleep(1.2 * SAME_S)
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait() in (0, 137)  # the speech server may have ended by then, or not
    assert processes_of(launched) == []


def test_with_the_speech_server_an_installation_ends(together: Together) -> None:
    launched = together(setup=python(SETUP))
    until_llm_says(launched, "compiling")
    started = re.search(r"speech \| \[INFO\] Starting granian \(main PID: (\d+)\)", launched.text)
    assert started
    os.kill(int(started[1]), signal.SIGKILL)
    assert_refused(launched, "the speech server has ended with status 137", status=137)


def test_a_speech_server_that_has_proved_itself_is_started_again(together: Together) -> None:
    launched = together(steady_s=0)
    until_both_serve(launched)
    started = re.search(r"speech \| \[INFO\] Starting granian \(main PID: (\d+)\)", launched.text)
    assert started
    os.kill(int(started[1]), signal.SIGKILL)
    launched.until_said("tiding | the speech server has ended with status 137, and is started again")
    until_both_serve(launched)
    launched.process.terminate()
    assert_refused(launched, status=0)


def test_a_port_that_is_taken_is_said_and_speech_goes_on(together: Together) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        launched = together(setup=python(SETUP), TIDING_LLM_PORT=str(taken.getsockname()[1]))
        launched.until_said("tiding | nothing can be said on the LLM server's port")
        launched.until_said("llm    | compiling")
        assert is_speaking(launched)


# -- the real thing ----------------------------------------------------------------------------------------------------


def test_a_setting_that_is_wrong_ends_both_with_status_2(launch: Launch) -> None:
    assert_refused(launch(("all",), TIDING_LLM_PORT="many"), "tiding: TIDING_LLM_PORT='many': ", status=2)
    assert_refused(launch(("all",), TIDING_PROT="1"), "tiding: TIDING_PROT is not a setting", status=2)


def test_one_port_for_both_is_refused(launch: Launch) -> None:
    launched = launch(("all",), TIDING_PORT="8003", TIDING_LLM_PORT="8003")
    assert_refused(launched, "TIDING_PORT and TIDING_LLM_PORT are both 8003", status=2)
