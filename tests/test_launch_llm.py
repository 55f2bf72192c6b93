"""The LLM server as a real process, on the embedded model: what stops its start, what ends it, and both together."""

import signal
from pathlib import Path

import httpx
import pytest

from tests.launching import Launch, Launched, assert_refused

pytest.importorskip("llama_cpp", reason="llama.cpp could not be compiled here")
pytestmark = pytest.mark.slow

HIDDEN = 'import sys; sys.modules["llama_cpp"] = None'
"""Imported at start-up (sitecustomize): for whoever asks, llama.cpp is not installed."""

QUESTION = {"messages": [{"role": "user", "content": "Tell me a long story."}]}


def until_llm_ready(launched: Launched) -> None:
    launched.until(lambda: httpx.get(f"{launched.llm_url}/ready").status_code == 200, "the LLM is ready")


def test_a_wrong_setting_ends_it_with_status_2(launch: Launch) -> None:
    assert_refused(launch(("llm",), TIDING_LLM_SLOTS="0"), "tiding: TIDING_LLM_SLOTS='0': ", status=2)


def test_a_file_that_is_not_there_ends_it_with_status_1_and_is_named(launch: Launch) -> None:
    launched = launch(("llm",), TIDING_LLM_MODEL="/nowhere/llm.gguf")
    assert_refused(launched, "tiding: /nowhere/llm.gguf: there is no such file", status=1)


def test_without_its_packages_it_says_how_to_install_them(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    assert_refused(launch(("llm",)), "tiding: ", "llama-cpp-python", "`just setup-llm`", status=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_it_writes(launch: Launch, number: signal.Signals) -> None:
    launched = launch(("llm",))
    until_llm_ready(launched)
    body = QUESTION | {"stream": True, "max_tokens": 4000}
    with httpx.stream("POST", f"{launched.llm_url}/v1/chat/completions", json=body, timeout=20) as response:
        assert next(response.iter_raw())
        launched.process.send_signal(number)
        assert_refused(launched, status=0)


def test_both_serve_and_a_signal_ends_both(launch: Launch) -> None:
    launched = launch(("all",))
    launched.until_health("healthy")
    until_llm_ready(launched)
    answer = httpx.post(f"{launched.llm_url}/v1/chat/completions", json=QUESTION | {"max_tokens": 5}, timeout=20)
    assert answer.json()["usage"]["completion_tokens"] == 5
    speech = httpx.post(f"{launched.url}/v1/audio/speech", json={"input": "Hello."})
    assert speech.status_code == 200
    launched.process.terminate()
    assert_refused(launched, "speech | ", "llm    | ", status=0)


def test_speech_is_served_where_the_llm_is_not_installed(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    launched = launch(("all",))
    launched.until_said("the LLM server has ended with status 1; speech goes on without it")
    launched.until_health("healthy")
    assert httpx.get(f"{launched.llm_url}/ready").json()["reason"] == "failed"
    assert "`just setup-llm`" in launched.text
