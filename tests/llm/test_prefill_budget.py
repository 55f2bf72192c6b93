"""Pieces of prompts come to fit what a step may take, whatever writers and tokens cost, and whatever disturbs one."""

import random

from hypothesis import given
from hypothesis import strategies as st

from engines.llm.prefill_budget import MIN_PIECE_TOKENS, PrefillBudget


class Device:
    """Takes `step_ms`, and `token_ms` more for each token of a prompt."""

    def __init__(self, step_ms: float, token_ms: float) -> None:
        self.step_ms = step_ms
        self.token_ms = token_ms

    def step(self, budget: PrefillBudget, num_prompt_tokens: int, noise: float = 1.0) -> float:
        took_ms = noise * (self.step_ms + num_prompt_tokens * self.token_ms)
        budget.observe(took_ms, num_prompt_tokens)
        return took_ms


def settled(device: Device, budget_ms: float = 100.0) -> tuple[PrefillBudget, float]:
    """After steps enough to have learned; the budget, and what its piece takes."""
    budget = PrefillBudget(budget_ms)
    took_ms = [device.step(budget, budget.num_tokens) for _ in range(150)]
    return budget, took_ms[-1]


def test_nothing_is_known_at_first() -> None:
    assert PrefillBudget(100).num_tokens == MIN_PIECE_TOKENS


@given(st.floats(1, 80), st.floats(0.1, 2))
def test_a_step_comes_to_take_what_it_may_and_no_more(step_ms: float, token_ms: float) -> None:
    budget, took_ms = settled(Device(step_ms, token_ms))
    assert abs(took_ms - 100.0) < 1.5 * token_ms or budget.num_tokens == MIN_PIECE_TOKENS


def test_it_is_there_after_few_steps() -> None:
    budget = PrefillBudget(100.0)
    device = Device(30.0, 0.5)
    took_ms = [device.step(budget, budget.num_tokens) for _ in range(10)]
    assert max(took_ms) <= 100.0
    assert took_ms[-1] > 90.0


def test_a_prompt_gets_on_although_steps_take_too_long_already() -> None:
    budget, _ = settled(Device(500.0, 1.0))
    assert budget.num_tokens == MIN_PIECE_TOKENS


def test_a_larger_budget_lets_larger_pieces_through() -> None:
    for budget_ms, fits in ((20.0, 20), (50.0, 80), (100.0, 180)):
        budget, _ = settled(Device(10.0, 0.5), budget_ms)
        assert fits - 1 <= budget.num_tokens <= fits


def test_pieces_follow_a_device_that_becomes_slower() -> None:
    device = Device(10.0, 0.5)
    budget, _ = settled(device)
    device.token_ms = 1.0
    for _ in range(10):
        took_ms = device.step(budget, budget.num_tokens)
    assert 98 < took_ms <= 101


def test_a_step_that_was_disturbed_is_soon_forgotten() -> None:
    device = Device(10.0, 0.5)
    budget, _ = settled(device)
    usual = budget.num_tokens
    budget.observe(5000.0, usual)
    assert budget.num_tokens >= usual // 2
    took_ms = [device.step(budget, budget.num_tokens) for _ in range(4)]
    assert max(took_ms) <= 101
    assert budget.num_tokens > 0.9 * usual


@given(st.randoms(use_true_random=False))
def test_steps_that_are_often_disturbed_make_no_piece_too_large(chance: random.Random) -> None:
    device = Device(30.0, 1.0)
    budget, _ = settled(device)
    for _ in range(200):
        device.step(budget, budget.num_tokens, noise=chance.choice((1.0, 1.0, 1.0, 1.3, 20.0)))
        assert device.step_ms + budget.num_tokens * device.token_ms < 105


def test_a_short_piece_says_nothing_of_a_long_one_unless_it_took_too_long() -> None:
    budget, _ = settled(Device(10.0, 0.5))
    usual = budget.num_tokens
    budget.observe(12.0, 5)
    assert budget.num_tokens == usual
    budget.observe(120.0, 5)
    assert budget.num_tokens == MIN_PIECE_TOKENS


def test_what_was_not_sized_by_it_says_nothing() -> None:
    budget, _ = settled(Device(10.0, 0.5))
    usual = budget.num_tokens
    budget.observe(1.0, 500)
    budget.observe(900.0, 500)
    budget.observe(900.0, 0)
    assert budget.num_tokens == usual


def test_a_clock_that_has_not_moved_is_no_reason_to_break() -> None:
    budget = PrefillBudget(100.0)
    budget.observe(0.0, 8)
    assert budget.num_tokens == 2 * MIN_PIECE_TOKENS
