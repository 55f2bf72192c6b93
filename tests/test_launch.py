"""Real processes: what stops start-up, what ends it, and that nothing is left behind."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import httpx
import pytest

from tests.distributions import good_mode, install
from tests.launching import SLOW_OR_BROKEN_MODEL, Launch, assert_refused, processes_of

pytestmark = pytest.mark.slow


# -- what stops start-up -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("stt",), ("tts", "more")])
def test_misuse_ends_with_status_2_and_the_usage(launch: Launch, arguments: tuple[str, ...]) -> None:
    assert_refused(launch(arguments), "usage: python -m app.serve", status=2)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TIDING_PROT": "80"}, "TIDING_PROT is not a setting; did you mean TIDING_PORT?"),
        ({"TIDING_MODEL": "owl"}, "TIDING_MODEL='owl': expected one of hibari, fake, magpie"),
        ({"TIDING_PORT": "many"}, "TIDING_PORT='many': "),
    ],
)
def test_a_wrong_setting_ends_with_status_2(launch: Launch, variables: dict[str, str], message: str) -> None:
    assert_refused(launch(**variables), f"tiding: {message}", status=2)


@pytest.mark.parametrize(
    ("source", "mode_name", "message"),
    [
        pytest.param("import nowhere", "bad", "is broken: ModuleNotFoundError: No module named 'nowhere'", id="broken"),
        pytest.param(good_mode("/x"), "batch", "2 distributions bring a mode named 'batch'", id="duplicate name"),
        pytest.param(good_mode("/v1/audio/speech"), "bad", "path /v1/audio/speech is claimed by", id="claimed path"),
        pytest.param(good_mode("/health"), "bad", "and by the server itself", id="the server's path"),
    ],
)
def test_a_mode_that_cannot_be_used_stops_start_up(
    launch: Launch, tmp_path: Path, source: str, mode_name: str, message: str
) -> None:
    install(tmp_path, "tiding-bad", source, mode_name=mode_name)
    assert_refused(launch(), "tiding: ", message, f"{mode_name} = tiding_bad:mode (tiding-bad 1.2)", status=1)


def test_a_mode_that_is_not_allowed_stops_nothing(launch: Launch, tmp_path: Path) -> None:
    install(tmp_path, "tiding-bad", "import nowhere", mode_name="bad")
    launched = launch(TIDING_MODES="batch,stream")
    launched.until_health("healthy")
    assert httpx.get(f"{launched.url}/v1/audio/config").json()["modes"] == ["batch", "stream"]
    assert httpx.post(f"{launched.url}/v1/tts/stream", json={}).status_code == 404


def test_an_allowed_mode_that_is_not_there_stops_start_up(launch: Launch) -> None:
    assert_refused(launch(TIDING_MODES="bath"), "no mode named bath is installed; there are", "batch", status=1)


@pytest.mark.skipif(find_spec("torch") is not None, reason="what is missing is installed here")
def test_a_model_that_is_not_installed_stops_start_up(launch: Launch) -> None:
    launched = launch(TIDING_MODEL="magpie")
    assert_refused(launched, "the model magpie needs what is not installed", "`just setup-magpie`", status=1)


def test_a_model_that_cannot_be_loaded_ends_the_process(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(dedent(SLOW_OR_BROKEN_MODEL))
    launched = launch(LOAD_ERROR="no such file: weights.bin")
    assert launched.wait() == 1
    assert "the speech server ends: OSError: no such file: weights.bin" in launched.text
    assert processes_of(launched) == []


# -- while it loads, and how it ends -----------------------------------------------------------------------------------


def test_health_is_answered_while_the_model_loads(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(dedent(SLOW_OR_BROKEN_MODEL))
    launched = launch(LOAD_S="60")
    launched.until_health("loading")
    assert httpx.get(f"{launched.url}/health").json() == {"status": "loading", "model_loaded": False}
    refused = httpx.get(f"{launched.url}/ready")
    assert (refused.status_code, refused.json()["reason"]) == (503, "loading")
    speech = httpx.post(f"{launched.url}/v1/audio/speech", json={"input": "Hello."})
    assert (speech.status_code, speech.json()["error"]["code"]) == (503, "loading")
    assert int(speech.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_and_leaves_no_process(launch: Launch, number: signal.Signals) -> None:
    launched = launch()
    launched.until_health("healthy")
    launched.process.send_signal(number)
    assert launched.wait() == 0
    assert processes_of(launched) == []
    assert "Traceback" not in launched.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_a_client_listens(launch: Launch, number: signal.Signals) -> None:
    launched = launch()
    launched.until_health("healthy")
    body = {"input": "This sentence goes on for quite a while. " * 200}
    with httpx.stream("POST", f"{launched.url}/v1/audio/speech/stream", json=body, timeout=20) as response:
        assert next(response.iter_raw())
        launched.process.send_signal(number)
        assert launched.wait() == 0
    assert processes_of(launched) == []


def test_ctrl_c_at_the_whole_group_ends_it_with_status_0(launch: Launch) -> None:
    """A terminal sends SIGINT to every process of the group, Granian's worker included."""
    launched = launch()
    launched.until_health("healthy")
    os.killpg(launched.process.pid, signal.SIGINT)
    assert launched.wait() == 0
    assert processes_of(launched) == []
