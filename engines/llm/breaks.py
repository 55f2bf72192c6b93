"""When others get their tokens while a long prompt is read aside."""

from collections.abc import Callable
from typing import Final

from engines.llm.jobs import Step
from engines.llm.session import TextSession

MIN_SHARE: Final = 0.25
"""Of the time, which the reading has however long the steps of the others take."""


class Breaks:
    """Takes the steps, and in the middle of a reading so many of them that one begins every `step_ms`. Device thread
    only. `poll` gives a step if there is one to take; `clock` gives seconds, monotonic.
    """

    def __init__(
        self,
        step_ms: float,
        take: Callable[[Step[TextSession]], None],
        poll: Callable[[], Step[TextSession] | None],
        clock: Callable[[], float],
    ) -> None:
        self._every_s = step_ms / 1000
        self._take = take
        self._poll = poll
        self._clock = clock
        self._due_s = 0.0

    def take(self, step: Step[TextSession]) -> None:
        """A step, and the time until the next."""
        began_s = self._clock()
        self._take(step)
        ended_s = self._clock()
        if step.rows:
            self._due_s = max(began_s + self._every_s, ended_s + MIN_SHARE * self._every_s)

    def breathe(self) -> None:
        """Take a step if one is due. While there is none to take, somebody may come at any moment."""
        if self._clock() >= self._due_s and (step := self._poll()) is not None:
            self.take(step)
