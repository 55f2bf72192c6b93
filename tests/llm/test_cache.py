"""The cells that slots hold, counted as the model counts them."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.llm.cache import Cache
from engines.llm.fake import FakeText
from engines.llm.model import Run


def test_a_run_replaces_what_its_slot_holds_from_there_on() -> None:
    model = FakeText()
    cache = Cache(model)
    assert cache.evaluate([Run(0, 0, [1, 2, 3], draws=False)])
    assert cache.evaluate([Run(0, 1, [7], draws=False)])
    assert (model.held[0], cache.num_used) == ([1, 7], 2)


def test_a_shared_cell_is_used_until_the_last_slot_lets_it_go() -> None:
    cache = Cache(FakeText())
    cache.evaluate([Run(0, 0, [1, 2, 3], draws=False)])
    cache.copy(0, 1, 2)
    assert cache.num_used == 3
    cache.truncate(0, 0)
    assert cache.num_used == 2
    cache.truncate(1, 0)
    assert cache.num_used == 0


def test_what_is_put_aside_comes_back_when_there_is_room() -> None:
    model = FakeText(num_cells=4)
    cache = Cache(model)
    cache.evaluate([Run(0, 0, [1, 2, 3], draws=False)])
    cache.put_aside("a", 0, 2)
    assert (model.held[0], cache.num_used) == ([], 0)
    assert cache.num_aside_bytes > 0
    cache.evaluate([Run(1, 0, [8, 9, 8], draws=False)])
    assert not cache.bring_back("a", 0)
    cache.truncate(1, 0)
    assert cache.bring_back("a", 0)
    assert (model.held[0], cache.num_used, cache.num_aside_bytes) == ([1, 2], 2, 0)


def test_what_is_forgotten_takes_no_memory() -> None:
    cache = Cache(FakeText())
    cache.evaluate([Run(0, 0, [1, 2, 3], draws=False)])
    cache.put_aside("a", 0, 3)
    cache.forget("a")
    cache.forget("b")
    assert cache.num_aside_bytes == 0


@pytest.mark.slow
@settings(max_examples=100)
@given(st.randoms(use_true_random=False))
def test_cells_are_counted_as_the_model_does(rng: random.Random) -> None:
    model = FakeText(num_slots=3, num_cells=40)
    cache = Cache(model)
    aside: set[str] = set()
    for turn in range(60):
        slot, other = rng.sample(range(3), 2)
        held = len(model.held[slot])
        match rng.randrange(5):
            case 0 | 1:
                runs = [Run(slot, rng.randint(0, held), rng.choices(range(9), k=rng.randint(1, 9)), draws=False)]
                cache.evaluate(runs)
            case 2:
                cache.truncate(slot, rng.randint(0, held + 1))
            case 3:
                cache.copy(slot, other, rng.randint(0, held))
            case _ if aside and not held:
                if cache.bring_back(owner := min(aside), slot):
                    aside.discard(owner)
            case _:
                cache.put_aside(f"{turn}", slot, rng.randint(0, held))
                aside.add(f"{turn}")
        assert cache.num_used == model.num_used_cells <= 40
    for owner in aside:
        cache.forget(owner)
    assert cache.num_aside_bytes == 0
