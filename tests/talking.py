"""The client of `docs/how-to/talk/talk.py`, for tests and for `tests.bench.talk`: what is documented is what is run."""

import importlib.util
import sys
from typing import Any

from tests.serving import ROOT

PATH = ROOT / "docs" / "how-to" / "talk" / "talk.py"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("talk_example", PATH)
    assert spec is not None, f"{PATH} is a module"
    assert spec.loader is not None, f"{PATH} is a module"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


example = _load()
Talk = example.Talk
Timeline = example.Timeline
