"""A request's codes are its own: whoever joins, leaves or is cancelled around it, whichever slot it has."""

from collections.abc import Callable, Sequence
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engines.magpie.checkpoint import Checkpoint
from engines.magpie.model import Magpie
from engines.magpie.prefills import Request
from engines.model import Made, Prefill
from tests.magpie.speaking import Bare, Floor, Spoken, error_of, job, lively, make_model, speak, state_of

SLOTS = 4
MAX_FRAMES = 14

REQUESTS = (
    {"text": "Go!", "seed": 1},
    {"text": "Hello there, how are you?", "seed": 2, "voice": 1},
    {"text": "Hello there, how are you?", "seed": 3, "voice": 1, "temperature": 1.2},
    {"text": "One two three four five six seven eight nine ten.", "seed": 2**62 + 5, "cfg_scale": 1.0},
    {"text": "Yes.", "seed": 5, "top_k": 5, "voice": 1},
    {"text": "A last one, which is greedy.", "temperature": 0.0, "cfg_scale": 1.5},
)
"""By default the checkpoint's own sampling: temperature 0.7, top-k 80."""

Sizes = pytest.mark.parametrize("size", ["tiny", "tiny2"])
Models = Callable[[str], Magpie]


@pytest.fixture(scope="module")
def model(checkpoint: Callable[[str], Checkpoint]) -> Models:
    return cache(lambda size: make_model(lively(checkpoint(size), max_frames=MAX_FRAMES), SLOTS))


@pytest.fixture(scope="module")
def alone(model: Models) -> Callable[[str, int], Spoken]:
    """What request `number` says when nobody else is there, in slot 0."""

    @cache
    def spoken(size: str, number: int) -> Spoken:
        asked = ask(model(size), number, slot=0, session=1000 + number)
        (said,) = speak(model(size), asked)
        model(size).forget(1000 + number)
        return said

    return spoken


def ask(model: Magpie, number: int, *, slot: int, session: int) -> Prefill:
    return job(model, slot=slot, session=session, **REQUESTS[number])


def has_same_start(spoken: Spoken, whole: Spoken) -> bool:
    """Cancelled ones have said a part; `leave` has noted it."""
    assert spoken.codes is not None
    assert whole.codes is not None
    return len(spoken.codes) <= len(whole.codes) and torch.equal(spoken.codes, whole.codes[: len(spoken.codes)])


# -- joins, leaves, cancels --------------------------------------------------------------------------------------------

Action = tuple[int, int, int]
ACTIONS = st.lists(
    st.tuples(st.integers(0, SLOTS - 1), st.integers(0, len(REQUESTS) - 1), st.integers(0, 4)), min_size=3, max_size=12
)
"""A slot: its request is cancelled, or this one joins there; then so many steps."""


@Sizes
@settings(max_examples=5)
@given(actions=ACTIONS)
def test_nobody_changes_anothers_codes(
    model: Models, alone: Callable[[str, int], Spoken], size: str, actions: Sequence[Action]
) -> None:
    floor, said = Floor(model(size)), list[tuple[int, Spoken]]()
    for session, (slot, number, num_steps) in enumerate(actions, 1):
        if slot in floor.running:
            floor.leave(slot)
        else:
            said += [(number, *floor.join(ask(floor.model, number, slot=slot, session=session)))]
        for _ in range(num_steps if floor.running else 0):
            floor.step()
    floor.finish()
    for session in range(1, len(actions) + 1):
        floor.model.forget(session)
    for number, spoken in said:
        whole = alone(size, number)
        assert has_same_start(spoken, whole), REQUESTS[number]
        if spoken.is_over:
            assert len(spoken.pcm) == len(whole.pcm)
            assert error_of(spoken.pcm, whole.pcm) < 1e-5


@Sizes
def test_the_order_of_a_prefill_does_not_matter(model: Models, alone: Callable[[str, int], Spoken], size: str) -> None:
    one = model(size)
    for slots in ([0, 1, 2, 3], [3, 1, 0, 2]):
        jobs = [ask(one, number, slot=slot, session=number + 1) for number, slot in enumerate(slots)]
        for number, spoken in enumerate(speak(one, *jobs)):
            assert torch.equal(spoken.codes, alone(size, number).codes)
            one.forget(number + 1)


# -- seeds -------------------------------------------------------------------------------------------------------------


@Sizes
def test_the_same_seed_says_the_same_and_another_something_else(model: Models, size: str) -> None:
    one, text = model(size), "The same words again."
    jobs = [job(one, text, slot=slot, session=slot + 1, seed=seed) for slot, seed in enumerate((7, 7, 8, 2**40 + 7))]
    same, again, other, far = (spoken.codes for spoken in speak(one, *jobs))
    assert torch.equal(same, again)
    assert not torch.equal(same[:4], other[:4])
    assert not torch.equal(same[:4], far[:4]), "the upper half of a seed counts"


# -- when --------------------------------------------------------------------------------------------------------------


def test_a_newcomer_joins_at_the_next_step(model: Models) -> None:
    floor = Floor(model("tiny"))
    floor.join(ask(floor.model, 1, slot=0, session=1))
    for _ in range(3):
        floor.step()
    floor.join(ask(floor.model, 2, slot=2, session=2))
    floor.step()
    assert [int(floor.model._state.step[slot]) for slot in (0, 2)] == [4, 1]
    for slot in (0, 2):
        floor.leave(slot)


def test_a_cancelled_slot_is_anothers_at_the_next_step(model: Models, alone: Callable[[str, int], Spoken]) -> None:
    floor = Floor(model("tiny"))
    floor.join(ask(floor.model, 1, slot=0, session=1))
    floor.step()
    floor.leave(0)
    (spoken,) = floor.join(ask(floor.model, 3, slot=0, session=2))
    floor.step()
    assert int(floor.model._state.step[0]) == 1
    floor.finish()
    assert torch.equal(spoken.codes, alone("tiny", 3).codes)


class Logged(Magpie):
    """Notes what the engine asks of it: who joins, who is stepped and whose segment ends."""

    log: list[tuple[str, tuple[int, ...]]]

    def prefill(self, jobs: Sequence[Prefill]) -> None:
        self.log.append(("join", tuple(job.session for job in jobs)))
        super().prefill(jobs)

    def step(self, slots: Sequence[int]) -> Made:
        made = super().step(slots)
        self.log.append(("step", tuple(slots)))
        if ended := tuple(result.slot for result in made.results if result.is_segment_end):
            self.log.append(("end", ended))
        return made


async def test_a_waiting_session_takes_a_slot_in_the_step_after_it_is_free(
    checkpoint: Callable[[str], Checkpoint],
) -> None:
    """Through the engine: nobody waits for the batch to be empty."""
    from engines.engine import Engine

    known = lively(checkpoint("tiny"), max_frames=MAX_FRAMES, min_frames=MAX_FRAMES)
    made: list[Logged] = []

    def load(_: object) -> Magpie:
        model = make_model(known, 2, kind=Logged)
        assert isinstance(model, Logged)
        model.log = []
        made.append(model)
        return model

    engine = Engine(load)
    engine.start()
    await engine.wait_ready()
    sessions = [engine.open_session(is_paced=False, cutting="sentence", seed=seed) for seed in range(4)]
    for session in sessions:
        session.push("Hello there, how are you?")
        session.finish()
    for session in sessions:
        assert sum([len(frame.pcm) async for frame in session]) > 0
    await engine.close()
    log = made[0].log
    joined = [name for kind, names in log if kind == "join" for name in names]
    assert sorted(joined) == [1, 2, 3, 4]
    ends = [place for place, (kind, _) in enumerate(log) if kind == "end"]
    waiting = len(joined) - 2
    for place in ends[:waiting]:
        assert log[place + 1][0] == "join", "the free slot is taken before anything else happens"
        assert log[place + 2][0] == "step"


# -- what stays behind -------------------------------------------------------------------------------------------------


@Sizes
def test_a_slot_remembers_nothing_of_its_last_segment(checkpoint: Callable[[str], Checkpoint], size: str) -> None:
    """A short text behind a long one, with other settings: every code, and the whole of what the slot holds."""
    known = lively(checkpoint(size), max_frames=MAX_FRAMES)
    long, short = (known.tokenizer.encode(REQUESTS[number]["text"], "en").ids for number in (3, 0))
    before = Request(1, long, 1, seed=9, top_k=3, temperature=1.4, cfg_scale=3.0)
    after = Request(1, short, 0, seed=4, top_k=80, temperature=0.7, cfg_scale=2.5)
    used, fresh = Bare(known), Bare(known)
    used.prefill(before)
    for _ in range(used.max_steps):
        used.step(1)
    for bare in (used, fresh):
        bare.prefill(after)
    assert [used.step(1) for _ in range(used.max_steps)] == [fresh.step(1) for _ in range(fresh.max_steps)]
    mine, new = state_of(used.state, 1), state_of(fresh.state, 1)
    for name in mine:
        if name not in ("keys", "values", "text_keys", "text_values"):
            assert torch.equal(mine[name], new[name]), name


@Sizes
def test_a_step_for_nothing_leaves_the_last_frames_as_they_were_drawn(
    checkpoint: Callable[[str], Checkpoint], size: str
) -> None:
    """On a GPU a slot whose segment has ended is stepped once more, while its last frames are being decoded."""
    bare = Bare(lively(checkpoint(size), max_frames=MAX_FRAMES))
    bare.prefill(Request(1, (9, 8, 7, 6, 5, 194), 1, 4, 80, 0.7, 2.5))
    for _ in range(bare.max_steps):
        bare.step(1)
    drawn = bare.state.frames[1, :MAX_FRAMES].clone()
    bare.step(1)
    assert torch.equal(bare.state.frames[1, :MAX_FRAMES], drawn)


@Sizes
def test_the_unconditional_voice_is_never_overwritten(checkpoint: Callable[[str], Checkpoint], size: str) -> None:
    known = lively(checkpoint(size), max_frames=MAX_FRAMES)
    bare = Bare(known)

    def prefix(tensor: Tensor) -> Tensor:
        return tensor[:, 1::2, :, : known.shape.prefix_len].clone()

    before = prefix(bare.state.keys), prefix(bare.state.values)
    assert all(torch.equal(half, half[:, :1].expand_as(half)) for half in before)
    for slot in (0, 3):
        bare.prefill(Request(slot, (5, 6, 7, 8, 194), 1, seed=1, top_k=80, temperature=0.7, cfg_scale=2.5))
    for _ in range(bare.max_steps):
        bare.step(0, 3)
    assert torch.equal(prefix(bare.state.keys), before[0])
    assert torch.equal(prefix(bare.state.values), before[1])


@Sizes
def test_a_step_touches_only_its_own_slots(checkpoint: Callable[[str], Checkpoint], size: str) -> None:
    """Bit by bit, whatever a slot holds. The row behind the slots is spare."""
    bare = Bare(lively(checkpoint(size), max_frames=MAX_FRAMES))
    requests = [Request(slot, (9, 8, 7, 6, 5, 194), slot % 2, slot, 80, 0.7, 2.5) for slot in range(3)]
    bare.prefill(*requests)
    bare.step(0, 1, 2)
    before = {slot: state_of(bare.state, slot) for slot in (1, 3)}
    bare.step(2, 0)
    bare.prefill(requests[2])
    bare.step(0, 4, 4)
    for slot, held in before.items():
        now = state_of(bare.state, slot)
        assert all(torch.equal(now[name], held[name]) for name in held)
    assert not torch.equal(state_of(bare.state, 0)["codes"], before[1]["codes"])
