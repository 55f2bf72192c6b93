"""Where the time of a device thread goes, and how late an event loop is: measured by wrapping what the engine calls."""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from engines.engine import Engine

_WRAPPED = (  # (path from the engine, name of the call, what its time is called)
    ("_loaded.scheduler._condition", "wait", "idle"),
    ("_loaded.scheduler", "next_step", "schedule"),
    ("_loaded.scheduler", "finish_step", "schedule"),
    ("_loaded.model", "prefill", "prefill"),
    ("_loaded.model", "_read", "read"),
    ("_loaded.model._sound", "begin", "begin sound"),
    ("_loaded.model._prefills", "_send", "stage"),
    ("_loaded.model._prefills", "launch", "launch prefill"),
    ("_loaded.model._sound", "decode", "codec"),
    ("_loaded.model._stepper", "launch", "launch"),
    ("_loaded.model", "_take_note", "note"),
    ("_loaded.model", "_hand_out", "hand out"),
    ("", "_shape", "shape"),
    ("", "_deliver", "deliver"),
)


_BETWEEN = ("schedule", "prefill", "read", "begin sound", "launch prefill", "stage", "shape", "deliver")
"""What a device thread does between two steps; `prefill` holds the next three, and `launch prefill` holds `stage`."""


class _Moment(NamedTuple):
    """The clocks at the beginning or the end of a step, in seconds."""

    wall_s: float
    processor_s: float
    spent_s: tuple[float, ...]  # so far, by `_BETWEEN`


class _Step(NamedTuple):
    begin: _Moment
    end: _Moment
    rows: int
    idle_s: float  # before it


class Meter:
    """One engine's device thread. `attach` it once the model is loaded; `summary` and `reset` from any thread.

    Times are those of the wall, so what other threads take from this one (Python's lock) is in them.
    """

    def __init__(self) -> None:
        self._spent_s: defaultdict[str, float] = defaultdict(float)
        self._steps: list[_Step] = []
        self._idle_seen_s = 0.0
        self._began_s = time.perf_counter()
        self._is_attached = False

    def attach(self, engine: Engine) -> None:
        if self._is_attached:
            return
        self._is_attached = True
        for path, call, name in _WRAPPED:
            owner = _follow(engine, path)
            if owner is not None and hasattr(owner, call):
                setattr(owner, call, self._timed(getattr(owner, call), name))
        assert engine._loaded is not None, "attached when the model is loaded"
        engine._loaded.model.step = self._step(engine._loaded.model.step)  # type: ignore[method-assign]
        self._watch_gpu()

    def reset(self) -> None:
        self._spent_s.clear()
        self._steps.clear()
        self._idle_seen_s = 0.0
        self._began_s = time.perf_counter()

    def summary(self) -> dict[str, Any]:
        """Shares of the wall since `reset`, milliseconds a step, and the jitter of steps."""
        wall_s, steps = time.perf_counter() - self._began_s, list(self._steps)
        spent_s, count = dict(self._spent_s), max(1, len(steps))
        idle_s, wait_s = spent_s.get("idle", 0.0), spent_s.get("wait for GPU", 0.0)
        spent_s["schedule"] = spent_s.get("schedule", 0.0) - idle_s  # it is `next_step` that waits
        pairs = [(one, after) for one, after in pairwise(steps) if after.idle_s < 1e-5]  # no idling between them
        gaps_ms = [1000 * (after.begin.wall_s - one.end.wall_s) for one, after in pairs]
        apart_ms = [1000 * (after.begin.wall_s - one.begin.wall_s) for one, after in pairs]
        return {
            "wall_s": round(wall_s, 3),
            "steps": len(steps),
            "mean_rows": round(sum(step.rows for step in steps) / count, 1),
            "idle_share": round(idle_s / wall_s, 4),
            "gpu_wait_share": round(wait_s / wall_s, 4),
            "python_share": round(max(0.0, 1 - (idle_s + wait_s) / wall_s), 4),
            "ms_a_step": {name: round(1000 * spent / count, 4) for name, spent in sorted(spent_s.items())},
            "step_ms": _shares([1000 * (step.end.wall_s - step.begin.wall_s) for step in steps]),
            "between_steps_ms": _shares(gaps_ms),
            "longest_between_ms": _longest(pairs),
            "step_to_step_ms": _shares(apart_ms),
        }

    # -- inside ----------------------------------------------------------------------------------------------------

    def _timed(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        spent_s = self._spent_s

        def timed(*args: Any, **kwargs: Any) -> Any:
            started_s = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                spent_s[name] += self._since(started_s)

        return timed

    def _since(self, started_s: float) -> float:
        """Seconds, but for what was before `reset`."""
        return max(0.0, time.perf_counter() - max(started_s, self._began_s))

    def _step(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(slots: Any) -> Any:
            begin = self._moment()
            idle_s = self._spent_s.get("idle", 0.0)
            try:
                return call(slots)
            finally:
                end = self._moment()
                self._spent_s["step"] += end.wall_s - begin.wall_s
                self._steps.append(_Step(begin, end, len(slots), idle_s - self._idle_seen_s))
                self._idle_seen_s = idle_s

        return step

    def _moment(self) -> _Moment:
        spent_s = tuple(self._spent_s.get(name, 0.0) for name in _BETWEEN)
        return _Moment(time.perf_counter(), time.thread_time(), spent_s)

    def _watch_gpu(self) -> None:
        """Every wait for a stream or an event on a device thread counts as waiting for the GPU."""
        import torch

        if torch.cuda.is_available():
            for kind in (torch.cuda.Stream, torch.cuda.Event):
                kind.synchronize = self._waiting(kind.synchronize)  # type: ignore[method-assign]

    def _waiting(self, wait: Callable[[Any], None]) -> Callable[[Any], None]:
        spent_s = self._spent_s

        def synchronize(awaited: Any) -> None:
            started_s = time.perf_counter()
            try:
                wait(awaited)
            finally:
                if threading.current_thread().name == "device":
                    spent_s["wait for GPU"] += self._since(started_s)

        return synchronize


def said_of(summary: dict[str, Any]) -> str:
    """A summary, in short."""
    return (
        f"device thread: waits for the GPU {summary['gpu_wait_share']:.0%}, Python {summary['python_share']:.0%}, idle "
        f"{summary['idle_share']:.0%}; step ms {summary['step_ms']}, between steps ms {summary['between_steps_ms']}"
    )


class LoopLag:
    """How late an event loop comes back from a sleep of 10 ms: a task of its own while in the block."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    def take(self) -> dict[str, float]:
        """Since the last time."""
        late_ms, self._late_ms = self._late_ms, []
        return _shares(late_ms)

    async def __aenter__(self) -> "LoopLag":
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while True:
            started_s = time.perf_counter()
            await asyncio.sleep(0.01)
            self._late_ms.append(1000 * (time.perf_counter() - started_s - 0.01))


def _follow(engine: Any, path: str) -> Any:
    owner = engine
    for name in path.split(".") if path else ():
        owner = getattr(owner, name, None)
    return owner


def _longest(pairs: list[tuple[_Step, _Step]]) -> dict[str, float]:
    """What the longest hundredth of the times between two steps is made of, on the average; `processor` is what the
    thread ran of it, so that the rest is waiting: for Python's lock, or for a call into CUDA.
    """
    longest = sorted(pairs, key=lambda pair: pair[1].begin.wall_s - pair[0].end.wall_s)[-max(1, len(pairs) // 100) :]
    if not pairs:
        return {}
    made_of = {
        name: [after.begin.spent_s[place] - one.end.spent_s[place] for one, after in longest]
        for place, name in enumerate(_BETWEEN)
    }
    made_of["all"] = [after.begin.wall_s - one.end.wall_s for one, after in longest]
    made_of["processor"] = [after.begin.processor_s - one.end.processor_s for one, after in longest]
    return {name: round(1000 * sum(values) / len(values), 3) for name, values in made_of.items()}


def _shares(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    p50, p99, worst = np.percentile(values, (50, 99, 100))
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(float(worst), 3)}
