"""The measurement itself: for each mode a fresh server, first cold, then one client, then crowds.

Server, clients and bare model are three processes. The bare model and the clients take turns, so that both meet the
same machine and neither computes while the other's clock runs.
"""

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.bench.speech_bare import times_ms
from tests.bench.speech_cancel import Silence, interrupt
from tests.bench.speech_clients import Meeting, meet
from tests.bench.speech_figures import percent, shares, throughput
from tests.bench.speech_meter import peak_mb, usage
from tests.bench.speech_modes import MODES, SOCKETS, Mode, first_text
from tests.bench.speech_process import own_process
from tests.bench.speech_results import Alone, Crowd, Interrupted, ModeResult
from tests.bench.speech_texts import Talk, Texts
from tests.serving import Served, serve_process

REST_S: Final = 0.05
"""Between the bare model and the server: what the one leaves behind does not meet the other."""

NUM_WARM: Final = 2


class Plan(msgspec.Struct, frozen=True):
    """What is measured. `rounds` are of one client; a crowd takes a fifth of them, at least one. `send_rate` is that of
    a crowd's sockets; None is the server's own.
    """

    modes: tuple[Mode, ...] = MODES
    clients: tuple[int, ...] = (1, 2, 4, 8, 16)
    rounds: int = 20
    seed: int = 1
    send_rate: float | None = None

    @property
    def crowd_rounds(self) -> int:
        return max(1, self.rounds // 5)


QUICK: Final = Plan(clients=(1, 4), rounds=1, send_rate=20)


def measure(plan: Plan) -> list[ModeResult]:
    """All modes of a plan, one after the other."""
    with own_process() as clients, own_process() as bare, tempfile.TemporaryDirectory() as folder:
        bench = Bench(plan, clients, bare, Path(folder) / "server.log")
        bench.warm_up()
        return [bench.measure(mode) for mode in plan.modes]


class Bench:
    """A plan and the processes that carry it out. One thread only."""

    def __init__(self, plan: Plan, clients: ProcessPoolExecutor, bare: ProcessPoolExecutor, log: Path) -> None:
        self._plan = plan
        self._clients = clients
        self._bare = bare
        self._log = log
        self._texts = Texts(plan.seed)

    def warm_up(self) -> None:
        """Clients and bare model, so that what is cold afterwards is the server."""
        self._bare_ms("stream", [self._texts.sentence()])
        with serve_process(log=self._log, log_level="warning", model="fake") as served:
            for mode in self._plan.modes:
                self._meet(served, mode, [self._texts.sentence()], send_rate=0)

    def measure(self, mode: Mode) -> ModeResult:
        """One mode, on a server of its own."""
        started_s = time.perf_counter()
        with serve_process(log=self._log, log_level="warning") as served:
            ready_s = time.perf_counter() - started_s
            cold = self._meet(served, mode, [self._texts.sentence()], send_rate=0)
            return ModeResult(
                mode=mode,
                ready_s=round(ready_s, 2),
                cold_ms=round(cold.told[0].first_ms, 2),
                alone=self._alone(served, mode) if 1 in self._plan.clients else None,
                crowds=[self._crowd(served, mode, num_clients) for num_clients in self._plan.clients],
                memory_mb=round(usage(served.pid).memory_mb, 1),
                peak_mb=round(peak_mb(served.pid), 1),
            )

    def _alone(self, served: Served, mode: Mode) -> Alone:
        bare_ms: list[float] = []
        served_ms: list[float] = []
        for round_ in range(-NUM_WARM, self._plan.rounds):
            talk = self._texts.sentence()
            bare = self._bare_ms(mode, [talk])
            meeting = self._meet(served, mode, [talk], send_rate=0)
            if round_ >= 0:
                bare_ms += bare
                served_ms += [one.first_ms for one in meeting.told]
        return Alone(len(served_ms), shares(served_ms), shares(bare_ms))

    def _crowd(self, served: Served, mode: Mode, num_clients: int) -> Crowd:
        bare_ms: list[float] = []
        meetings: list[Meeting] = []
        silences: list[Silence] = []
        for _ in range(self._plan.crowd_rounds):
            talks = [self._texts.talk() for _ in range(num_clients)]
            bare_ms += self._bare_ms(mode, talks)
            meetings.append(self._meet(served, mode, talks, send_rate=self._plan.send_rate))
            if mode in SOCKETS:
                talks = [self._texts.talk() for _ in range(num_clients)]
                silences += self._clients.submit(interrupt, served, mode, talks).result()
        return crowd_of(num_clients, bare_ms, meetings, silences)

    def _meet(self, served: Served, mode: Mode, talks: list[Talk], **given: Any) -> Meeting:
        seeds = [self._texts.seed() for _ in talks]
        return self._clients.submit(meet, served, mode, talks, seeds, **given).result()

    def _bare_ms(self, mode: Mode, talks: list[Talk]) -> list[float]:
        texts = [first_text(mode, talk) for talk in talks]
        taken_ms = self._bare.submit(times_ms, texts, [self._texts.seed() for _ in talks]).result()
        time.sleep(REST_S)
        return taken_ms


def crowd_of(num_clients: int, bare_ms: list[float], meetings: list[Meeting], silences: list[Silence]) -> Crowd:
    """The rounds of a crowd as one record."""
    told = [one for meeting in meetings for one in meeting.told]
    took_s = sum(meeting.took_s for meeting in meetings)
    return Crowd(
        num_clients=num_clients,
        num_streams=len(told),
        first_ms=shares(one.first_ms for one in told),
        bare_ms=shares(bare_ms),
        rtf=shares((one.rtf for one in told), digits=4),
        underrun_s=shares((one.underrun_s for one in told), digits=3),
        audio_s_per_s=round(throughput(told, took_s), 1),
        server_percent=round(percent(sum(meeting.server_s for meeting in meetings), took_s), 1),
        clients_percent=round(percent(sum(meeting.clients_s for meeting in meetings), took_s), 1),
        interrupted=_interrupted(silences) if silences else None,
    )


def _interrupted(silences: list[Silence]) -> Interrupted:
    return Interrupted(
        last_byte_ms=shares(one.last_byte_ms for one in silences),
        answer_ms=shares(one.answer_ms for one in silences),
        num_late_bytes=shares((one.num_late_bytes for one in silences), digits=0),
    )
