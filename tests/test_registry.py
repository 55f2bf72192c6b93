"""Finding modes, and refusing to start with one that is broken, twice there, or on another's path."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import TtsSettings
from app.tts import create_app
from engines.engine import Engine
from engines.fake import FakeModel
from modes.registry import RESERVED, ModeError, installed, mount, paths_of
from tests.distributions import good_mode, install

BUILT_IN = ["adaptive", "batch", "stream", "websocket"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place on the import path; what was imported from it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("tiding_")]:
        del sys.modules[name]


@pytest.fixture
def engine() -> Engine:
    """Not opened: modes are made before a model is loaded."""
    return Engine(FakeModel)


def test_every_installed_mode_can_be_made_with_an_unopened_engine(engine: Engine) -> None:
    modes = mount(engine, installed())
    assert [mode.name for mode in modes] == BUILT_IN
    assert all(mode.handlers and mode.paths for mode in modes)
    assert engine.state == "new"


def test_built_in_modes_come_by_the_door_of_everybody(engine: Engine) -> None:
    for mode in mount(engine, installed()):
        assert mode.origin == f"{mode.name} = modes.{mode.name}:mode (tiding 0.1.0)"


def test_modes_serve_the_paths_of_the_protocol(engine: Engine) -> None:
    assert {mode.name: mode.paths for mode in mount(engine, installed())} == {
        "batch": ("/v1/audio/speech",),
        "stream": ("/v1/audio/speech/stream",),
        "websocket": ("/ws/tts/stream",),
        "adaptive": (
            "/v1/tts/stream",
            "/v1/tts/stream/{stream_id}",
            "/v1/tts/stream/{stream_id}/append",
            "/v1/tts/stream/{stream_id}/audio",
            "/v1/tts/stream/{stream_id}/close",
        ),
    }


def test_a_mode_of_another_distribution_is_found(folder: Path, engine: Engine) -> None:
    install(folder, "tiding-echo", good_mode("/echo"), mode_name="echo")
    modes = {mode.name: mode for mode in mount(engine, installed())}
    assert modes["echo"].paths == ("/echo",)
    assert modes["echo"].origin == "echo = tiding_echo:mode (tiding-echo 1.2)"


@pytest.mark.parametrize(
    ("source", "value", "reason"),
    [
        pytest.param("", "nowhere_at_all:mode", "ModuleNotFoundError", id="no module"),
        pytest.param("", "tiding_bad:mode", "AttributeError", id="no attribute"),
        pytest.param("import nowhere_at_all", "tiding_bad:mode", "ModuleNotFoundError", id="its import fails"),
        pytest.param("mode = 3", "tiding_bad:mode", "TypeError", id="not callable"),
        pytest.param("def mode(engine): return 1 / 0", "tiding_bad:mode", "ZeroDivisionError", id="raises"),
        pytest.param("def mode(engine): return None", "tiding_bad:mode", "TypeError", id="returns nothing"),
        pytest.param("def mode(engine): return [3]", "tiding_bad:mode", "ImproperlyConfigured", id="no handlers"),
        pytest.param("def mode(engine): return [engine.voices]", "tiding_bad:mode", "EngineLoading", id="too early"),
    ],
)
def test_a_broken_mode_is_refused_by_entry_point_and_distribution(
    folder: Path, engine: Engine, source: str, value: str, reason: str
) -> None:
    install(folder, "tiding-bad", source, mode_name="bad", value=value)
    with pytest.raises(ModeError) as caught:
        mount(engine, installed())
    assert f"bad = {value} (tiding-bad 1.2)" in str(caught.value)
    assert reason in str(caught.value)


def test_two_modes_of_one_name_are_refused_and_both_are_named(folder: Path, engine: Engine) -> None:
    install(folder, "tiding-other", good_mode("/other"), mode_name="batch")
    with pytest.raises(ModeError) as caught:
        mount(engine, installed())
    assert "'batch'" in str(caught.value)
    assert "batch = tiding_other:mode (tiding-other 1.2)" in str(caught.value)
    assert "batch = modes.batch:mode (tiding 0.1.0)" in str(caught.value)


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/"])
def test_a_path_that_two_modes_claim_is_refused_and_both_are_named(folder: Path, engine: Engine, path: str) -> None:
    install(folder, "tiding-other", good_mode(path), mode_name="other")
    with pytest.raises(ModeError) as caught:
        mount(engine, installed())
    assert "/v1/audio/speech" in str(caught.value)
    assert "other = tiding_other:mode (tiding-other 1.2)" in str(caught.value)
    assert "batch = modes.batch:mode (tiding 0.1.0)" in str(caught.value)


def test_paths_that_differ_only_in_a_parameters_name_are_one_path(folder: Path, engine: Engine) -> None:
    source = good_mode("/v1/tts/stream/{other:str}/audio").replace("handler()", "handler(other: str)")
    install(folder, "tiding-other", source, mode_name="other")
    with pytest.raises(ModeError, match=r"tiding-other 1\.2"):
        mount(engine, installed())


@pytest.mark.parametrize("path", ["/health", "/v1/audio/voices", "/schema", "/schema/openapi.json"])
def test_no_mode_may_claim_what_the_server_answers_itself(folder: Path, path: str) -> None:
    install(folder, "tiding-other", good_mode(path), mode_name="other")
    with pytest.raises(ModeError, match=r"other = tiding_other:mode \(tiding-other 1\.2\)"):
        create_app(TtsSettings(), load=FakeModel)


def test_a_path_of_the_server_itself_is_refused(folder: Path, engine: Engine) -> None:
    install(folder, "tiding-other", good_mode("/health"), mode_name="other")
    with pytest.raises(ModeError) as caught:
        mount(engine, installed(), reserved_paths=["/health", "/ready"])
    message = str(caught.value)
    assert "/health" in message
    assert RESERVED in message
    assert "other = tiding_other:mode (tiding-other 1.2)" in message


def test_an_allow_list_chooses_modes(engine: Engine) -> None:
    assert [point.name for point in installed(["stream", "batch"])] == ["batch", "stream"]
    assert [mode.name for mode in mount(engine, installed(["websocket"]))] == ["websocket"]


def test_a_mode_that_is_not_allowed_is_not_even_imported(folder: Path, engine: Engine) -> None:
    install(folder, "tiding-bad", "raise SystemExit", mode_name="bad")
    mount(engine, installed(BUILT_IN))


def test_an_allowed_mode_that_is_not_installed_is_refused_with_what_there_is() -> None:
    with pytest.raises(ModeError) as caught:
        installed(["batch", "bath"])
    assert "bath" in str(caught.value)
    for name in BUILT_IN:
        assert name in str(caught.value)


def test_claimed_paths_are_those_of_all_handlers(folder: Path, engine: Engine) -> None:
    (mode,) = mount(engine, installed(["adaptive"]))
    assert paths_of(mode.handlers) == mode.paths
