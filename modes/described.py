"""What the OpenAPI document says of answers that are audio: every content type they may have."""

from dataclasses import dataclass
from typing import Final

from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from engines.formats import FORMATS, audio_form
from modes.speech_events import MEDIA_TYPE

OPENS_SESSION: Final = {"opens_session": True}
"""The `opt` of a handler that cannot be served when no session can be opened: the server need not ask it then."""

_BYTES: Final = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
_EVENTS: Final = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))


@dataclass
class OptionalBody(Operation):
    """A path whose body may be left out."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False


@dataclass
class AudioOperation(Operation):
    """A path whose 200 is audio, in any of the formats."""

    def __post_init__(self) -> None:
        forms = [audio_form(name, 24_000, "pcm_s16le") for name in FORMATS]
        self.describe({form.media_type: _BYTES for form in forms})

    def describe(self, content: dict[str, OpenAPIMediaType]) -> None:
        """Say what the body of a 200 may be."""
        answer = (self.responses or {}).get("200")
        if isinstance(answer, OpenAPIResponse):
            answer.content = content
            answer.description = "Audio"


@dataclass
class SpeechOperation(AudioOperation):
    """A path whose 200 is audio, or events that carry it."""

    def describe(self, content: dict[str, OpenAPIMediaType]) -> None:
        super().describe(content | {MEDIA_TYPE: _EVENTS})
