"""What may be changed of a speech service while it runs, and how that is said to the server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipecat.services.settings import TTSSettings
from pipecat.utils.types import NOT_GIVEN, NotGiven, is_given

_OURS: Final = ("voice", "language", "speed", "seed", "temperature", "top_k", "cfg_scale", "markdown", "lexicon")


@dataclass
class TidingTTSSettings(TTSSettings):
    """Settings of the speech services. What is None is as the server says.

    Parameters:
        speed: In times the voice's own pace, at its own pitch; 0.25 to 4.
        seed: The same text, voice and seed give the same sound.
        temperature: How freely the voice is sampled; 0 is greedy.
        top_k: From how many of the likeliest codes each one is drawn.
        cfg_scale: How closely speech is held to its text.
        markdown: Whether Markdown is read as a person would read it aloud.
        lexicon: Words and how they are said.
    """

    speed: float | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    seed: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    temperature: float | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    top_k: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    cfg_scale: float | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    markdown: bool | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    lexicon: Mapping[str, str] | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)


def complete(settings: TidingTTSSettings | None) -> TidingTTSSettings:
    """All settings: those that were given, and for the others the server's own."""
    whole = TidingTTSSettings(model=None, **dict.fromkeys(_OURS))
    if settings is not None:
        whole.apply_update(settings)
    return whole


def manner_of(settings: TidingTTSSettings) -> dict[str, Any]:
    """The fields of a request."""
    values = {name: getattr(settings, name) for name in _OURS}
    return {name: value for name, value in values.items() if value is not None and is_given(value)}
