"""What `.venv-clients` is: the frameworks as locked, and the server beside them."""

import re
from importlib.metadata import version

import pytest

from tests.serving import ROOT

LOCKED = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "locks/clients.txt").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", ["pipecat-ai", "livekit-agents", "livekit-plugins-openai", "litestar", "granian"])
def test_packages_are_those_of_the_lock(name: str) -> None:
    assert version(name) == LOCKED[name]
