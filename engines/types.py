"""The nouns that cross between text, engine and wire. All immutable.

Shapes: N samples, mono. Times are milliseconds of audio counted from the first sample that the session delivered;
positions are character offsets into all the text that was pushed into the session.
"""

from enum import Enum
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.reading.spoken import Sound

Pcm: TypeAlias = NDArray[np.float32]
"""(N,) float32 samples in -1..1."""

Granularity: TypeAlias = Literal["word", "clause", "sentence"]
"""The smallest piece of text worth a segment of its own."""

Cutting: TypeAlias = Granularity | Literal["early", "adaptive"]
"""How text becomes segments: always alike; a clause first and sentences after; or by the listener's buffer."""


class Boundary(Enum):
    """What stands at the end of a segment: how long a speaker would rest there."""

    NONE = "none"  # cut for length or on demand, in the middle of a phrase
    CLAUSE = "clause"
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"


class AudioFormat(msgspec.Struct, frozen=True):
    """What a model makes: float32 mono at `sample_rate_hz`, in steps of at most `frame_samples`."""

    sample_rate_hz: int
    frame_samples: int

    def num_samples(self, duration_s: float) -> int:
        return round(duration_s * self.sample_rate_hz)


class Voice(msgspec.Struct, frozen=True):
    """A speaker identity of the loaded model. `locale` is a BCP 47 tag; `gender` is "female", "male" or "".

    `aliases` are names of other systems' voices that this one answers to.
    """

    name: str
    locale: str
    gender: str = ""
    aliases: tuple[str, ...] = ()


class Segment(msgspec.Struct, frozen=True):
    """A piece of an utterance that is synthesised as one unit, at `start` in the session's text.

    `boundary` is how it ends; `pause_before_ms` is the silence put in front of it. What a model gets is as it is read
    aloud, `start` counts in that, and `sounds` say how some of its words are pronounced, whatever they look like.
    """

    text: str
    start: int
    boundary: Boundary = Boundary.SENTENCE
    pause_before_ms: float = 0.0
    sounds: tuple[Sound, ...] = ()

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Word(msgspec.Struct, frozen=True):
    """One word as the client wrote it: when it sounds, and where it stands in the pushed text."""

    text: str
    start_ms: float
    end_ms: float
    char_start: int
    char_end: int


class ChunkSizes(msgspec.Struct, frozen=True):
    """How much audio is wanted at once, in frames of 46.44 ms: first in a segment, and later in it.

    A hint to models that make audio in chunks. It changes when audio comes, not what it is.
    """

    first: int = 4
    later: int = 8


SMALL_CHUNKS: Final = ChunkSizes()
"""For a listener who waits."""


class Params(msgspec.Struct, frozen=True):
    """What a session asks of the model for a segment. The same text, voice and params give the same audio.

    `speed` is in times the model's own pace; what is outside of the model's range is stretched by whoever runs it.
    `language` is a primary subtag of those that the model speaks. `temperature` (0: greedy), `top_k` and `cfg_scale`
    are the sampler's; None is the model's own choice. `first_chunk_frames` and `chunk_frames` are the `ChunkSizes` that
    are wanted, of this segment. A model ignores what it has no use for.
    """

    language: str = "en"
    seed: int = 0
    temperature: float | None = None
    top_k: int | None = None
    cfg_scale: float | None = None
    first_chunk_frames: int = 4
    chunk_frames: int = 8
    speed: float = 1.0


class Frame(msgspec.Struct, frozen=True):
    """One step's worth of a session's audio.

    `segment` counts from 1. `words` ended within this frame, or before it where the model knew no sooner. `text_end` is
    the character position up to which the audio delivered so far, this frame included, has spoken. `label` is what the
    text was pushed with.
    """

    pcm: Pcm
    segment: int
    is_segment_end: bool = False
    words: tuple[Word, ...] = ()
    text_end: int = 0
    label: object = None


class Limits(msgspec.Struct, frozen=True):
    """What the engine grants a session, and how it paces itself. Times in seconds of audio unless said otherwise."""

    max_sessions: int = 1024
    max_contexts: int = 32  # that speak on one socket at once
    max_client_sessions: int = 0  # of one client; 0: all of them
    max_line: int | None = None  # sessions let in beyond the model's slots; None: any number
    max_wait_s: float | None = None  # wall time, of a newcomer for a slot; None: any
    max_waiting_chars: int = 20_000
    max_request_chars: int = 20_000  # in one request, or one message
    max_message_bytes: int = 4 * 1024 * 1024  # of a message of a socket
    max_segment_chars: int = 160
    max_queued_s: float = 1.0
    small_buffer_s: float = 1.0
    idle_flush_s: float = 0.3  # wall time
    send_rate: float = 4.0  # of a socket, in times real time; 0: as fast as it takes it
    is_markdown: bool = True  # read as a person would read it aloud
    is_text_logged: bool = False
