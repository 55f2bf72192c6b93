"""When a voice has lost its text: a segment that goes on without end, stands still, or runs back is ended.

Magpie has no certain end. It may babble behind the last word, hang on a token, or never say that it is done; a listener
must not hear that for long. Healthy speech stays far from all of these limits.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FRAMES_PER_TOKEN: Final = 8
"""Ordinary speech takes one to two frames of 46 ms a token, drawn-out speech four."""

FREE_FRAMES: Final = 40
"""Granted whatever the text: 1.9 s."""

BABBLE_S: Final = 1.5
"""So long after the text's last token was reached the end should have come."""

STUCK_S: Final = 3.0
"""So long on one token is no pause any more."""

BACKWARD_S: Final = 1.0
BACKWARD_TOKENS: Final = 4
"""So long so far behind what has been said already."""


class Guards:
    """Watches where in its text each slot is. Device thread only.

    `step_s` is the audio of one step in seconds, `stacking` its frames; `num_ignored` tokens at the end of a text count
    as the end.
    """

    def __init__(self, num_slots: int, *, step_s: float, stacking: int, num_ignored: int) -> None:
        self._max_steps = np.zeros(num_slots, np.int64)
        self._steps = np.zeros(num_slots, np.int64)
        self._last_token = np.zeros(num_slots, np.int64)
        self._furthest = np.zeros(num_slots, np.int64)
        self._stalled = np.zeros(num_slots, np.int64)
        self._behind = np.zeros(num_slots, np.int64)
        self._stacking = stacking
        self._num_ignored = num_ignored
        self._babble, self._stuck, self._backward = (round(limit / step_s) for limit in (BABBLE_S, STUCK_S, BACKWARD_S))

    def begin(self, slot: int, num_tokens: int) -> None:
        """A new segment of so many tokens, its end token included."""
        self._max_steps[slot] = (FREE_FRAMES + FRAMES_PER_TOKEN * num_tokens) // self._stacking
        self._last_token[slot] = num_tokens - self._num_ignored
        self._furthest[slot] = -1
        for counter in (self._steps, self._stalled, self._behind):
            counter[slot] = 0

    def check(self, slots: NDArray[np.int64], attended: NDArray[np.int32]) -> dict[int, str]:
        """Take note of one step of these slots. Returns those that must end now, and why, in a word or two."""
        has_advanced = attended > self._furthest[slots]
        furthest = np.maximum(self._furthest[slots], attended)
        stalled = np.where(has_advanced, 0, self._stalled[slots] + 1)
        behind = np.where(attended < furthest - BACKWARD_TOKENS, self._behind[slots] + 1, 0)
        steps = self._steps[slots] + 1
        self._furthest[slots], self._stalled[slots], self._behind[slots] = furthest, stalled, behind
        self._steps[slots] = steps
        is_over = furthest >= self._last_token[slots]
        found: dict[int, str] = {}
        for reason, is_so in (
            ("too long", steps >= self._max_steps[slots]),
            ("backward", behind > self._backward),
            ("stuck", ~is_over & (stalled > self._stuck)),
            ("babble", is_over & (stalled > self._babble)),
        ):
            found |= dict.fromkeys(slots[is_so].tolist(), reason)
        return found
