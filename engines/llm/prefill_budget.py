"""How much of a prompt is evaluated beside those who are writing."""

from math import sqrt
from typing import Final

MIN_PIECE_TOKENS: Final = 8
"""A prompt gets on, however long the step that it is part of takes."""

_MOST = 4.0  # times as long or as short as it may be: what a step says at most


class PrefillBudget:
    """Sizes pieces of prompts so that a step takes about `step_ms`. Device thread only.

    A controller, not a model of the device: a step that took too long makes the next piece smaller, one that had time
    left makes it larger, by half of what was missed (on a logarithmic scale) and at most twofold. So nothing has to be
    known of what a writer or a token costs, and one step that the machine disturbed is forgotten in two.
    """

    def __init__(self, step_ms: float) -> None:
        self._budget_ms = step_ms
        self._fits = float(MIN_PIECE_TOKENS)

    @property
    def num_tokens(self) -> int:
        """The piece that fits."""
        return int(self._fits)

    def observe(self, took_ms: float, num_prompt_tokens: int) -> None:
        """Learn from a step. A short piece that fits says nothing of a longer one; nor does one that had leave to be
        larger than this budget.
        """
        is_short = num_prompt_tokens < self.num_tokens and took_ms < self._budget_ms
        if not num_prompt_tokens or is_short or num_prompt_tokens > self.num_tokens:
            return
        room = min(max(self._budget_ms / max(took_ms, 1e-3), 1 / _MOST), _MOST)
        fits = min(self._fits, num_prompt_tokens + 1) * sqrt(room)
        self._fits = max(fits, float(MIN_PIECE_TOKENS))
