"""A deterministic model for tests: it writes from a script, with as few slots and cells as a test wants.

A token is a word with the space in front of it, or a mark. What comes next depends on nothing but the tokens that a
slot holds and, where the temperature is not 0, on the sampler's past: so a sequence that was lost, doubled or put back
in the wrong place writes something else. Misuse is an AssertionError.
"""

import itertools
import random
import re
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from engines.fake import Gate
from engines.llm.model import Run, Sampler
from engines.llm.types import Message, Messages, Sampling

Script: TypeAlias = Callable[[str], Sequence[str | bytes]]
"""From a rendered conversation to the answer's tokens: words, or bytes where a character is to take several tokens."""

_PIECES: Final = re.compile(r"<\w+>|\s*\w+|\s*[^\w\s]|\s+")
_ASKING: Final = "<assistant>"
_END: Final = "<end>"


def words_of(text: str) -> list[str]:
    """A text as the tokens that a script may give."""
    return _PIECES.findall(text)


def chatter(conversation: str) -> list[str]:
    """Three sentences about the last word that was said, and how often a turn was taken."""
    said = re.findall(r"\w+", conversation.rpartition("<user>")[2].partition("<")[0]) or ["nothing"]
    turns = conversation.count("<user>")
    return words_of(f"You said {said[-1]}. Dr. Smith has heard it {turns} times, and so have I! Shall we go on now?")


def _bytes(piece: str | bytes) -> bytes:
    return piece if isinstance(piece, bytes) else piece.encode()


class _Draws:
    """A sampler."""

    def __init__(self, sampling: Sampling) -> None:
        self.random = None if sampling.temperature <= 0 else random.Random(sampling.seed)
        self.is_closed = False

    def draw(self, likeliest: bytes) -> bytes:
        """Another one now and then, unless the temperature is 0. Marks stay what they are."""
        assert not self.is_closed, "a closed sampler draws nothing"
        is_other = self.random is not None and self.random.random() < 0.5
        return likeliest.upper() if is_other and likeliest != _END.encode() else likeliest

    def close(self) -> None:
        assert not self.is_closed, "a sampler is closed once"
        self.is_closed = True


class FakeReader:
    """A reader (`engines.llm.model.Reader`), which breathes before each token. What tests look at: `held`."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self._is_reading = False

    def begin(self, data: bytes | None) -> None:
        self._check()
        self.held = [] if data is None else msgspec.json.decode(data, type=list[int])

    def read(self, start: int, tokens: Sequence[int], breathe: Callable[[], None]) -> None:
        self._check()
        assert start <= len(self.held), f"the reader holds {len(self.held)} tokens, the piece begins at {start}"
        del self.held[start:]
        self._is_reading = True
        for token in tokens:
            breathe()
            self.held.append(token)
        self._is_reading = False

    def save(self, length: int) -> bytes:
        self._check()
        assert length <= len(self.held), f"the reader holds no {length} tokens"
        del self.held[length:]
        return msgspec.json.encode(self.held)

    def _check(self) -> None:
        assert not self._is_reading, "who reads is left alone"


class FakeText:
    """A text model (`engines.llm.model.TextModel`). What tests look at: `held`, `batches`, `num_used_cells`,
    `num_samplers`.

    `gate` holds the device thread before a batch. The batch with the number `fails_at`, from 0, raises.
    """

    name = "fake"

    def __init__(
        self,
        script: Script = chatter,
        *,
        num_slots: int = 4,
        num_cells: int = 4096,
        context_length: int | None = None,
        batch_size: int = 64,
        gate: Gate | None = None,
        fails_at: int | None = None,
        reads_aside: bool = False,
    ) -> None:
        self.num_slots, self.num_cells, self.batch_size = num_slots, num_cells, batch_size
        self.context_length = min(num_cells, context_length or num_cells)
        self.held: list[list[int]] = [[] for _ in range(num_slots)]
        self.batches: list[list[Run]] = []
        self.reader = FakeReader() if reads_aside else None
        self.is_closed = False
        self._script = script
        self._gate = gate
        self._fails_at = fails_at
        self._cells: list[list[int]] = [[] for _ in range(num_slots)]
        self._new_cells = itertools.count()
        self._thinks: set[int] = set()  # slots whose next token may be drawn
        self._samplers: list[_Draws] = []
        self._pieces: list[bytes] = []
        self._tokens: dict[bytes, int] = {}
        self._lock = threading.Lock()  # text is any thread's

    # -- text ----------------------------------------------------------------------------------------------------------

    def render(self, messages: Messages, *, asks: bool = True) -> str:
        turns = [f"<{message.role}>{message.content}{_END}" for message in messages]
        return "".join(turns) + (_ASKING if asks else "")

    def tokenise(self, text: str) -> list[int]:
        return [self._token(piece.encode()) for piece in words_of(text)]

    def piece(self, token: int) -> bytes:
        piece = self._pieces[token]
        return b"" if piece.startswith(b"<") and piece.endswith(b">") else piece

    def is_end(self, token: int) -> bool:
        return self._pieces[token] == _END.encode()

    def answer(self, *messages: Message) -> str:
        """What it writes when nothing interrupts it, at temperature 0."""
        return b"".join(map(_bytes, self._script(self.render(messages)))).decode()

    # -- the cache and the step ----------------------------------------------------------------------------------------

    def decode(self, runs: Sequence[Run]) -> bool:
        self._check(runs)
        if self._gate is not None:
            self._gate.pass_through()
        if len(self.batches) == self._fails_at:
            raise RuntimeError("the fake device has failed, as it was told to")
        if self.num_used_cells + sum(len(run.tokens) for run in runs) > self.num_cells:
            return False
        self.batches.append(list(runs))
        for run in runs:
            self._add(run.slot, run.tokens)
        self._thinks = {run.slot for run in runs if run.draws}
        return True

    def draw(self, slot: int, sampler: Sampler) -> int:
        assert isinstance(sampler, _Draws), "a sampler of this model"
        assert slot in self._thinks, f"the last batch had no run of slot {slot} that draws"
        self._thinks.remove(slot)
        return self._token(sampler.draw(self._next_piece(self.held[slot])))

    def make_sampler(self, sampling: Sampling) -> Sampler:
        self._samplers.append(_Draws(sampling))
        return self._samplers[-1]

    def truncate(self, slot: int, length: int) -> None:
        assert length >= 0, "a slot holds so many tokens or fewer"
        del self.held[slot][length:]
        del self._cells[slot][length:]
        self._thinks.discard(slot)

    def copy(self, source: int, target: int, length: int) -> None:
        assert not self.held[target], f"slot {target} is not empty"
        assert length <= len(self.held[source]), f"slot {source} holds no {length} tokens"
        self.held[target] = self.held[source][:length]
        self._cells[target] = self._cells[source][:length]

    def save(self, slot: int) -> bytes:
        return msgspec.json.encode(self.held[slot])

    def load(self, slot: int, saved: bytes) -> bool:
        assert not self.held[slot], f"slot {slot} is not empty"
        tokens = msgspec.json.decode(saved, type=list[int])
        if self.num_used_cells + len(tokens) > self.num_cells:
            return False
        self._add(slot, tokens)
        return True

    def close(self) -> None:
        self.is_closed = True

    # -- for tests -----------------------------------------------------------------------------------------------------

    @property
    def num_used_cells(self) -> int:
        """A cell that several slots share counts once."""
        return len(set[int]().union(*self._cells))

    @property
    def num_samplers(self) -> int:
        """Those that have not been closed."""
        return sum(not sampler.is_closed for sampler in self._samplers)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _check(self, runs: Sequence[Run]) -> None:
        assert not self.is_closed, "a closed model is not used"
        assert 0 < sum(len(run.tokens) for run in runs) <= self.batch_size, "a batch has its size"
        assert len({run.slot for run in runs}) == len(runs), "a slot is in a batch once"
        for run in runs:
            assert 0 <= run.slot < self.num_slots, f"there is no slot {run.slot}"
            assert run.tokens, "a run has tokens"
            num_held = len(self.held[run.slot])
            assert num_held == run.start, f"slot {run.slot} holds {num_held} tokens, the run begins at {run.start}"
            assert num_held + len(run.tokens) <= self.context_length, f"slot {run.slot} would be too long"

    def _add(self, slot: int, tokens: Sequence[int]) -> None:
        self.held[slot].extend(tokens)
        self._cells[slot].extend(itertools.islice(self._new_cells, len(tokens)))

    def _next_piece(self, tokens: Sequence[int]) -> bytes:
        """What follows these: the script's answer to the conversation in them, from where they have got to."""
        pieces = [self._pieces[token] for token in tokens]
        begin = len(pieces) - pieces[::-1].index(_ASKING.encode())
        answer = self._script(b"".join(pieces[:begin]).decode())
        num_written = len(pieces) - begin
        return _bytes(answer[num_written]) if num_written < len(answer) else _END.encode()

    def _token(self, piece: bytes) -> int:
        with self._lock:
            if piece not in self._tokens:
                self._tokens[piece] = len(self._pieces)
                self._pieces.append(piece)
            return self._tokens[piece]
