"""What this server is and what it can say: read-only routes that any client may ask before it speaks."""

from collections.abc import Sequence

import msgspec
from litestar import get
from litestar.types import ControllerRouterHandler

from app.errors import refusals
from app.gate import OPEN
from engines.encoders import DEFAULT_RATE_HZ
from engines.engine import Engine

SERVED_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""Names that clients of OpenAI's API ask for; every one of them means the loaded model."""


class Health(msgspec.Struct, frozen=True):
    """`status` is "healthy" or "loading" (or "failed", shortly before the process ends)."""

    status: str
    model_loaded: bool


class Config(msgspec.Struct, frozen=True):
    """The default audio format, and what the loaded model offers."""

    sample_rate: int
    channels: int
    encoding: str
    voices: list[str]
    languages: list[str]
    model: str
    modes: list[str]


class VoiceEntry(msgspec.Struct, frozen=True):
    """A voice, and the other names that it answers to."""

    id: str
    name: str
    language: str
    gender: str
    aliases: list[str]


class VoiceList(msgspec.Struct, frozen=True):
    voices: list[VoiceEntry]
    data: list[VoiceEntry]
    object: str = "list"


class ModelEntry(msgspec.Struct, frozen=True):
    """A model in OpenAI's shape. `created` is 0: the model has no date of its own."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "tiding"


class ModelList(msgspec.Struct, frozen=True):
    data: list[ModelEntry]
    object: str = "list"


def describe(engine: Engine, mode_names: Sequence[str]) -> list[ControllerRouterHandler]:
    """The routes. They read the engine when they are asked, not before."""

    @get("/health", opt=OPEN, summary="The process is alive")
    async def health() -> Health:
        names = {"ready": "healthy", "failed": "failed", "closed": "failed"}
        return Health(names.get(engine.state, "loading"), engine.state == "ready")

    @get("/v1/audio/config", summary="Format, voices, languages", responses=refusals(503, 500))
    async def config() -> Config:
        return Config(
            sample_rate=DEFAULT_RATE_HZ,
            channels=1,
            encoding="pcm_s16le",
            voices=[voice.name for voice in engine.voices],
            languages=list(engine.languages),
            model=engine.model_name,
            modes=list(mode_names),
        )

    @get("/v1/audio/voices", summary="Voices and their aliases", responses=refusals(503, 500))
    async def voices() -> VoiceList:
        entries = [
            VoiceEntry(voice.name, voice.name, voice.locale, voice.gender, list(voice.aliases))
            for voice in engine.voices
        ]
        return VoiceList(voices=entries, data=entries)

    @get("/v1/models", summary="Models, in OpenAI's shape", responses=refusals(503, 500))
    async def models() -> ModelList:
        return ModelList([ModelEntry(name) for name in (engine.model_name, *SERVED_MODELS)])

    return [health, config, voices, models]
