"""Settings: one frozen Struct a server, read once from the environment. An unknown or malformed variable stops
start-up; the variables of the other server are known.

The docstring of a field is its row in the reference, which `just settings-page` writes: it begins with what is set, and
may link to other pages as seen from there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from app.setting_values import ValueRefused, nearest, read_value
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
    "api_keys": "TIDING_API_KEYS",
    "origins": "TIDING_ORIGINS",
    "trusted_proxies": "TIDING_TRUSTED_PROXIES",
    "speech_port": "TIDING_PORT",
    "drain_s": "TIDING_DRAIN_S",
    "send_timeout_s": "TIDING_SEND_TIMEOUT_S",
}
"""Fields of the LLM server that follow a variable of the speech server where they have none of their own: who opens
one of the two to a network, or asks it to say more, means both."""

SHARED_WITH_LLM: Final = {"page_llm_port": "TIDING_LLM_PORT"}
"""The same for the speech server."""

Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
SendTimeout: TypeAlias = Annotated[float, Meta(ge=0, le=86_400)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Sha256: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z", description="64 hexadecimal digits", examples=["0" * 64])
]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "text", "json"]

_Settings = TypeVar("_Settings", bound=msgspec.Struct)


class SettingsError(Exception):
    """A setting cannot be used as it is. The message names the variable."""


class TtsSettings(msgspec.Struct, frozen=True):
    """The speech server. Each field is the variable of that name in capitals, behind `TIDING_`."""

    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` is every one of the machine's, and then `TIDING_API_KEYS` should be set."""
    port: Port = 8001
    """The port to listen on."""
    model: str = "hibari"
    """The voice model: `hibari`; `magpie`, below; or `fake`, which makes tones at once, for tests."""
    modes: tuple[str, ...] = ()
    """The modes to serve; empty: every mode that is installed."""
    log_level: LogLevel = "info"
    """How much is logged: lines of this level and above."""
    max_sessions: Count = 1024
    """Open sessions at once; above it a request gets 503, and `/ready` says `full`."""
    max_contexts: Count = 32
    """[Contexts](websocket.md#contexts) of one WebSocket that may have something to speak at once; above it a new one
    gets an `error`."""
    max_waiting_chars: Count = 20_000
    """Characters that may wait in one session; above it, 413."""
    send_rate: Annotated[float, Meta(ge=0)] = 4.0
    """How fast a WebSocket is sent audio, in times real time, where `init` does not say; 0: as fast as the socket takes
    it."""
    markdown: bool = True
    """Whether Markdown is read as a person would read it aloud, where a request does not say."""
    lexicon: str = ""
    """The path of a [lexicon](text.md#lexicon): a JSON object of words and how they are said. Empty: none."""
    log_format: LogFormat = "auto"
    """`text` is for people, `json` an object a line; `auto`: text on a terminal, else JSON."""
    page: bool = True
    """Whether the [playground](../how-to/playground.md) is served at `/`."""
    page_llm_port: Port = 8002
    """Where the playground looks for the LLM server, at the same name as its own."""
    drain_s: Seconds = 25.0
    """Seconds that what has been begun may take to its end once the server is to
    [end](../how-to/operate.md#end-it); what is left then is cut off."""
    send_timeout_s: SendTimeout = 60.0
    """Seconds for which a client may take nothing of what it is sent: then its connection is ended, and what it held is
    free. 0: for ever."""
    stall_s: Annotated[float, Meta(gt=0)] = 10.0
    """Seconds that a step of the device may take while somebody waits: after that `/ready` says `stalled`, and after
    twice as long the process is [replaced](../how-to/operate.md#what-it-does-when-something-fails)."""
    magpie_checkpoint: Annotated[str, Meta(min_length=1)] = DEFAULT_CHECKPOINT
    """The path of a `.nemo` file, or a name on the Hugging Face hub: `owner/name`, or `owner/name@revision`."""
    magpie_codec: str = ""
    """The codec, in the same way. Empty: the one that the checkpoint names, or a file of that name beside the
    checkpoint."""
    magpie_sha256: Sha256 = ""
    """What the checkpoint's file has to have; another file [stops the start](../how-to/deploy.md#pin-the-weights).
    Empty: any will do."""
    magpie_codec_sha256: Sha256 = ""
    """The same of the codec's file."""
    magpie_device: Device = "auto"
    """Where it computes; `auto`: on the GPU where there is one."""
    magpie_slots: Annotated[int, Meta(ge=0, le=MAX_SLOTS)] = 0
    """Sentences that are made at the same time. 0: as many as fit into free memory, at most 256, and 4 on a CPU."""
    magpie_precision: Precision = "auto"
    """Of the decoder; `auto`: bfloat16 on a GPU, float32 on a CPU."""
    magpie_codec_precision: CodecPrecision = "auto"
    """Of the codec; `auto`: float16 on a GPU, float32 on a CPU."""
    max_line: Annotated[int, Meta(ge=0)] = 4
    """Sessions that are let in beyond the model's slots and take turns; above it a request gets 503 at once."""
    max_wait_s: Annotated[float, Meta(gt=0)] = 5.0
    """How long a listener's first sentence waits for a slot, in seconds, before it is given up with 503."""
    max_client_sessions: Annotated[int, Meta(ge=0)] = 0
    """Open sessions of one client; above it, 429. 0: as many as there may be at all."""
    max_request_chars: Count = 20_000
    """Characters in one request, or one message of a socket; above it, 413."""
    max_message_bytes: Annotated[int, Meta(ge=1024)] = 4 * 1024 * 1024
    """Bytes of a body, above which it is refused with 413, or of a socket's message, which then gets an `error`."""
    max_sockets: Count = 2048
    """Open WebSockets; above it, 503 in place of the handshake."""
    max_client_sockets: Annotated[int, Meta(ge=0)] = 1024
    """Open WebSockets of one client; above it, 429 in place of the handshake. 0: as many as there may be at all."""
    api_keys: tuple[str, ...] = ()
    """The keys of which one has to come with a request; an item that begins with `@`, `/` or `./` is the path of a file
    with one a line. Empty: nobody is asked for one."""
    origins: tuple[str, ...] = ()
    """Pages that may use this server from a browser beside its own: `https://example.com`; a `*` stands for any part,
    one alone for every page. Its own must be listed too where it is reached by another name than `localhost`, there
    are no keys and `TIDING_HOST` is this machine alone."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose `X-Forwarded-For` says who a client is; `*`: whoever connects."""
    log_text: bool = False
    """Whether the text that was spoken is in the log line of its request."""

    @property
    def limits(self) -> Limits:
        return Limits(
            max_sessions=self.max_sessions,
            max_contexts=self.max_contexts,
            max_client_sessions=self.max_client_sessions,
            max_line=self.max_line,
            max_wait_s=self.max_wait_s,
            max_waiting_chars=self.max_waiting_chars,
            max_request_chars=self.max_request_chars,
            max_message_bytes=self.max_message_bytes,
            send_rate=self.send_rate,
            is_markdown=self.markdown,
            is_text_logged=self.log_text,
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
                sha256=self.magpie_sha256,
                codec_sha256=self.magpie_codec_sha256,
            )
        )


class LlmSettings(msgspec.Struct, frozen=True):
    """The LLM server. Each field is the variable of that name in capitals, behind `TIDING_LLM_`."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Port = 8002
    """The port to listen on."""
    model: str = ""
    """The path of a GGUF file; empty: SmolLM2-135M-Instruct, which comes with the package."""
    sha256: Sha256 = ""
    """What the model's file has to have; another file [stops the start](../how-to/deploy.md#pin-the-weights). Empty:
    any will do."""
    context: Count = 8192
    """Cells: tokens that all conversations together may hold in the cache; none is longer, nor longer than the model
    was trained for."""
    slots: Annotated[int, Meta(ge=1, le=MAX_TEXT_SLOTS)] = 16
    """Conversations that are in the cache at the same time; others are put aside and brought back."""
    threads: Annotated[int, Meta(ge=0)] = 0
    """Of the processor, for a step. 0: half of its cores for a step of one token, all for others."""
    gpu_layers: Annotated[int, Meta(ge=-1)] = -1
    """Layers on the GPU, where llama.cpp was compiled for one; -1: all."""
    kv_type: KvType = "f16"
    """How the cache keeps numbers."""
    flash_attention: FlashAttention = "auto"
    """Whether attention is computed in blocks; caches below 16 bits need it."""
    read_aside: bool = True
    """On a CPU: whether a prompt longer than a batch is read apart from those who write, a few operations at a time, so
    that both [get on](../explanation/pausing.md#prompts-beside-those-who-write). It takes the memory of the cache once
    more."""
    chat_template: str = ""
    """A Jinja template, or the path of one; empty: the model's own."""
    max_sessions: Count = 64
    """Open streams and chats at once; above it an error, or 503."""
    remembered: Annotated[int, Meta(ge=0)] = 8
    """Chats over HTTP whose cache is kept when they are over, for their next turn."""
    step_ms: Annotated[float, Meta(gt=0)] = 150.0
    """How long others wait for a token at most, in milliseconds, while a prompt is read beside them, as far as their
    own steps leave it any time: less lets them wait less, and the prompt longer."""
    origins: tuple[str, ...] = ()
    """[Pages](llm.md#pages-of-other-servers) that may talk to this server beside those that the speech server serves:
    `https://example.com`; a `*` stands for any part, one alone for every page."""
    speech_port: Port = 8001
    """Where the speech server serves such pages."""
    log_level: LogLevel = "info"
    """How much is logged: lines of this level and above."""
    log_format: LogFormat = "auto"
    """`text` is for people, `json` an object a line; `auto`: text on a terminal, else JSON."""
    drain_s: Seconds = 25.0
    """Seconds that what has been begun may take to its end once the server is to
    [end](../how-to/operate.md#end-it); what is left then is cut off."""
    send_timeout_s: SendTimeout = 60.0
    """Seconds for which a client may take nothing of what it is sent: then its connection is ended. 0: for ever."""
    stall_s: Annotated[float, Meta(gt=0)] = 60.0
    """Seconds that a step of the device may take while somebody waits: after that `/ready` says `stalled`, and after
    twice as long the process is [replaced](../how-to/operate.md#what-it-does-when-something-fails)."""
    max_line: Annotated[int, Meta(ge=0)] = 0
    """Streams and chats that may wait for one of the slots to write; above it an error, or 503 at once."""
    max_wait_s: Annotated[float, Meta(gt=0)] = 10.0
    """How long a new stream or chat waits for a slot, in seconds, before it is given up with an error, or 503."""
    max_client_sessions: Annotated[int, Meta(ge=0)] = 0
    """Open streams and chats of one client; above it an error, or 429. 0: as many as there may be at all."""
    max_message_bytes: Annotated[int, Meta(ge=1024)] = 4 * 1024 * 1024
    """Bytes of a body, above which it is refused with 413, or of a socket's message, which then gets an error."""
    max_sockets: Count = 2048
    """Open WebSockets; above it, 503 in place of the handshake."""
    max_client_sockets: Annotated[int, Meta(ge=0)] = 1024
    """Open WebSockets of one client; above it, 429 in place of the handshake. 0: as many as there may be at all."""
    api_keys: tuple[str, ...] = ()
    """The keys of which one has to come with a request, as those of the speech server."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose `X-Forwarded-For` says who a client is; `*`: whoever connects."""

    @property
    def limits(self) -> TextLimits:
        return TextLimits(
            max_sessions=self.max_sessions,
            max_client_sessions=self.max_client_sessions,
            max_line=self.max_line,
            max_wait_s=self.max_wait_s,
            step_ms=self.step_ms,
            remembered=self.remembered,
        )

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
            read_aside=self.read_aside,
            chat_template=self.chat_template,
            sha256=self.sha256,
        )


def read_settings(environment: Mapping[str, str]) -> TtsSettings:
    """The speech server's settings that `environment` holds.

    Raises:
        SettingsError: a `TIDING_` variable is unknown, or the value of one of these is not of its type.
    """
    settings = _read(TtsSettings, PREFIX, environment, SHARED_WITH_LLM)
    if settings.model not in MODELS:
        near = nearest(settings.model.lower(), list(MODELS))
        meant = f"; did you mean {near}?" if near else ""
        raise SettingsError(f"{PREFIX}MODEL={settings.model!r}: expected one of {', '.join(MODELS)}{meant}")
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
            raise SettingsError(f"{name} is not a setting{_meant(name, known)}")


def _variables(kind: type[msgspec.Struct], prefix: str) -> list[str]:
    return [prefix + field.name.upper() for field in msgspec.structs.fields(kind)]


def _value(name: str, text: str, kind: object) -> object:
    try:
        return read_value(text, kind)
    except ValueRefused as error:
        raise SettingsError(f"{name}={text!r}: {error}") from None


def _meant(name: str, known: list[str]) -> str:
    near = nearest(name.removeprefix(PREFIX).upper(), [other.removeprefix(PREFIX) for other in known])
    return f"; did you mean {PREFIX}{near}?" if near else f"; the settings are {', '.join(known)}"
