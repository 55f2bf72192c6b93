"""A bot that imports a service of ours gets its framework and that service, not the server."""

import pytest

from tests.importing import HEAVY, modules_after
from tests.serving import ROOT

FRAMEWORKS = {"livekit": "livekit.agents", "pipecat": "pipecat.services.tts_service"}
SERVICES = [name for name in FRAMEWORKS if [*(ROOT / "app/clients").glob(f"{name}*")]]


@pytest.mark.parametrize("name", SERVICES)
def test_importing_a_service_imports_no_server(name: str) -> None:
    of_the_framework = modules_after(f"import {FRAMEWORKS[name]}")
    assert not (modules_after(f"import app.clients.{name}") - of_the_framework) & HEAVY
