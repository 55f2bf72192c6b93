"""A voice that has lost its text is stopped, and one that has not is left alone. Attention is scripted."""

import random
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.engine import Engine
from engines.magpie.checkpoint import Checkpoint
from engines.magpie.guards import FRAMES_PER_TOKEN, FREE_FRAMES, Guards
from engines.magpie.prior import IGNORED_END
from tests.magpie.speaking import job, lively, make_model, speak

FRAME_S = 1024 / 22050
NEVER = 10**6

Stackings = pytest.mark.parametrize("stacking", [1, 2])


def guards_of(stacking: int = 1, num_slots: int = 3) -> Guards:
    return Guards(num_slots, step_s=stacking * FRAME_S, stacking=stacking, num_ignored=IGNORED_END)


def run(attended: Iterable[int], num_tokens: int, stacking: int = 1, slot: int = 1) -> tuple[float, str] | None:
    """After how many seconds, and why, a segment with this attention is ended; None: it is not."""
    guards = guards_of(stacking)
    guards.begin(slot, num_tokens)
    for step, token in enumerate(attended, 1):
        found = guards.check(np.array([slot]), np.array([token], np.int32))
        if found:
            assert list(found) == [slot]
            return step * stacking * FRAME_S, found[slot]
    return None


def walk(num_tokens: int, steps_per_token: int) -> Iterator[int]:
    """From the first token to the last that can be attended to before the end."""
    for token in range(1, num_tokens - IGNORED_END):
        yield from [token] * steps_per_token


# -- what is stopped ---------------------------------------------------------------------------------------------------


@Stackings
@pytest.mark.parametrize("num_tokens", [2, 4, 5, 20, 150])
def test_babble_behind_the_end_is_stopped_after_one_and_a_half_seconds(num_tokens: int, stacking: int) -> None:
    """Texts of one token and its end among them: their end is reached at once."""
    text = [*walk(num_tokens, 2)]
    stopped = run([*text, *[num_tokens - 1] * 400], num_tokens, stacking)
    assert stopped is not None
    assert stopped[1] == "babble"
    assert stopped[0] - len(text) * stacking * FRAME_S == pytest.approx(1.5, abs=2.1 * stacking * FRAME_S)


@Stackings
def test_a_voice_that_stands_still_is_stopped_after_three_seconds(stacking: int) -> None:
    stopped = run([1, 2, 3, *[7] * 400], 40, stacking)
    assert stopped is not None
    assert stopped[1] == "stuck"
    assert stopped[0] - 4 * stacking * FRAME_S == pytest.approx(3, abs=2.1 * stacking * FRAME_S)


@Stackings
def test_to_and_fro_on_the_same_tokens_is_standing_still(stacking: int) -> None:
    stopped = run([9, *[8, 9, 7, 9] * 100], 40, stacking)
    assert stopped is not None
    assert stopped[1] == "stuck"


@Stackings
@pytest.mark.parametrize("back_to", [[3], [3, 4, 5, 6, 7]])
def test_a_voice_that_runs_back_is_stopped_after_a_second(stacking: int, back_to: list[int]) -> None:
    forward = [*range(1, 21)]
    stopped = run([*forward, *back_to * 400], 60, stacking)
    assert stopped is not None
    assert stopped[1] == "backward"
    assert stopped[0] - len(forward) * stacking * FRAME_S == pytest.approx(1, abs=2.1 * stacking * FRAME_S)


@Stackings
@pytest.mark.parametrize("num_tokens", [10, 60])
def test_a_crawl_ends_at_so_many_frames_a_token(num_tokens: int, stacking: int) -> None:
    """Too slow for speech, but never still for long enough to be stuck."""
    stopped = run([*walk(num_tokens, 30 // stacking)], num_tokens, stacking)
    assert stopped is not None
    assert stopped[1] == "too long"
    assert stopped[0] / FRAME_S == pytest.approx(FREE_FRAMES + FRAMES_PER_TOKEN * num_tokens, abs=stacking)


def test_the_end_of_one_slot_is_not_anothers() -> None:
    """And a slot that begins again has no past."""
    guards = guards_of()
    for slot in (0, 1, 2):
        guards.begin(slot, 30)
    healthy = [*walk(30, 3)]
    for step in range(60):
        found = guards.check(np.array([2, 0, 1]), np.array([5, healthy[step], 29], np.int32))
        assert found == ({1: "babble"} if step == 33 else {})
        if found:
            guards.begin(1, 30)


# -- what is not -------------------------------------------------------------------------------------------------------


@Stackings
@settings(max_examples=150)
@given(num_tokens=st.integers(2, 200), seed=st.integers(0, 10**6))
def test_healthy_speech_is_never_stopped(num_tokens: int, seed: int, stacking: int) -> None:
    """One token in one to four frames, a pause now and then, a glance back, and a second behind the last token."""
    draw = random.Random(seed)
    frames: list[int] = []
    pauses = set(draw.sample(range(num_tokens), min(num_tokens, 1 + num_tokens // 20)))
    for token in range(1, num_tokens - IGNORED_END):
        frames += [token] * draw.randint(1, 4)
        if draw.random() < 0.1:
            frames += [max(1, token - draw.randint(1, 8))] * draw.randint(1, 6)
        if token in pauses:
            frames += [token] * draw.randint(5, 25)
    frames += [num_tokens - 1] * draw.randint(0, 22)
    assert run(frames[::stacking], num_tokens, stacking) is None


@pytest.mark.parametrize("num_tokens", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("duration_s", [0.2, 0.6, 1.3])
def test_one_word_has_the_time_it_takes(num_tokens: int, duration_s: float) -> None:
    """Its end is attended to from the start, since the last tokens never count as attended."""
    assert run([num_tokens - 1] * round(duration_s / FRAME_S), num_tokens) is None


# -- through the model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["tiny", "tiny2"])
def test_a_text_whose_end_never_comes_is_cut_short(checkpoint: Callable[[str], Checkpoint], size: str) -> None:
    model = make_model(lively(checkpoint(size), min_frames=NEVER), has_guards=True)
    jobs = [
        job(model, text, slot=slot, session=slot + 1, seed=slot)
        for slot, text in enumerate(("Go!", "Hello there, how are you?"))
    ]
    for spoken, asked in zip(speak(model, *jobs), jobs, strict=True):
        num_tokens = len(model._tokenizer.encode(asked.segment.text, "en").ids)
        assert spoken.cut_short in ("babble", "too long", "stuck", "backward")
        assert 1.4 < len(spoken.pcm) / 22050 <= (FREE_FRAMES + FRAMES_PER_TOKEN * num_tokens) * FRAME_S
        assert len(spoken.words) == len(asked.segment.text.split())


def test_without_guards_a_segment_ends_by_its_length_and_is_cut_short(
    checkpoint: Callable[[str], Checkpoint],
) -> None:
    model = make_model(lively(checkpoint("tiny"), min_frames=NEVER, max_frames=50))
    (spoken,) = speak(model, job(model, "Go!"))
    assert (spoken.cut_short, len(spoken.pcm)) == ("too long", 50 * 1024)


def test_an_end_of_its_own_is_not_cut_short(checkpoint: Callable[[str], Checkpoint]) -> None:
    """Even in the step in which a guard would have ended it."""
    model = make_model(lively(checkpoint("tiny"), tracks_text_end=True), has_guards=True)
    (spoken,) = speak(model, job(model, "Go!"))
    assert (spoken.cut_short, spoken.error) == ("", None)
    assert 4 <= len(spoken.pcm) // 1024 <= 20


async def test_cut_segments_are_counted_and_fade_out(checkpoint: Callable[[str], Checkpoint]) -> None:
    """In the middle of a sound. The session goes on with its next segment."""
    known = lively(checkpoint("tiny"), min_frames=NEVER)
    engine = Engine(lambda _: make_model(known, 2, has_guards=True))
    engine.start()
    await engine.wait_ready()
    session = engine.open_session(is_paced=False, cutting="sentence")
    session.push("Go on. And on.")
    session.finish()
    frames = [frame async for frame in session]
    counted = dict(engine.num_cut_short)
    await engine.close()
    assert sum(counted.values()) == 2
    assert set(counted) <= {"babble", "too long", "stuck", "backward"}
    for number in (1, 2):
        pcm = np.concatenate([frame.pcm for frame in frames if frame.segment == number])
        rms = np.sqrt(np.square(pcm).mean())
        assert rms > 1e-3
        assert abs(float(pcm[-1])) < 0.01 * rms
        assert np.sqrt(np.square(pcm[-40:]).mean()) < 0.2 * rms  # 2 of 30 ms
