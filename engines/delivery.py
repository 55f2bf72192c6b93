"""The play clock of what is sent to a listener: when it would run dry, and whose doing that is.

Pure: the time now comes in as an argument, in seconds.
"""


class Delivery:
    """A listener plays what was sent from the first of it on. It is an *underrun* when that runs dry although there was
    something to say, and the client was ready to take it: a text that has not come and a reader that has stopped are no
    fault of the server's.
    """

    def __init__(self) -> None:
        self._dry_s: float | None = None  # when all that was sent has been heard; None: nothing was sent
        self._freed_s = 0.0  # when the client had taken what was sent last
        self._owed_s: float | None = None  # since when there is something to say

    def owe(self, now_s: float) -> None:
        """There is something to say."""
        if self._owed_s is None:
            self._owed_s = now_s

    def sent(self, begun_s: float, duration_s: float, now_s: float) -> float:
        """So much audio was ready to be sent at `begun_s`, and now it is. Returns for how long the listener had to wait
        for it.
        """
        dry_s, freed_s, self._freed_s = self._dry_s, self._freed_s, now_s
        self._dry_s = (begun_s if dry_s is None else max(dry_s, begun_s)) + duration_s
        if dry_s is None or self._owed_s is None or self._owed_s > dry_s or freed_s > dry_s:
            return 0.0
        return max(0.0, begun_s - dry_s)

    def settle(self) -> None:
        """All that there was to say has been sent."""
        self._owed_s = None
