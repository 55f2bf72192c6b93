"""Where in its text a voice is, and what keeps it moving forward. The plain form; `kernels` has the same for the GPU.

After each step the alignment layers' cross-attention says which token the newest frame attends to. The next step's
attention is weighted by a prior: open from one token behind to a few ahead, nearly closed elsewhere, and closed behind
tokens that were attended to too often.

Source: NeMo 3.0.0, `MagpieTTSModel.get_most_attended_text_timestep` and `construct_inference_prior`.
"""

from typing import Final

import torch
from torch import Tensor

from engines.magpie.shape import Recipe
from engines.magpie.state import State

SINK_COUNT: Final = 8
"""A token attended to this often is passed over: the next frame looks behind it."""

CLOSE_COUNT: Final = 10
"""A token attended to this often closes the prior up to itself."""

IGNORED_END: Final = 3
"""The last tokens of a text never win: arriving there means that the text is over."""

FREE_TOKENS: Final = 5
"""Texts up to this many tokens have no prior."""

PATIENT_STEPS: Final = 5
FORCED_STEPS: Final = 20
"""After so many steps near the end of the text the end may come, and must come."""


def weights(state: State, rows: Tensor, recipe: Recipe) -> Tensor:
    """The prior (B, X) float32 of each row's next step."""
    token = torch.arange(state.max_tokens, device=rows.device)[None]
    attended, text_len = state.attended[rows, None], state.text_len[rows, None]
    is_open = (token >= (attended - 1).clamp(min=1)) & (
        token <= (attended + recipe.prior_lookahead).clamp(max=text_len - 1)
    )
    is_open |= text_len <= FREE_TOKENS
    is_open &= token > state.sunk[rows, None]
    is_open |= state.step[rows, None] <= recipe.prior_start_step
    return torch.where(is_open, 1.0, recipe.prior_epsilon)


def follow(state: State, rows: Tensor, reach: Tensor, recipe: Recipe) -> None:
    """Move each row to the token that its newest frame attends to.

    `reach` (B, W): the attention paid to the W tokens from the row's window on.
    """
    window, text_len = state.window[rows], state.text_len[rows]
    last = torch.minimum(window + recipe.prior_lookahead, text_len - IGNORED_END)
    offsets = torch.arange(reach.shape[1], device=rows.device)[None]
    inside = reach.masked_fill(window[:, None] + offsets >= last[:, None], float("-inf"))
    attended = torch.where(window < last, window + inside.argmax(1).int(), text_len - 1)
    if recipe.has_prior and recipe.prior_start_step:
        is_early = state.step[rows] < recipe.prior_start_step
        attended = torch.where(is_early, state.attended[rows], attended)
    else:
        is_early = torch.zeros_like(attended, dtype=torch.bool)
    count = state.counts[rows, attended.long()] + (~is_early).int()
    state.counts[rows, attended.long()] = count
    state.attended[rows] = attended
    state.sunk[rows] = torch.where(count >= CLOSE_COUNT, torch.maximum(state.sunk[rows], attended), state.sunk[rows])
    state.window[rows] = torch.where(is_early, window, attended + (count >= SINK_COUNT).int())
    near = state.near_end[rows]
    is_near = (near > 0) | (attended >= text_len - 2)
    state.near_end[rows] = torch.where(is_near & ~is_early, near + 1, near)


def end_rules(state: State, rows: Tensor, recipe: Recipe, stacking: int) -> tuple[Tensor, Tensor]:
    """Whether the end is forbidden, and whether it is forced, in the step being drawn: two (B,) booleans.

    The text's end counts from where the prior begins, and without a prior not at all.
    """
    is_forbidden = state.step[rows] * stacking < recipe.min_frames
    is_forced = torch.zeros_like(is_forbidden)
    if recipe.tracks_text_end and recipe.has_prior:
        is_known = state.step[rows] >= recipe.prior_start_step
        near = state.near_end[rows]
        is_early = (state.attended[rows] < state.text_len[rows] - IGNORED_END) & (near <= PATIENT_STEPS)
        is_forbidden |= is_known & is_early
        is_forced = is_known & (near >= FORCED_STEPS)
    return is_forbidden, is_forced
