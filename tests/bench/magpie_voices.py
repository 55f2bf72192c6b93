"""Some voices in an engine of a process of their own: `python -m tests.bench.magpie_voices SIZE PRIORITY PLAN`.

`PRIORITY` is that of the stream of steps: -1 (as served) or 0. Prints "ready"; for each line on stdin it holds the
plan's voices once and prints what they heard, as JSON. Where CUDA's multi-process service runs it is used.
"""

import asyncio
import json
import logging
import sys
import time

import torch

from engines.engine import Engine
from engines.types import Limits
from tests.bench.magpie_listeners import first_of, hold, judge
from tests.bench.magpie_meter import Meter
from tests.bench.magpie_rig import FRAME_S, PLANS, limit_segments, loader, make_checkpoint, text_of


def lower_priority() -> None:
    """Streams made from now on have the default priority, whatever is asked for."""
    made = torch.cuda.Stream

    class Plain(made):  # type: ignore[misc, valid-type]
        def __new__(cls, device=None, priority=0, **options):  # type: ignore[no-untyped-def]
            return super().__new__(cls, device=device, priority=0, **options)

    torch.cuda.Stream = Plain  # type: ignore[misc]


async def main(size: str, priority: str, plan_name: str) -> None:
    logging.getLogger("tiding.engine").setLevel(logging.ERROR)
    plan = PLANS[plan_name]
    if priority == "0" and torch.cuda.is_available():
        lower_priority()
    checkpoint = make_checkpoint(size, plan.num_frames)
    engine = Engine(loader(checkpoint, max(4, plan.voices)), limits=Limits(max_sessions=4096))
    engine.start()
    await engine.wait_ready()
    assert engine._loaded is not None
    limit_segments(engine._loaded.model, plan.segment_frames, checkpoint.shape.stacking)  # type: ignore[arg-type]
    meter = Meter()
    meter.attach(engine)
    await first_of(engine, 0, text_of(plan.segment_chars))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        meter.reset()
        everyone, _ = await hold(
            engine,
            plan.voices,
            spread_s=plan.spread_s,
            segments=plan.segments,
            num_chars=plan.segment_chars,
            timeout_s=2 * plan.segments * plan.segment_frames * FRAME_S + 5,
        )
        print(json.dumps({**judge(everyone), "device_thread": meter.summary(), "at": time.monotonic()}), flush=True)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
