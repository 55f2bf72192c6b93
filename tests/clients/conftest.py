"""What the tests of clients for other frameworks share: servers, and frameworks that stay quiet."""

import os
import warnings
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before a framework is imported that might look for a model elsewhere

with warnings.catch_warnings(action="ignore"):  # what they say of themselves when they are imported fails no test
    import livekit.agents  # noqa: F401
    import pipecat.services.tts_service  # noqa: F401

from tests.llm.conftest import chat_server, fake_chat_server, llama, llama_chat_server

__all__ = ["chat_server", "fake_chat_server", "llama", "llama_chat_server"]

NOT_OURS = ("pipecat", "livekit", "openai", "aiohttp", "google", "opentelemetry", "pydantic", "websockets", "av")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A warning is an error here as elsewhere, but not one from inside what is only tested with. These tests speak to
    real servers through a whole framework: all are slow.
    """
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(pytest.mark.slow)
            for module in NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(rf"ignore:::{module}(\..*)?"))
