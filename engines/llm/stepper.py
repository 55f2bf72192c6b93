"""A step, on the model's side."""

from collections.abc import Callable, Sequence

from engines.llm.cache import Cache
from engines.llm.jobs import Job, Reading, Row, Step
from engines.llm.model import Sampler, TextModel
from engines.llm.session import TextSession


class Stepper:
    """Takes steps with a model. Device thread only.

    `on_back` is told of a session whose sequence was put aside when it is in the cache again.
    """

    def __init__(self, model: TextModel, cache: Cache, on_back: Callable[[Job[TextSession]], None]) -> None:
        self._model = model
        self._cache = cache
        self._on_back = on_back
        self._samplers: dict[Job[TextSession], Sampler] = {}
        self._in_reader: Job[TextSession] | None = None

    def prepare(self, step: Step[TextSession]) -> None:
        """Put away what has to leave its slot, and begin with what is there already."""
        for save in step.saves:
            self._cache.put_aside(save.job, save.slot, save.length)
        for slot in step.releases:
            self._cache.truncate(slot, 0)
        for job in step.forgets:
            self._forget(job)
        for copy in step.copies:
            self._cache.copy(copy.source, copy.target, copy.length)

    def evaluate(self, rows: Sequence[Row[TextSession]]) -> bool:
        """False: the cells do not suffice; no sequence has got on."""
        if not all(self._is_back(row) for row in rows) or not self._cache.evaluate([row.run for row in rows]):
            return False
        for row in rows:
            row.job.sequence.num_evaluated += len(row.run.tokens)
        return True

    def read(self, reading: Reading[TextSession], breathe: Callable[[], None]) -> None:
        """A piece of a prompt, aside. `breathe` may take steps."""
        reader, job, run = self._model.reader, reading.job, reading.run
        assert reader is not None, "it is the model's that something is read aside"
        if self._in_reader is not job:
            self._leave_reader()
            if reading.is_first:
                self._take_out(job, run.slot, run.start)
            reader.begin(self._cache.take(job))
            self._in_reader = job
        reader.read(run.start, run.tokens, breathe)

    def bring_in(self, job: Job[TextSession], breathe: Callable[[], None]) -> None:
        """What was read of a prompt goes to its slot. That takes as long as a step, or two: in front of each of its
        halves `breathe` may take one.
        """
        breathe()
        self._leave_reader()
        breathe()
        slot = job.slot  # its session may end meanwhile: then what comes there is put away in front of the next step
        if slot is not None and job.is_aside and self._cache.bring_back(job, slot):
            self._on_back(job)

    def draw(self, row: Row[TextSession]) -> bytes | None:
        """What the next token of a sequence writes. None: it ends the answer."""
        job = row.job
        if job not in self._samplers:
            self._samplers[job] = self._model.make_sampler(job.owner.sampling)
        token = self._model.draw(row.run.slot, self._samplers[job])
        if self._model.is_end(token):
            return None
        job.sequence.tokens.append(token)
        return self._model.piece(token)

    def close(self) -> None:
        for job in tuple(self._samplers):
            self._forget(job)

    def _is_back(self, row: Row[TextSession]) -> bool:
        """Whether what was put aside is in its slot, now if not before."""
        if row.job.is_aside:
            if row.job is self._in_reader:
                self._leave_reader()
            if not self._cache.bring_back(row.job, row.run.slot):
                return False
            self._on_back(row.job)
        return True

    def _take_out(self, job: Job[TextSession], slot: int, length: int) -> None:
        """What a slot holds goes where it can be read on from."""
        if length:
            self._cache.put_aside(job, slot, length)
        else:
            self._cache.truncate(slot, 0)

    def _leave_reader(self) -> None:
        """What was read there can be brought to a slot from now on."""
        reader, job, self._in_reader = self._model.reader, self._in_reader, None
        if reader is not None and job is not None:
            length = job.sequence.num_evaluated
            self._cache.keep(job, reader.save(length), length)

    def _forget(self, job: Job[TextSession]) -> None:
        if job is self._in_reader:
            self._in_reader = None
        self._cache.forget(job)
        if (sampler := self._samplers.pop(job, None)) is not None:
            sampler.close()
