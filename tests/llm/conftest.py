"""LLM servers that live as long as the run."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.llm.talking import Served, serve_process

FAKE = ("tests.llm.served",)
REAL = ("app.serve", "llm")


@pytest.fixture(scope="session")
def fake_text_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Remembers nothing: what is used when no stream is open has leaked."""
    with serve_process(*FAKE, log=tmp_path_factory.mktemp("fake-text") / "log", remembered="0") as served:
        yield served


@pytest.fixture(scope="session")
def llama() -> None:
    if find_spec("llama_cpp") is None:
        pytest.skip("llama.cpp is not installed")


@pytest.fixture(scope="session")
def llama_server(llama: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_process(*REAL, log=tmp_path_factory.mktemp("llama") / "log", remembered="0") as served:
        yield served


@pytest.fixture(params=["fake_text", pytest.param("llama", marks=pytest.mark.slow)])
def served(request: pytest.FixtureRequest) -> Served:
    """Each model in turn: the protocol is the same whoever writes."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture(scope="session")
def fake_chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_process(*FAKE, log=tmp_path_factory.mktemp("fake-chat") / "log") as served:
        yield served


@pytest.fixture(scope="session")
def llama_chat_server(llama: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_process(*REAL, log=tmp_path_factory.mktemp("llama-chat") / "log") as served:
        yield served


@pytest.fixture(params=["fake_chat", pytest.param("llama_chat", marks=pytest.mark.slow)])
def chat_server(request: pytest.FixtureRequest) -> Served:
    """Each model in turn, with what it remembers."""
    return request.getfixturevalue(f"{request.param}_server")
