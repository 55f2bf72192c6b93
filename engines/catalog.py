"""The models there are, by the name that a setting gives. One engine more is one line more."""

from collections.abc import Callable

from engines.fake import FakeModel
from engines.model import Loader


def _hibari() -> Loader:
    from engines.hibari import load

    return load


def _fake() -> Loader:
    return FakeModel


MODELS: dict[str, Callable[[], Loader]] = {"hibari": _hibari, "fake": _fake}
"""Name -> its loader. Calling it imports what the model needs, and no other model's libraries."""
