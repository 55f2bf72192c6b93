"""Settings: one frozen Struct, read once from the environment. An unknown or malformed variable stops start-up."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from engines.catalog import MODELS, ModelOptions
from engines.magpie.options import DEFAULT_CHECKPOINT, MAX_SLOTS, CodecPrecision, Device, MagpieOptions, Precision
from engines.types import Limits

PREFIX = "TIDING_"

Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]


class SettingsError(Exception):
    """A setting cannot be used as it is. The message names the variable."""


class TtsSettings(msgspec.Struct, frozen=True):
    """The speech server. Each field is the variable of that name in capitals, behind `TIDING_`."""

    host: str = "127.0.0.1"
    port: Port = 8001
    model: str = "hibari"
    modes: tuple[str, ...] = ()  # empty: every mode that is installed
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    max_sessions: Count = 1024
    max_waiting_chars: Count = 20_000
    send_rate: Annotated[float, Meta(ge=0)] = 4.0
    magpie_checkpoint: Annotated[str, Meta(min_length=1)] = DEFAULT_CHECKPOINT
    magpie_codec: str = ""  # empty: the one that the checkpoint names
    magpie_device: Device = "auto"
    magpie_slots: Annotated[int, Meta(ge=0, le=MAX_SLOTS)] = 0  # 0: as many as fit
    magpie_precision: Precision = "auto"
    magpie_codec_precision: CodecPrecision = "auto"

    @property
    def limits(self) -> Limits:
        return Limits(
            max_sessions=self.max_sessions, max_waiting_chars=self.max_waiting_chars, send_rate=self.send_rate
        )

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


def read_settings(environment: Mapping[str, str]) -> TtsSettings:
    """The settings that `environment` holds.

    Raises:
        SettingsError: a `TIDING_` variable is unknown, or its value is not of its type.
    """
    fields = {PREFIX + field.name.upper(): field for field in msgspec.structs.fields(TtsSettings)}
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    for name in given:
        if name not in fields:
            raise SettingsError(f"{name} is not a setting{_nearest(name, list(fields))}")
    values: dict[str, Any] = {fields[name].name: _value(name, text, fields[name].type) for name, text in given.items()}
    settings = TtsSettings(**values)
    if settings.model not in MODELS:
        raise SettingsError(f"{PREFIX}MODEL={settings.model!r}: expected one of {', '.join(MODELS)}")
    return settings


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
