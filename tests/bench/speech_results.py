"""What a run of the speech server's benchmark has found: frozen records, which are its JSON as well."""

import msgspec

from tests.bench.speech_figures import Shares
from tests.bench.speech_modes import Mode


class Machine(msgspec.Struct, frozen=True):
    """Where and when. `load` is the average of the last minute, before and after."""

    num_cores: int
    processor: str
    python: str
    date: str
    commit: str
    load: tuple[float, float]


class Alone(msgspec.Struct, frozen=True):
    """One client with one sentence, warm, and the bare model with what that mode speaks first, in turns."""

    num_streams: int
    served_ms: Shares
    bare_ms: Shares

    @property
    def ratio(self) -> float:
        """Served to bare, both p50."""
        return self.served_ms.p50 / self.bare_ms.p50


class Interrupted(msgspec.Struct, frozen=True):
    """From `cancel` to the last byte of audio and to the answer, and the bytes in between."""

    last_byte_ms: Shares
    answer_ms: Shares
    num_late_bytes: Shares


class Crowd(msgspec.Struct, frozen=True):
    """Clients that start at once, each with a talk of three sentences; and as many callers of the bare model at once,
    in turns. `audio_s_per_s` is over all clients, processor time in percent of one core.
    """

    num_clients: int
    num_streams: int
    first_ms: Shares
    bare_ms: Shares
    rtf: Shares
    underrun_s: Shares
    audio_s_per_s: float
    server_percent: float
    clients_percent: float
    interrupted: Interrupted | None


class ModeResult(msgspec.Struct, frozen=True):
    """One mode, on a server of its own. `cold_ms` is the first audio of the very first request."""

    mode: Mode
    ready_s: float
    cold_ms: float
    alone: Alone | None
    crowds: list[Crowd]
    memory_mb: float
    peak_mb: float


class Stage(msgspec.Struct, frozen=True):
    """A point on the way to the first audio: when it was passed, and how long after the point before (medians)."""

    name: str
    at_ms: float
    took_ms: float


class Profile(msgspec.Struct, frozen=True):
    """The way of one client's first audio, from the sending of its text."""

    mode: Mode
    num_streams: int
    stages: list[Stage]
    bare_ms: float


class Results(msgspec.Struct, frozen=True):
    """All of one run."""

    machine: Machine
    modes: list[ModeResult]
    profiles: list[Profile]
