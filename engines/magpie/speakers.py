"""The names of a checkpoint's baked voices."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from engines.magpie.archive import CheckpointError, Config
from engines.magpie.shape import Shape
from engines.types import Voice

LOCALE: Final = "en-US"
"""Every voice speaks every language of its checkpoint; these speakers' own is American English."""

_FEMALE = frozenset({"aria", "sofia"})
_MALE = frozenset({"jason", "john", "leo"})

_RELEASED: Final = {
    (5, 110): ("john", "sofia", "aria", "jason", "leo"),
    (5, 217): ("aria", "jason", "john", "leo", "sofia"),
}
"""Voices and positions of each -> names, of released checkpoints that do not hold them: v2602, v2607."""


def read_voices(path: Path, folder: Path, config: Config, shape: Shape) -> tuple[Voice, ...]:
    """Voices in the order of the baked ones: by the checkpoint's own `speaker_map`, else as they are known to be in a
    checkpoint of that shape, else numbered.

    Raises:
        CheckpointError: the checkpoint names other voices than it has.
    """
    said = _said_names(path, folder, config.get("speaker_map"))
    known = _RELEASED.get((shape.num_voices, shape.prefix_len))
    names = said or known or tuple(f"voice-{index + 1}" for index in range(shape.num_voices))
    if len(names) != shape.num_voices or len(set(names)) != len(names):
        raise CheckpointError(f"{path}: it has {shape.num_voices} voices and names for {', '.join(names)}")
    return tuple(Voice(name, LOCALE, _gender(name)) for name in names)


def _said_names(path: Path, folder: Path, speaker_map: Any) -> Sequence[str]:
    """`speaker_map` is a table of names and places, or a file in the archive that holds one (`nemo:` and its name)."""
    if isinstance(speaker_map, str) and speaker_map:
        file = folder / Path(speaker_map.removeprefix("nemo:")).name
        try:
            speaker_map = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: the voices' names in {file.name} cannot be read: {error}") from error
    if not isinstance(speaker_map, dict):
        return ()
    entries = cast(dict[Any, Any], speaker_map).items()
    places = {_place(key, value): _name(key, value) for key, value in entries}
    return tuple(places[place].lower() for place in sorted(places))


def _place(key: Any, value: Any) -> int:
    return int(value if isinstance(value, int) else key)


def _name(key: Any, value: Any) -> str:
    return str(key if isinstance(value, int) else value)


def _gender(name: str) -> str:
    return "female" if name in _FEMALE else "male" if name in _MALE else ""
