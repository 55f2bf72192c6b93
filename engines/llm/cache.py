"""The model's cells: who holds how many of them, and what was put aside."""

from collections.abc import Hashable, Sequence

from engines.llm.model import Run, TextModel


class Cache:
    """What the slots of a model hold, kept in step with it. Device thread only, except `num_used`: any thread.

    A cell is counted once however many slots hold it. What is put aside is known by its owner.
    """

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self._cells: list[list[int]] = [[] for _ in range(model.num_slots)]  # by slot, in order
        self._num_holders: dict[int, int] = {}  # by cell
        self._num_taken = 0
        self._aside: dict[Hashable, tuple[bytes, int]] = {}

    @property
    def num_used(self) -> int:
        return len(self._num_holders)

    @property
    def num_aside_bytes(self) -> int:
        return sum(len(saved) for saved, _ in self._aside.values())

    def evaluate(self, runs: Sequence[Run]) -> bool:
        """Add these to their slots, in place of what those hold from there on. False: there is no room."""
        for run in runs:
            self.truncate(run.slot, run.start)
        if not self._model.decode(runs):
            return False
        for run in runs:
            self._take(run.slot, len(run.tokens))
        return True

    def truncate(self, slot: int, length: int) -> None:
        cells = self._cells[slot]
        if len(cells) <= length:
            return
        self._model.truncate(slot, length)
        for cell in cells[length:]:
            self._num_holders[cell] -= 1
            if not self._num_holders[cell]:
                del self._num_holders[cell]
        del cells[length:]

    def copy(self, source: int, target: int, length: int) -> None:
        """Let a slot hold the first tokens of another, and nothing else. They take no cells of their own."""
        self.truncate(target, 0)
        self._model.copy(source, target, length)
        self._cells[target] = self._cells[source][:length]
        for cell in self._cells[target]:
            self._num_holders[cell] += 1

    def put_aside(self, owner: Hashable, slot: int, length: int) -> None:
        """Save the first tokens of a slot for `bring_back`, and empty it."""
        self.truncate(slot, length)
        self._aside[owner] = self._model.save(slot), length
        self.truncate(slot, 0)

    def bring_back(self, owner: Hashable, slot: int) -> bool:
        """Let an empty slot hold what was put aside for this owner, if anything was. False: there is no room."""
        if owner not in self._aside:
            return True
        saved, length = self._aside[owner]
        if not self._model.load(slot, saved):
            return False
        del self._aside[owner]
        self._take(slot, length)
        return True

    def keep(self, owner: Hashable, saved: bytes, length: int) -> None:
        """Let this, which was never in a slot, be what was put aside for this owner."""
        self._aside[owner] = saved, length

    def take(self, owner: Hashable) -> bytes | None:
        """What was put aside for this owner, who will not bring it back."""
        saved, _ = self._aside.pop(owner, (None, 0))
        return saved

    def forget(self, owner: Hashable) -> None:
        """What was put aside for this owner is wanted no longer."""
        self._aside.pop(owner, None)

    def _take(self, slot: int, num_cells: int) -> None:
        cells = range(self._num_taken, self._num_taken + num_cells)
        self._num_taken += num_cells
        self._cells[slot].extend(cells)
        self._num_holders.update(dict.fromkeys(cells, 1))
