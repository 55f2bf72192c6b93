"""What a step of many slots costs beside the model: `python -m tests.bench.scheduler [--slots 64 256 512] [--steps N]`.

The engine runs as it is, on a model that makes noise at no cost: every slot is stepped, and one of eight hands out a
chunk. Printed is the time that passes between two steps of the model, for which a device waits: first by the device
thread alone, whose results go nowhere, then with a reader for every session on the event loop, which takes turns with
it. In a step the model rests for as long as a GPU would work.
"""

import argparse
import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engines.engine import Engine
from engines.model import Made, Prefill, StepResult, Wake
from engines.session import Session
from engines.types import AudioFormat, Limits, Voice

FRAME_SAMPLES = 1024
CHUNK_FRAMES = 8  # so that one slot of eight has audio in a step
BUDGET_MS = 1.5  # of the median, for the device thread alone with 512 slots
LONG = "This is never spoken to its end. " * 3


class Noise:
    """A model whose steps take `step_s`, and whose rows hand out a chunk in every eighth. It begins when `go` is set,
    and stops after `num_steps`; `gaps_s` are the times between its steps."""

    name = "noise"
    format = AudioFormat(22_050, FRAME_SAMPLES * CHUNK_FRAMES)
    voices = (Voice("noise", "en-US"),)
    languages = ("en",)
    speeds = (1.0, 1.0)

    def __init__(self, num_slots: int, num_steps: int, step_s: float) -> None:
        self.num_slots = self.num_prefills = self.step_width = num_slots
        self.go, self.is_done = threading.Event(), threading.Event()
        self.gaps_s: list[float] = []
        self._num_steps, self._step_s = num_steps, step_s
        self._ended_s: float | None = None
        self._count = 0
        self._pcm = np.random.default_rng(0).uniform(-0.5, 0.5, self.format.frame_samples).astype(np.float32)

    def is_speakable(self, char: str, language: str) -> bool:
        return char.isalpha()

    def max_segment_chars(self, language: str) -> int:
        return len(LONG)

    def prefill(self, jobs: Sequence[Prefill]) -> None: ...
    def release(self, slot: int) -> None: ...
    def forget(self, session: int) -> None: ...
    def close(self) -> None: ...

    def step(self, slots: Sequence[int]) -> Made:
        if self._ended_s is not None:
            self.gaps_s.append(time.perf_counter() - self._ended_s)
        self.go.wait()
        if len(self.gaps_s) >= self._num_steps:
            self.is_done.set()
        self._count += 1
        results = [StepResult(slot, self._pcm) for slot in slots if (slot + self._count) % CHUNK_FRAMES == 0]
        time.sleep(self._step_s)
        self._ended_s = time.perf_counter()
        return Made(results)


class Nowhere:
    """A loop that nothing reaches."""

    def call_soon_threadsafe(self, call: Callable[..., None], *args: object) -> None: ...


class Parts:
    """Where the time goes: calls by name, wrapped."""

    def __init__(self) -> None:
        self.spent_s: defaultdict[str, float] = defaultdict(float)

    def wrap(self, owner: Any, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any) -> Any:
            started_s = time.perf_counter()
            try:
                return call(*args)
            finally:
                self.spent_s[name.strip("_")] += time.perf_counter() - started_s

        setattr(owner, name, timed)


async def measure(num_slots: int, num_steps: int, step_s: float, *, is_alone: bool) -> tuple[list[float], Parts]:
    """The gaps between steps with all slots taken, and where the time went."""
    model = Noise(num_slots, num_steps, step_s)
    max_queued_s = 1e6 if is_alone else 1.0

    def load(_: Wake) -> Noise:
        return model

    engine = Engine(load, limits=Limits(max_sessions=num_slots, max_queued_s=max_queued_s))
    engine.start()
    await engine.wait_ready()
    sessions = [engine.open_session() for _ in range(num_slots)]
    for session in sessions:
        session.push_segment(LONG)
    readers = [] if is_alone else [asyncio.create_task(read(session)) for session in sessions]
    if is_alone:
        engine._loop = Nowhere()  # type: ignore[assignment]
    parts = Parts()
    assert engine._loaded is not None
    for owner, name in (
        (engine._loaded.scheduler, "next_step"),
        (engine._loaded.scheduler, "finish_step"),
        (engine, "_shape"),
        (engine, "_deliver"),
    ):
        parts.wrap(owner, name)
    model.go.set()
    began_s = time.thread_time()
    await asyncio.to_thread(model.is_done.wait)
    if not is_alone:
        parts.spent_s["the loop's thread"] = time.thread_time() - began_s
    for reader in readers:
        reader.cancel()
    await engine.close()
    return sorted(model.gaps_s[5:num_steps]), parts


async def read(session: Session) -> None:
    async for _ in session:
        pass


def report(num_slots: int, num_steps: int, step_s: float, *, is_alone: bool) -> None:
    gaps_s, parts = asyncio.run(measure(num_slots, num_steps, step_s, is_alone=is_alone))
    p50_ms, p99_ms = (1000 * gaps_s[int(share * (len(gaps_s) - 1))] for share in (0.5, 0.99))
    spent = ", ".join(f"{name} {1000 * spent_s / num_steps:.2f}" for name, spent_s in parts.spent_s.items())
    name = "device thread alone" if is_alone else "readers on the loop"
    judged = "" if p50_ms <= BUDGET_MS else f", over the {BUDGET_MS} ms that 512 slots may take"
    print(f"{num_slots:4d} slots, {name}: p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms ({spent}){judged}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--step-ms", type=float, default=5.0, help="how long the model rests in a step")
    options = parser.parse_args()
    for num_slots in options.slots:
        for is_alone in (True, False):
            report(num_slots, options.steps, options.step_ms / 1000, is_alone=is_alone)


if __name__ == "__main__":
    main()
