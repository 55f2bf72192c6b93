"""Decoder steps alone: their time by number of slots, what they are made of, and how far from the card's limit that is.

The engine whose model is measured idles meanwhile: its device thread waits, and nothing else touches the card.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from engines.magpie.model import Magpie
from engines.magpie.options import MagpieOptions
from engines.model import Prefill
from engines.types import Params, Segment
from tests.bench.magpie_limits import floor_of
from tests.bench.magpie_rig import Rig, Running, text_of

REPEATS: Final = 12
IN_A_ROW: Final = 4
"""Steps that are launched one behind the other, as the engine does: the launch of one hides behind the one before."""

_NO_SESSION: Final = 10**9  # above the numbers of real sessions


class Filled:
    """Slots that are `num_steps` into a real segment, for as long as the block lasts."""

    def __init__(self, model: Magpie, num_slots: int, num_chars: int, num_steps: int) -> None:
        self._model, self._num_slots, self._num_steps = model, num_slots, num_steps
        self._num_chars = num_chars

    def __enter__(self) -> "Filled":
        model, slots = self._model, list(range(self._num_slots))
        jobs = [
            Prefill(
                slot,
                Segment(text_of(self._num_chars, slot), 0),
                model.voices[slot % 5],
                Params(seed=slot),
                _NO_SESSION + slot,
            )
            for slot in slots
        ]
        with on_stream(model):
            for first in range(0, len(jobs), 32):
                model.prefill(jobs[first : first + 32])
            synchronize()
            for _ in range(self._num_steps):
                self.step(self._num_slots)
            synchronize()
            self._kept = [(tensor, tensor.clone()) for tensor in self._moving()]
        return self

    def __exit__(self, *_: object) -> None:
        synchronize()
        for slot in range(self._num_slots):
            self._model.release(slot)
            self._model.forget(_NO_SESSION + slot)

    def step(self, num_slots: int) -> None:
        """One step of the first slots, as the engine launches it."""
        with torch.inference_mode():
            slots = list(range(num_slots))
            self._model._stepper.launch(slots, slots)

    def steps(self, num_slots: int) -> None:
        for _ in range(IN_A_ROW):
            self.step(num_slots)

    def rewind(self) -> None:
        """Back to where the block began."""
        with torch.inference_mode():
            for tensor, kept in self._kept:
                tensor.copy_(kept)
        synchronize()

    def _moving(self) -> list[torch.Tensor]:
        state = self._model._state
        return [state.position, state.step, state.end_frame, state.attended, state.window, state.near_end, state.sunk]


def on_stream(model: Magpie) -> Any:
    return torch.cuda.stream(model._stream)


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def time_steps(
    model: Magpie, sizes: Sequence[int], *, num_chars: int, num_frames: int, stacking: int
) -> list[dict[str, Any]]:
    """p50 of a step half-way into the longest segment: of several in a row and of a single one by the GPU's clock, and
    of one by the host's, from its launch until its report is there."""
    rows: list[dict[str, Any]] = []
    total = min(num_frames // stacking, model._max_steps)
    half = total // 2
    repeats = max(1, min(REPEATS, (total - half - 4) // IN_A_ROW))
    sizes = [size for size in sizes if size <= model.num_slots]
    with Filled(model, sizes[-1], num_chars, half) as filled, on_stream(model):
        for size in sizes:
            filled.rewind()
            for _ in range(3):
                filled.step(size)
            synchronize()
            in_a_row_ms = [_gpu_ms(lambda size=size: filled.steps(size)) / IN_A_ROW for _ in range(repeats)]
            filled.rewind()
            single_ms = [_gpu_ms(lambda size=size: filled.step(size)) for _ in range(repeats)]
            filled.rewind()
            host_ms = [_host_ms(model, lambda size=size: filled.step(size)) for _ in range(repeats)]
            rows.append(
                {
                    "slots": size,
                    "context": model._shape.prefix_len + half,
                    "step_ms": round(statistics.median(in_a_row_ms), 4),
                    "single_ms": round(statistics.median(single_ms), 4),
                    "with_host_ms": round(statistics.median(host_ms), 4),
                    **floor_of(model, size, model._shape.prefix_len + half, num_chars + 1),
                }
            )
    return rows


def _gpu_ms(call: Callable[[], None]) -> float:
    if not torch.cuda.is_available():
        started_s = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - started_s)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def _host_ms(model: Magpie, call: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    call()
    if model._stream is not None:
        model._stream.synchronize()
    return 1000 * (time.perf_counter() - started_s)


# -- parts -------------------------------------------------------------------------------------------------------------


async def step(rig: Rig) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    plan = rig.plan
    for name in plan.sizes:
        running = await rig.running(name)
        for row in _step_rows(rig, running):
            rows.append({"size": name, "precision": running.model._state.keys.dtype.__str__().split(".")[-1], **row})
            print(_line(rows[-1]), flush=True)
    return {"rows": rows, "load_s": {name: round((await rig.running(name)).load_s, 1) for name in plan.sizes}}


def _step_rows(rig: Rig, running: Running) -> list[dict[str, Any]]:
    plan = rig.plan
    return time_steps(
        running.model,
        plan.step_slots,
        num_chars=plan.num_chars,
        num_frames=plan.num_frames,
        stacking=running.checkpoint.shape.stacking,
    )


async def precision(rig: Rig) -> dict[str, Any]:
    """Steps in tf32 and float32, v2602, and how the same steps go in bfloat16 (part "step")."""
    rows: list[dict[str, Any]] = []
    name = rig.plan.sizes[0]
    for kind in ("tf32", "float32") if rig.is_cuda else ("float32",):
        if rows and rig.left_s < 15:
            print("    out of time", flush=True)
            break
        model = _bare(rig, name, kind)
        for row in time_steps(
            model,
            rig.plan.precise_slots,
            num_chars=rig.plan.num_chars,
            num_frames=rig.plan.num_frames,
            stacking=model._shape.stacking,
        ):
            rows.append({"size": name, "precision": kind, **row})
            print(_line(rows[-1]), flush=True)
        del model
        if rig.is_cuda:
            torch.cuda.empty_cache()
    torch.backends.cuda.matmul.allow_tf32 = False
    return {"rows": rows}


def _bare(rig: Rig, name: str, kind: str) -> Magpie:
    """A model of few slots with only the graphs that are measured."""
    sizes = rig.plan.precise_slots
    options = MagpieOptions(slots=max(sizes), precision=kind)  # type: ignore[arg-type]
    before = torch.cuda.current_stream() if rig.is_cuda else None
    model = Magpie(rig.checkpoint(name), options, has_guards=False)
    with torch.inference_mode(), on_stream(model):
        least = min(length for _, length in model._prefills.buckets if length > rig.plan.num_chars)
        for bucket in model._prefills.buckets:
            if bucket[1] == least:
                model._prefills.capture(bucket)
        for size in model._stepper.buckets:
            if size in sizes:
                model._stepper.capture(size)
        model._stepper.capture(model.num_slots)
    if before is not None:
        torch.cuda.set_stream(before)
    return model


def _line(row: dict[str, Any]) -> str:
    return (
        f"    {row['size']:9} {row['precision']:9} {row['slots']:4d} slots: {row['step_ms']:8.3f} ms"
        f"  single {row['single_ms']:8.3f}  with the host {row['with_host_ms']:8.3f}"
        f"  floor {row['floor_ms']:.3f} ({row['bound']})"
    )


# -- what a step is made of --------------------------------------------------------------------------------------------


def kernels_of(model: Magpie, call: Callable[[], None]) -> list[tuple[str, float]]:
    """(name, microseconds) of what one call runs on the GPU, in order; on a CPU operators, by name."""
    from torch.profiler import ProfilerActivity, profile

    is_cuda = torch.cuda.is_available()
    call()
    synchronize()
    with profile(activities=[ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU]) as found:
        call()
        synchronize()
    if not is_cuda:
        return [(event.key, event.self_cpu_time_total) for event in found.key_averages()]
    from torch.autograd import DeviceType

    events = [event for event in found.events() if event.device_type == DeviceType.CUDA]
    return [(event.name, event.device_time) for event in sorted(events, key=lambda event: event.time_range.start)]


def break_down(kernels: Sequence[tuple[str, float]]) -> dict[str, dict[str, float]]:
    """Part -> microseconds and launches. The local transformer is what runs between the prior's update and the last
    draw; what comes after is the end's."""
    names = [name.lower() for name, _ in kernels]
    prior = max((at for at, name in enumerate(names) if "follow" in name), default=-1)
    last = max((at for at, name in enumerate(names) if "pick" in name), default=-1)
    parts: defaultdict[str, dict[str, float]] = defaultdict(lambda: {"us": 0.0, "launches": 0})
    for at, (name, us) in enumerate(kernels):
        part = parts[_part_of(name.lower(), is_local=prior < at <= last, is_last=prior >= 0 and at > last)]
        part["us"] = round(part["us"] + us, 2)
        part["launches"] += 1
    return dict(sorted(parts.items(), key=lambda item: -item[1]["us"]))


def _part_of(name: str, *, is_local: bool, is_last: bool) -> str:
    if "pick" in name:
        return "sampling"
    if "memcpy" in name or "memset" in name:
        return "copies"
    if "follow" in name:
        return "prior"
    if is_local:
        kind = "attention" if "attend" in name else "norms" if "norm" in name else "products"
        return f"local transformer, {kind}"
    if is_last:
        return "ends and notes"
    for part, words in (
        ("text attention and prior", ("attend_text",)),
        ("self-attention", ("attend",)),
        ("decoder products", ("product", "linear", "gemm", "matmul")),
        ("norms", ("norm",)),
        ("embedding", ("embed",)),
    ):
        if any(word in name for word in words):
            return part
    return "other"
