"""Where the voice is in its text, against NeMo's own rules, on scripted attention for hundreds of steps."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from nemo.collections.tts.models.magpietts import MagpieTTSModel
from torch import Tensor

from engines.magpie import plain, prior
from engines.magpie.checkpoint import Checkpoint
from engines.magpie.shape import Recipe
from engines.magpie.state import State, allocate
from tests.magpie.speaking import CPU

MAX_TOKENS = 64
SLOT = 1


class NemosRules:
    """One text, by `get_most_attended_text_timestep` and `construct_inference_prior`."""

    def __init__(self, text_len: int, recipe: Recipe) -> None:
        self.text_len = torch.tensor([text_len])
        self.recipe = recipe
        self.attended = [[1]]
        self.counts: list[dict[int, int]] = [{}]
        self.unfinished: dict[int, bool] = {}
        self.finished: dict[int, int] = {}
        self.prior: Tensor | None = None

    def follow(self, attention: Tensor, step: int) -> None:
        if step < self.recipe.prior_start_step:
            return
        rules: Any = MagpieTTSModel
        attended, self.counts = rules.get_most_attended_text_timestep(
            None, attention, self.attended, self.text_len, self.recipe.prior_lookahead, self.counts, 1
        )
        self.attended.append(attended)
        self.prior, self.unfinished, self.finished = rules.construct_inference_prior(
            None, self.recipe.prior_epsilon, attention, self.text_len, attended, self.counts, self.unfinished,
            self.finished, {}, self.recipe.prior_lookahead, 1,
        )  # fmt: skip

    @property
    def is_forbidden(self) -> bool:
        return self.unfinished.get(0, False)

    @property
    def is_forced(self) -> bool:
        return self.finished.get(0, 0) >= 20


def fresh_state(checkpoint: Checkpoint, recipe: Recipe, text_len: int) -> State:
    """One slot as a prefill leaves it, and a neighbour that must not be touched."""
    state = allocate(checkpoint.shape, recipe, 2, MAX_TOKENS, device=CPU, dtype=torch.float32)
    state.text_len[SLOT] = text_len
    state.attended[SLOT] = state.window[SLOT] = 1
    return state


def attention_of(kind: str, draw: random.Random, text_len: int, at: int) -> Tensor:
    """Attention (1, text_len) of one step, that adds up to one. `at`: where the voice was."""
    if kind == "random":
        weights = [draw.random() for _ in range(text_len)]
    elif kind == "sink":  # always the same token, whatever is said
        weights = [0.01 + draw.random() / 1000 + (token == text_len // 3) for token in range(text_len)]
    elif kind == "healthy":  # here or one further
        place = at + (draw.random() < 0.4)
        weights = [0.001 + draw.random() / 1000 + (token == place) for token in range(text_len)]
    elif kind == "hasty":
        weights = [0.001 + token / text_len for token in range(text_len)]
    else:  # "backward"
        weights = [0.001 + (text_len - token) / text_len for token in range(text_len)]
    total = sum(weights)
    return torch.tensor([[weight / total for weight in weights]])


SCRIPTS = [
    (kind, text_len, 5 if text_len % 2 else 3)
    for kind in ("random", "sink", "healthy", "hasty", "backward")
    for text_len in (2, 3, 4, 5, 6, 7, 9, 30, 60)
]


@pytest.mark.parametrize("start_step", [0, 4])
@pytest.mark.parametrize(("kind", "text_len", "lookahead"), SCRIPTS)
def test_every_step_is_nemos(
    checkpoint: Callable[[str], Checkpoint], kind: str, text_len: int, lookahead: int, start_step: int
) -> None:
    """The token attended to, the next step's prior, and whether the end is forbidden or forced: value by value."""
    recipe = Recipe(prior_lookahead=lookahead, prior_start_step=start_step, tracks_text_end=True, min_frames=0)
    state, rows = fresh_state(checkpoint("tiny"), recipe, text_len), torch.tensor([SLOT])
    nemo, draw = NemosRules(text_len, recipe), random.Random(f"{kind} {text_len}")
    untouched = state.counts[0].clone()
    for step in range(300 if text_len > 9 else 60):
        ours = prior.weights(state, rows, recipe)[0, :text_len]
        expected = torch.ones(text_len) if nemo.prior is None else nemo.prior[0, 0]
        assert torch.equal(ours, expected), f"the prior of step {step}"
        attention = attention_of(kind, draw, text_len, int(state.attended[SLOT]))
        nemo.follow(attention, step)
        prior.follow(state, rows, reach_of(state, attention[0], recipe), recipe)
        assert int(state.attended[SLOT]) == nemo.attended[-1][0], f"the token of step {step}"
        is_forbidden, is_forced = prior.end_rules(state, rows, recipe, stacking=1)
        if step >= start_step:
            assert bool(is_forced) == nemo.is_forced, f"step {step}"
            assert bool(is_forbidden) == nemo.is_forbidden, f"step {step}"
        state.step[SLOT] += 1
    assert torch.equal(state.counts[0], untouched)


def test_before_the_prior_starts_nothing_is_known_of_the_texts_end(checkpoint: Callable[[str], Checkpoint]) -> None:
    """So that nothing forbids the end, as in NeMo."""
    recipe = Recipe(prior_start_step=4, tracks_text_end=True, min_frames=0)
    state, rows = fresh_state(checkpoint("tiny"), recipe, 30), torch.tensor([SLOT])
    nemo = NemosRules(30, recipe)
    for step in range(4):
        nemo.follow(torch.full((1, 30), 1 / 30), step)
        prior.follow(state, rows, torch.zeros(1, recipe.prior_lookahead + 1), recipe)
        is_forbidden, is_forced = prior.end_rules(state, rows, recipe, stacking=1)
        assert (bool(is_forbidden), bool(is_forced)) == (nemo.is_forbidden, nemo.is_forced), f"step {step}"
        state.step[SLOT] += 1


def reach_of(state: State, attention: Tensor, recipe: Recipe) -> Tensor:
    """What a step's cross-attention leaves in `reach`: the attention from the window on, nothing beyond the text."""
    reach = torch.zeros(1, recipe.prior_lookahead + 1)
    first = int(state.window[SLOT])
    seen = attention[first : first + recipe.prior_lookahead + 1]
    reach[0, : len(seen)] = seen
    return reach


@pytest.mark.parametrize("text_len", [1, 2, 6, 40, MAX_TOKENS])
def test_attention_under_the_prior_is_the_softmax_weighted_by_it(
    checkpoint: Callable[[str], Checkpoint], text_len: int
) -> None:
    """And what is noted from the window on is what those tokens were given."""
    recipe = Recipe()
    state, rows = fresh_state(checkpoint("tiny"), recipe, text_len), torch.tensor([SLOT])
    state.step[SLOT], state.attended[SLOT], state.window[SLOT] = 9, min(3, text_len - 1), min(3, text_len - 1)
    generator = torch.Generator().manual_seed(text_len)
    q, keys, values = (
        torch.randn(*dims, generator=generator) for dims in ((1, 32), (3, MAX_TOKENS, 32), (3, MAX_TOKENS, 32))
    )
    weights = ((keys[SLOT, :text_len] @ q[0]) / 32**0.5).softmax(0) * prior.weights(state, rows, recipe)[0, :text_len]
    weights /= weights.sum()
    reach = torch.zeros(1, recipe.prior_lookahead + 1)
    heard = plain.attend_text(q, keys, values, rows, state, recipe, has_prior=True, reach=reach)
    torch.testing.assert_close(heard[0], weights @ values[SLOT, :text_len])
    seen = weights[int(state.window[SLOT]) :][: recipe.prior_lookahead + 1]
    torch.testing.assert_close(reach[0, : len(seen)], seen)
