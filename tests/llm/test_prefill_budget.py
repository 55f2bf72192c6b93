"""Pieces of prompts fit what a step may take, as soon as it is known what they take."""

from hypothesis import given
from hypothesis import strategies as st

from engines.llm.prefill_budget import MIN_PIECE_TOKENS, PrefillBudget


class Device:
    """Takes `step_ms`, and `token_ms` more for each token of a prompt."""

    def __init__(self, step_ms: float, token_ms: float) -> None:
        self.step_ms = step_ms
        self.token_ms = token_ms

    def step(self, budget: PrefillBudget, num_prompt_tokens: int) -> float:
        took_ms = self.step_ms + num_prompt_tokens * self.token_ms
        budget.observe(took_ms, 4, num_prompt_tokens)
        return took_ms


def settled(device: Device, budget_ms: float = 100.0) -> tuple[PrefillBudget, float]:
    """After steps enough to have learned; the budget, and what its piece takes."""
    budget = PrefillBudget(budget_ms)
    for _ in range(4):
        device.step(budget, 0)
    took_ms = [device.step(budget, budget.num_tokens) for _ in range(40)]
    return budget, took_ms[-1]


def test_nothing_is_known_at_first() -> None:
    assert PrefillBudget(100).num_tokens == MIN_PIECE_TOKENS


@given(st.floats(1, 80), st.floats(0.1, 2))
def test_a_step_comes_to_take_what_it_may_and_no_more(step_ms: float, token_ms: float) -> None:
    budget, took_ms = settled(Device(step_ms, token_ms))
    assert took_ms <= 100.0 + 1e-6 or budget.num_tokens == MIN_PIECE_TOKENS
    assert took_ms > 100.0 - 2 * token_ms or budget.num_tokens == MIN_PIECE_TOKENS


def test_a_prompt_gets_on_although_steps_take_too_long_already() -> None:
    budget, _ = settled(Device(500.0, 1.0))
    assert budget.num_tokens == MIN_PIECE_TOKENS


def test_a_larger_budget_lets_larger_pieces_through() -> None:
    sizes = [settled(Device(10.0, 0.5), budget_ms)[0].num_tokens for budget_ms in (20, 50, 100)]
    assert sizes == [20, 80, 180]


def test_pieces_follow_a_device_that_becomes_slower() -> None:
    device = Device(10.0, 0.5)
    budget, _ = settled(device)
    device.token_ms = 1.0
    for _ in range(30):
        took_ms = device.step(budget, budget.num_tokens)
    assert 98 < took_ms <= 100


def test_one_slow_step_does_not_stop_a_prompt() -> None:
    device = Device(10.0, 0.5)
    budget, _ = settled(device)
    budget.observe(1000.0, 4, budget.num_tokens)
    assert budget.num_tokens > MIN_PIECE_TOKENS


def test_what_is_read_while_nobody_writes_tells_what_a_token_takes() -> None:
    budget = PrefillBudget(100.0)
    budget.observe(250.0, 0, 500)
    assert budget.num_tokens == 200


def test_a_clock_that_has_not_moved_is_no_reason_to_break() -> None:
    budget = PrefillBudget(100.0)
    budget.observe(0.0, 0, 0)
    budget.observe(0.0, 0, 8)
    assert budget.num_tokens > MIN_PIECE_TOKENS
