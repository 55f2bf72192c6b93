"""When others get their tokens while a long prompt is read aside."""

from collections import deque
from collections.abc import Callable
from typing import Final

from engines.llm.jobs import Step
from engines.llm.session import TextSession

MIN_SHARE: Final = 0.25
"""Of the time, which the reading has however long the steps of the others take."""

_AIM: Final = 0.9
"""Of `wait_ms`: no step takes exactly as long as the one before."""

_MOST_STEPS: Final = 7
"""Of the others' own, each of them waits at most: who writes alone writes quickly, and is not to wait like a crowd."""

_NUM_LAST: Final = 2
"""Steps that say how long the next will take: one that was quick by chance says nothing."""

_EARLY: Final = 0.5
"""Of `wait_ms`: so far ahead of its time a step is taken in front of what cannot be interrupted."""


class Breaks:
    """Takes the steps, and in the middle of a reading so many of them that nobody waits longer than `wait_ms` for the
    next token, as far as a step takes as long as the last ones did. Device thread only. `poll` gives a step if there is
    one to take; `clock` gives seconds, monotonic.
    """

    def __init__(
        self,
        wait_ms: float,
        take: Callable[[Step[TextSession]], None],
        poll: Callable[[], Step[TextSession] | None],
        clock: Callable[[], float],
    ) -> None:
        self._wait_s = wait_ms / 1000
        self._take = take
        self._poll = poll
        self._clock = clock
        self._took_s = deque([0.0], maxlen=_NUM_LAST)
        self._due_s = 0.0
        self._expected_s: dict[int, float] = {}  # from a breath of a piece to the next, as it was in the piece before
        self._num_breaths = 0
        self._breathed_s = 0.0

    def begin_piece(self) -> None:
        """Another piece is read from now on."""
        self._num_breaths = 0

    def take(self, step: Step[TextSession]) -> None:
        """A step, and the time until the next."""
        began_s = self._clock()
        self._take(step)
        ended_s = self._clock()
        if step.rows:
            self._took_s.append(ended_s - began_s)
            expected_s = max(self._took_s)
            rest_s = min(_AIM * self._wait_s, _MOST_STEPS * expected_s) - expected_s
            self._due_s = ended_s + max(rest_s, MIN_SHARE * self._wait_s)

    def breathe(self) -> None:
        """Take a step if one is due, or will sooner be so than halfway to the next breath. While there is none to take,
        somebody may come at any moment.
        """
        if self._num_breaths:
            self._expected_s[self._num_breaths] = self._clock() - self._breathed_s
        self._num_breaths += 1
        self._breathe_ahead(self._expected_s.get(self._num_breaths, 0.0) / 2)
        self._breathed_s = self._clock()

    def breathe_early(self) -> None:
        """Take a step if one will be due soon."""
        self._breathe_ahead(_EARLY * self._wait_s)

    def _breathe_ahead(self, seconds: float) -> None:
        if self._clock() + seconds >= self._due_s and (step := self._poll()) is not None:
            self.take(step)
