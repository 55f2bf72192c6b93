"""Who is let in: so many sessions in all, so many of one client, and none any more once it is closed."""

from collections import Counter

from engines.errors import CapacityError, Draining, ShareUsedUp


class Admission:
    """The door of an engine. Event loop only.

    `max_per_client` is how many of the `max_sessions` one client may have open; 0: all of them. A client is whatever
    name the work is done under; work without one shares the empty name. `noun` is what is counted, if not sessions.
    """

    def __init__(self, max_sessions: int, max_per_client: int = 0, *, noun: str = "sessions") -> None:
        self._max_sessions = max_sessions
        self._max_per_client = max_per_client or max_sessions
        self._inside: Counter[str] = Counter()
        self._noun = noun
        self._is_open = True

    @property
    def is_open(self) -> bool:
        """Whether new sessions are let in at all."""
        return self._is_open

    def close(self) -> None:
        """Let nobody in from now on. Whoever is inside stays until they leave."""
        self._is_open = False

    @property
    def num_inside(self) -> int:
        """Sessions that were let in and have not left."""
        return self._inside.total()

    def check(self, client: str | None = None) -> None:
        """Return where one more session, of this client if one is named, would be let in now.

        Raises:
            Draining: it is closed.
            ShareUsedUp: the client has as many open as one may have.
            CapacityError: as many are open as there may be.
        """
        if not self._is_open:
            raise Draining
        if client is not None and self._inside[client] >= self._max_per_client < self._max_sessions:
            raise ShareUsedUp(self._max_per_client, self._noun)
        if self.num_inside >= self._max_sessions:
            raise CapacityError(f"all {self._max_sessions} {self._noun} are in use")

    def enter(self, client: str) -> None:
        """Let a session in, if `check` does. It leaves with `leave`, once."""
        self.check(client)
        self._inside[client] += 1

    def leave(self, client: str) -> None:
        """A session of this client is over."""
        assert self._inside[client] > 0, "only who was let in leaves"
        self._inside[client] -= 1
        if not self._inside[client]:
            del self._inside[client]
