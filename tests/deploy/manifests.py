"""What docs/how-to/deploy/ holds, read."""

import json
from pathlib import Path
from typing import Any, Final

import yaml
from litestar import Litestar

from app import llm, tts
from app.settings import LlmSettings, TtsSettings
from engines.llm.fake import FakeText
from tests.serving import ROOT

FOLDER: Final = ROOT / "docs/how-to/deploy"
SYSTEMD: Final = FOLDER / "systemd"
SCALED_OBJECT: Final = json.loads((Path(__file__).parent / "scaled_object.json").read_text())

APPS: Final[dict[str, Litestar]] = {
    "speech": tts.create_app(TtsSettings(model="fake")),
    "llm": llm.create_app(LlmSettings(), load=FakeText),
}
PORTS: Final = {"speech": TtsSettings().port, "llm": LlmSettings().port}
ARGUMENTS: Final = {"speech": "tts", "llm": "llm"}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


KUBERNETES: Final = [
    document for path in sorted((FOLDER / "kubernetes").glob("*.yaml")) for document in documents(path)
]
COMPOSE: Final = {name: documents(FOLDER / name)[0] for name in ("compose.yaml", "compose.cuda.yaml")}


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """By the component that each is about: `speech` or `llm`."""
    found = [document for document in KUBERNETES if document["kind"] == kind]
    return {document["metadata"]["name"].removeprefix("tiding-"): document for document in found}


def pod_of(component: str) -> dict[str, Any]:
    return of_kind("Deployment")[component]["spec"]["template"]["spec"]


def container_of(component: str) -> dict[str, Any]:
    (container,) = pod_of(component)["containers"]
    return container


def paths_of(component: str) -> set[str]:
    return {route.path for route in APPS[component].routes}


def drain_s(component: str) -> float:
    """How long a drain may take, by default."""
    settings = TtsSettings() if component == "speech" else LlmSettings()
    return getattr(settings, "drain_s", 0.0)
