"""Who is let in: none any more once the door is closed."""

from engines.errors import Draining


class Admission:
    """The door of an engine. Event loop only."""

    def __init__(self) -> None:
        self._is_open = True

    @property
    def is_open(self) -> bool:
        """Whether new sessions are let in at all."""
        return self._is_open

    def close(self) -> None:
        """Let nobody in from now on. Whoever is inside stays until they leave."""
        self._is_open = False

    def check(self) -> None:
        """Return where one more session would be let in now.

        Raises:
            Draining: it is closed.
        """
        if not self._is_open:
            raise Draining
