"""How much of a prompt is evaluated beside those who are writing."""

from typing import Final

MIN_PIECE_TOKENS: Final = 8
"""A prompt gets on, however long the step that it is part of takes."""

_NEWS = 0.25  # weight of the latest measurement in an estimate


class PrefillBudget:
    """Sizes pieces of prompts so that a step takes about `step_ms`, from what steps have taken. Device thread only.

    It keeps two running estimates: a step without any of a prompt, and what a token of one adds.
    """

    def __init__(self, step_ms: float) -> None:
        self._budget_ms = step_ms
        self._step_ms = 0.0
        self._token_ms: float | None = None

    @property
    def num_tokens(self) -> int:
        """The piece that fits."""
        if self._token_ms is None:
            return MIN_PIECE_TOKENS
        return max(MIN_PIECE_TOKENS, int((self._budget_ms - self._step_ms) / self._token_ms))

    def observe(self, took_ms: float, num_writers: int, num_prompt_tokens: int) -> None:
        """Learn from a step."""
        if not num_prompt_tokens:
            self._step_ms += _NEWS * (took_ms - self._step_ms) if self._step_ms else took_ms
            return
        added_ms = took_ms - (self._step_ms if num_writers else 0.0)
        token_ms = max(added_ms / num_prompt_tokens, 1e-3)
        self._token_ms = token_ms if self._token_ms is None else self._token_ms + _NEWS * (token_ms - self._token_ms)
