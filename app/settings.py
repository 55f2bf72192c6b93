"""Settings: one frozen Struct a server, read once from the environment. An unknown or malformed variable stops
start-up; the variables of the other server are known.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from engines.catalog import MODELS, ModelOptions
from engines.llm.engine import TextLimits
from engines.llm.options import MAX_SLOTS as MAX_TEXT_SLOTS
from engines.llm.options import FlashAttention, KvType, LlamaOptions
from engines.magpie.options import DEFAULT_CHECKPOINT, MAX_SLOTS, CodecPrecision, Device, MagpieOptions, Precision
from engines.reading import Lexicon
from engines.types import Limits

PREFIX = "TIDING_"
LLM_PREFIX = "TIDING_LLM_"

SHARED: Final = {
    "host": "TIDING_HOST",
    "log_level": "TIDING_LOG_LEVEL",
    "log_format": "TIDING_LOG_FORMAT",
    "speech_port": "TIDING_PORT",
}
"""Fields of the LLM server that follow a variable of the speech server where they have none of their own: who opens
one of the two to a network, or asks it to say more, means both."""

Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "text", "json"]

_Settings = TypeVar("_Settings", bound=msgspec.Struct)


class SettingsError(Exception):
    """A setting cannot be used as it is. The message names the variable."""


class TtsSettings(msgspec.Struct, frozen=True):
    """The speech server. Each field is the variable of that name in capitals, behind `TIDING_`."""

    host: str = "127.0.0.1"
    port: Port = 8001
    model: str = "hibari"
    modes: tuple[str, ...] = ()  # empty: every mode that is installed
    log_level: LogLevel = "info"
    max_sessions: Count = 1024
    max_waiting_chars: Count = 20_000
    send_rate: Annotated[float, Meta(ge=0)] = 4.0
    markdown: bool = True
    lexicon: str = ""  # empty: none
    log_format: LogFormat = "auto"
    magpie_checkpoint: Annotated[str, Meta(min_length=1)] = DEFAULT_CHECKPOINT
    magpie_codec: str = ""  # empty: the one that the checkpoint names
    magpie_device: Device = "auto"
    magpie_slots: Annotated[int, Meta(ge=0, le=MAX_SLOTS)] = 0  # 0: as many as fit
    magpie_precision: Precision = "auto"
    magpie_codec_precision: CodecPrecision = "auto"

    @property
    def limits(self) -> Limits:
        return Limits(
            max_sessions=self.max_sessions,
            max_waiting_chars=self.max_waiting_chars,
            send_rate=self.send_rate,
            is_markdown=self.markdown,
        )

    @property
    def pronunciations(self) -> Lexicon:
        """Of the file that `lexicon` names.

        Raises:
            SettingsError: there is none, or it is no lexicon.
        """
        try:
            return Lexicon.load(Path(self.lexicon)) if self.lexicon else Lexicon()
        except ValueError as error:
            raise SettingsError(f"{PREFIX}LEXICON: {error}") from None

    @property
    def model_options(self) -> ModelOptions:
        return ModelOptions(
            magpie=MagpieOptions(
                checkpoint=self.magpie_checkpoint,
                codec=self.magpie_codec,
                device=self.magpie_device,
                slots=self.magpie_slots,
                precision=self.magpie_precision,
                codec_precision=self.magpie_codec_precision,
            )
        )


class LlmSettings(msgspec.Struct, frozen=True):
    """The LLM server. Each field is the variable of that name in capitals, behind `TIDING_LLM_`."""

    host: str = "127.0.0.1"
    port: Port = 8002
    model: str = ""  # empty: the embedded one
    context: Count = 8192
    slots: Annotated[int, Meta(ge=1, le=MAX_TEXT_SLOTS)] = 16
    threads: Annotated[int, Meta(ge=0)] = 0  # 0: what is best here
    gpu_layers: Annotated[int, Meta(ge=-1)] = -1  # all of them
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    chat_template: str = ""  # empty: the model's own
    max_sessions: Count = 64
    remembered: Annotated[int, Meta(ge=0)] = 8
    step_ms: Annotated[float, Meta(gt=0)] = 100.0
    origins: tuple[str, ...] = ()  # beside the pages that the speech server serves here
    speech_port: Port = 8001
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"

    @property
    def limits(self) -> TextLimits:
        return TextLimits(max_sessions=self.max_sessions, step_ms=self.step_ms, remembered=self.remembered)

    @property
    def options(self) -> LlamaOptions:
        return LlamaOptions(
            model=self.model,
            gpu_layers=self.gpu_layers,
            context=self.context,
            slots=self.slots,
            threads=self.threads,
            kv_type=self.kv_type,
            flash_attention=self.flash_attention,
            chat_template=self.chat_template,
        )


def read_settings(environment: Mapping[str, str]) -> TtsSettings:
    """The speech server's settings that `environment` holds.

    Raises:
        SettingsError: a `TIDING_` variable is unknown, or the value of one of these is not of its type.
    """
    settings = _read(TtsSettings, PREFIX, environment)
    if settings.model not in MODELS:
        raise SettingsError(f"{PREFIX}MODEL={settings.model!r}: expected one of {', '.join(MODELS)}")
    return settings


def read_llm_settings(environment: Mapping[str, str]) -> LlmSettings:
    """The LLM server's settings that `environment` holds, those that it shares included. Raises as `read_settings`."""
    return _read(LlmSettings, LLM_PREFIX, environment, SHARED)


def _read(
    kind: type[_Settings], prefix: str, environment: Mapping[str, str], shared: Mapping[str, str] | None = None
) -> _Settings:
    _refuse_unknown(environment)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        names = (prefix + field.name.upper(), (shared or {}).get(field.name, ""))
        name = next((name for name in names if name in environment), None)
        if name is not None:
            values[field.name] = _value(name, environment[name], field.type)
    return kind(**values)


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = [*_variables(TtsSettings, PREFIX), *_variables(LlmSettings, LLM_PREFIX)]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            raise SettingsError(f"{name} is not a setting{_nearest(name, known)}")


def _variables(kind: type[msgspec.Struct], prefix: str) -> list[str]:
    return [prefix + field.name.upper() for field in msgspec.structs.fields(kind)]


def _value(name: str, text: str, kind: object) -> object:
    is_list = kind == tuple[str, ...]
    value = [item.strip() for item in text.split(",") if item.strip()] if is_list else text
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}={text!r}: {error}") from None


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.removeprefix(PREFIX), [other.removeprefix(PREFIX) for other in known], n=1)
    return f"; did you mean {PREFIX}{near[0]}?" if near else f"; the settings are {', '.join(known)}"
