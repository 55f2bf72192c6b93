"""What may touch what, read from the sources and from fresh interpreters."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.importing import HEAVY, modules_after
from tests.serving import ROOT

PACKAGES = ("app", "modes", "engines")
MAY_IMPORT = {"app": {"app", "modes", "engines"}, "modes": {"modes", "engines"}, "engines": {"engines"}}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base", "misc", "util", "helper"}
HTTP_WORD = re.compile(
    r"(?<![A-Za-z])(http|https|asgi|websocket|websockets|litestar|granian|httpx|starlette|status_code|headers?|"
    r"content.type|mime|request\.|response\.)(?![A-Za-z])",
    re.IGNORECASE,
)
NOT_OF_HTTP = {"wav_header"}
FRAMEWORKS = {"livekit", "pipecat"}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


ALL_SOURCES = [path for package in PACKAGES for path in sources(package)]


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ALL_SOURCES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {module.partition(".")[0] for module in imported(path)} & {*PACKAGES, "tests"}
    assert ours <= MAY_IMPORT[package]


def test_app_knows_modes_by_name_only() -> None:
    modules = {module for path in sources("app") for module in imported(path) if module.startswith("modes")}
    assert modules <= {"modes", "modes.registry"}


@pytest.mark.parametrize("path", sources("engines"), ids=name_of)
def test_engines_hold_no_http_word(path: Path) -> None:
    if path.name == "__init__.py" and path.parent.name == "engines":
        return  # it says so
    tree = ast.parse(path.read_text("utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    modules = set(imported(path))
    words = (names | modules) - NOT_OF_HTTP
    assert not {word for word in words if HTTP_WORD.search(word.replace("_", " "))}
    assert not {module for module in modules if module.partition(".")[0] in {"litestar", "granian", "httpx", "http"}}


PROCESSES = {"app/supervisor.py": {"threading", "multiprocessing"}, "app/worker.py": {"multiprocessing"}}
"""What looks after a process from outside of its event loop."""


@pytest.mark.parametrize("path", [path for package in PACKAGES[:2] for path in sources(package)], ids=name_of)
def test_services_and_modes_touch_neither_devices_nor_threads(path: Path) -> None:
    roots = {module.partition(".")[0] for module in imported(path)} - PROCESSES.get(name_of(path), set())
    assert not roots & {"torch", "threading", "_thread", "concurrent", "multiprocessing", "onnxruntime", "hibari"}


def test_the_one_lock_of_the_engine_is_in_its_scheduler() -> None:
    """Fakes hold a gate, and a model may own a pool; the engine itself has one lock."""
    kinds = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"}
    holders = {
        path.name
        for path in sources("engines")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in kinds
    }
    assert holders == {"scheduler.py", "fake.py"}


@pytest.mark.parametrize("path", [*sources("modes"), *sources("engines")], ids=name_of)
def test_nothing_sleeps_in_a_thread(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)]
    assert not [node for node in calls if node.attr == "sleep" and ast.unparse(node.value) == "time"]


@pytest.mark.parametrize("path", ALL_SOURCES, ids=name_of)
def test_no_module_is_a_drawer_for_odds_and_ends(path: Path) -> None:
    words = {word for part in path.relative_to(ROOT).with_suffix("").parts for word in part.split("_")}
    assert not words & FORBIDDEN_NAMES


@pytest.mark.parametrize("path", ALL_SOURCES, ids=name_of)
def test_files_stay_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_importing_app_imports_nothing_heavy() -> None:
    assert not modules_after("import app") & HEAVY


@pytest.mark.slow
def test_importing_a_client_imports_no_server() -> None:
    """Those for frameworks have a test of their own, where these are installed."""
    clients = [path for path in sources("app") if "clients" in path.parts]
    for path in clients:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if FRAMEWORKS & {*parts}:
            continue
        module = ".".join(parts).removesuffix(".__init__")
        assert not modules_after(f"import {module}") & (HEAVY - {"numpy"})


def test_the_fake_needs_no_voice() -> None:
    assert not modules_after("import engines.fake, engines.catalog, engines.engine") & {
        "hibari",
        "onnxruntime",
        "torch",
    }


def test_the_server_needs_no_torch() -> None:
    assert not modules_after("import app.tts, app.serve, engines.hibari") & {"torch", "nemo", "llama_cpp"}
