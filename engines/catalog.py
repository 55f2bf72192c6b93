"""The models there are, by the name that a setting gives. One engine more is one line more."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeAlias

import msgspec

from engines.fake import FakeModel
from engines.magpie.options import MagpieOptions
from engines.model import Loader, Model, Wake


class ModelMissing(Exception):
    """What a model needs is not installed. The message says how to install it."""


class ModelOptions(msgspec.Struct, frozen=True):
    """What an operator may choose, model by model."""

    magpie: MagpieOptions = MagpieOptions()


def _hibari(_: ModelOptions) -> Loader:
    from engines.hibari import load

    return load


def _fake(_: ModelOptions) -> Loader:
    return FakeModel


def _magpie(options: ModelOptions) -> Loader:
    missing = [name for name in ("torch", "nemo") if find_spec(name) is None]
    if missing:
        raise ModelMissing(
            f"the model magpie needs what is not installed here ({', '.join(missing)}): `just setup-magpie` in a "
            "checkout, or pip install 'tiding[magpie]'"
        )

    def load_magpie(wake: Wake) -> Model:  # imports torch on the device thread: health is answered meanwhile
        from engines.magpie.model import load

        return load(options.magpie)(wake)

    return load_magpie


Choice: TypeAlias = Callable[[ModelOptions], Loader]

MODELS: dict[str, Choice] = {"hibari": _hibari, "fake": _fake, "magpie": _magpie}
"""Name -> its loader. Calling it imports what the model needs, and no other model's libraries.

Raises: ModelMissing where that is not installed.
"""
