"""Which voice a name means.

A client with a built-in voice list must work against any model, so the names of OpenAI's voices and of Magpie's five
always resolve: to the voice of that name where the model has one, else to one of the same gender, else to the first.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from engines.errors import UnknownVoice
from engines.types import Voice

DEFAULT_VOICE: Final = "aria"

WELL_KNOWN: Final = {
    "aria": "female", "john": "male", "sofia": "female", "jason": "male", "leo": "male",
    "alloy": "female", "ash": "male", "ballad": "male", "coral": "female", "echo": "male", "fable": "male",
    "nova": "female", "onyx": "male", "sage": "female", "shimmer": "female", "verse": "male", "marin": "female",
    "cedar": "male",
}  # fmt: skip
"""Name -> gender. Source: Magpie's model card; OpenAI's text-to-speech guide (voice options)."""


class VoiceBook:
    """The voices of a loaded model, by name and alias, in any case. Immutable; any thread."""

    def __init__(self, voices: Sequence[Voice]) -> None:
        assert voices, "a model has at least one voice"
        own = {voice.name.lower(): voice for voice in voices}
        aliases = {
            name: _stand_in(voices, gender, turn)
            for turn, (name, gender) in enumerate(WELL_KNOWN.items())
            if name not in own
        }
        self.voices = tuple(
            msgspec.structs.replace(voice, aliases=tuple(a for a, v in aliases.items() if v is voice))
            for voice in voices
        )
        self._by_name = {name: voice for voice in self.voices for name in (voice.name.lower(), *voice.aliases)}

    def resolve(self, name: str) -> Voice:
        """The voice that `name` means.

        Raises:
            UnknownVoice: neither a voice of this model nor a well-known name.
        """
        voice = self._by_name.get(name.strip().lower())
        if voice is None:
            raise UnknownVoice(name, [*(v.name for v in self.voices), *(a for v in self.voices for a in v.aliases)])
        return voice


def _stand_in(voices: Sequence[Voice], gender: str, turn: int) -> Voice:
    same = [voice for voice in voices if voice.gender == gender] or voices
    return same[turn % len(same)]
