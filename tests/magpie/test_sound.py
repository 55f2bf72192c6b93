"""The codec's state belongs to a session: it runs on from segment to segment, whichever slots they have."""

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.magpie.checkpoint import Checkpoint
from engines.magpie.codec import CodecWeights, StreamingCodec, decode_whole
from engines.magpie.sound import Sound, Span
from tests.magpie.speaking import error_of, job, lively, make_model, speak

SLOTS = 3
MOST = 6
ERROR = 1e-5

SMALL = CodecWeights.random(base_channels=24, rates=(4, 2), levels=(5, 4), num_codebooks=3, kernels=(3, 7), seed=3)


class Desk:
    """A `Sound`, and what each session has been given and has heard so far."""

    def __init__(self) -> None:
        self.frames = torch.zeros(SLOTS + 1, 40, 3, dtype=torch.int32)
        codec = StreamingCodec(SMALL, SLOTS, device="cpu")
        self.sound = Sound(codec, self.frames, MOST, SMALL.samples_per_frame)
        self._generator = torch.Generator().manual_seed(1)
        self._codes: dict[int, list[torch.Tensor]] = {}
        self._heard: dict[int, list[np.ndarray]] = {}
        self.session_in: dict[int, int] = {}
        self._first: dict[int, int] = {}

    def begin(self, slot: int, session: int) -> None:
        """A new segment."""
        self.begin_all({slot: session})

    def begin_all(self, sessions: dict[int, int]) -> None:
        """Several at once: all are brought to their slots before any is silenced, as in a prefill."""
        fresh = [slot for slot, session in sessions.items() if not self.sound.begin(slot, session)]
        self.sound.silence(torch.tensor(fresh, dtype=torch.int64))
        for slot, session in sessions.items():
            self.frames[slot] = torch.randint(0, 20, self.frames[slot].shape, generator=self._generator).int()
            self.session_in[slot], self._first[slot] = session, 0

    def decode(self, **counts: int) -> None:
        """`s0=3`: the next three frames of slot 0."""
        spans: list[Span] = []
        for name, count in counts.items():
            slot = int(name[1:])
            first = self._first[slot]
            spans.append(Span(slot, first, count))
            self._codes.setdefault(self.session_in[slot], []).append(self.frames[slot, first : first + count].clone())
            self._first[slot] += count
        for slot, pcm in self.sound.decode(spans).items():
            self._heard.setdefault(self.session_in[slot], []).append(pcm.copy())

    def forget(self, session: int) -> None:
        self.sound.forget(session)
        self._codes.pop(session, None)
        self._heard.pop(session, None)

    def check(self, *sessions: int) -> None:
        """Each has heard what decoding all of its codes at once gives."""
        for session in sessions:
            whole = decode_whole(SMALL, torch.cat(self._codes[session])[None])[0]
            assert error_of(np.concatenate(self._heard[session]), whole) < ERROR, f"session {session}"


def test_segments_in_the_same_slot_are_one_sound() -> None:
    desk = Desk()
    for _ in range(3):
        desk.begin(1, 7)
        desk.decode(s1=4)
        desk.decode(s1=2)
    desk.check(7)


def test_a_session_takes_its_state_along_to_another_slot() -> None:
    desk = Desk()
    for slot in (0, 2, 1, 0):
        desk.begin(slot, 7)
        desk.decode(**{f"s{slot}": 3})
    desk.check(7)
    assert desk.sound.num_kept == 1


def test_a_state_waits_while_another_session_has_the_slot() -> None:
    desk = Desk()
    desk.begin(0, 1)
    desk.decode(s0=5)
    desk.begin(0, 2)
    desk.decode(s0=3)
    assert desk.sound.num_kept == 2
    desk.begin(2, 1)
    desk.decode(s2=4, s0=2)
    desk.begin(0, 1)
    desk.decode(s0=1)
    desk.begin(2, 2)
    desk.decode(s2=1)
    desk.check(1, 2)


def test_two_sessions_can_change_places() -> None:
    desk = Desk()
    desk.begin(0, 1)
    desk.begin(1, 2)
    desk.decode(s0=2, s1=3)
    desk.begin(0, 2)
    desk.begin(1, 1)
    desk.decode(s0=2, s1=3)
    desk.check(1, 2)


@pytest.mark.parametrize("sessions", list(permutations(((0, 2), (1, 3), (2, 1)))))
def test_sessions_that_begin_together_change_places_in_any_order(sessions: Sequence[tuple[int, int]]) -> None:
    """One takes its sound to where another was, which takes its own to where a new one begins."""
    desk = Desk()
    desk.begin_all({0: 1, 1: 2})
    desk.decode(s0=2, s1=3)
    desk.begin_all(dict(sessions))
    desk.decode(s0=2, s1=3, s2=1)
    desk.check(1, 2, 3)


def test_a_forgotten_session_leaves_nothing() -> None:
    """Neither in its slot nor aside."""
    desk = Desk()
    desk.begin(0, 1)
    desk.decode(s0=3)
    desk.begin(0, 2)
    desk.decode(s0=3)
    for session in (1, 2):
        desk.forget(session)
    assert desk.sound.num_kept == 0
    for slot, session in ((0, 3), (1, 1)):
        desk.begin(slot, session)
    desk.decode(s0=4, s1=4)
    desk.check(1, 3)


def test_forgetting_a_session_that_made_no_sound_is_nothing() -> None:
    desk = Desk()
    desk.begin(0, 1)
    desk.sound.forget(99)
    desk.decode(s0=2)
    desk.check(1)


def test_spans_of_different_lengths_are_decoded_together() -> None:
    desk = Desk()
    for slot in range(SLOTS):
        desk.begin(slot, slot + 1)
    for counts in ({"s0": 1, "s1": 4, "s2": 1}, {"s2": 6, "s0": 6}, {"s1": 2, "s0": 3, "s2": 1}):
        desk.decode(**counts)
    desk.check(1, 2, 3)


def test_no_spans_are_no_samples() -> None:
    assert Desk().sound.decode([]) == {}


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "begin", "decode", "decode", "decode", "forget"]),
            st.integers(0, SLOTS - 1),
            st.integers(1, 5),
        ),
        max_size=30,
    )
)
def test_every_sessions_sound_is_whole(actions: Sequence[tuple[str, int, int]]) -> None:
    """Random segments of five sessions in three slots, as the engine gives them: a session has one slot at a time."""
    desk, heard = Desk(), set[int]()
    left = dict.fromkeys(range(SLOTS), 0)
    for what, slot, number in actions:
        session = desk.session_in.get(slot)
        if what == "begin":
            for other in [other for other, its in desk.session_in.items() if its == number]:
                del desk.session_in[other]
            desk.begin(slot, number)
            left[slot] = 40
        elif what == "decode" and session is not None and left[slot] >= number:
            desk.decode(**{f"s{slot}": number})
            left[slot] -= number
            heard.add(session)
        elif what == "forget" and session is not None:
            desk.forget(session)
            del desk.session_in[slot]
            heard.discard(session)
    desk.check(*heard)


@pytest.mark.parametrize("size", ["tiny", "tiny2"])
def test_a_sessions_segments_are_one_sound_through_the_model(
    checkpoint: Callable[[str], Checkpoint], size: str
) -> None:
    """In other slots, with another session in between."""
    known = lively(checkpoint(size), max_frames=12)
    model = make_model(known)
    mine, others = [], []
    for slot, other_slot in ((0, 1), (1, 0), (2, 0)):
        pair = [
            job(model, "Hello.", slot=slot, session=1),
            job(model, "Good day.", slot=other_slot, session=2, voice=1),
        ]
        first, second = speak(model, *pair)
        mine.append(first)
        others.append(second)
    for said in (mine, others):
        whole = decode_whole(known.codec, torch.cat([spoken.codes for spoken in said])[None])[0]
        assert error_of(np.concatenate([spoken.pcm for spoken in said]), whole) < ERROR
