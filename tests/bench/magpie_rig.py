"""What every part of `tests.bench.magpie` shares: sizes, engines that are loaded once, the clock, and numbers in short.

Weights are random, in the shapes of the released checkpoints; segments end by their length alone and the guards are
off, because random weights attend at random.
"""

import asyncio
import gc
import os
import platform
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch

from engines.engine import Engine
from engines.magpie.checkpoint import Checkpoint
from engines.magpie.codec_weights import CodecWeights
from engines.magpie.model import Magpie
from engines.magpie.options import MagpieOptions
from engines.magpie.shape import Shape
from engines.model import Loader, Wake
from engines.types import Limits
from tests.bench import magpie_random

ROOT: Final = Path(__file__).parent.parent.parent
FRAME_S: Final = 1024 / 22050

_TINY: Final = {
    "d_model": 64,
    "num_text_ids": 200,
    "encoder_layers": 1,
    "encoder_heads": 2,
    "encoder_kernel": 3,
    "encoder_positions": 256,
    "decoder_layers": 2,
    "decoder_heads": 2,
    "cross_heads": 1,
    "cross_head_dim": 32,
    "decoder_positions": 512,
    "prefix_len": 8,
    "num_voices": 5,
    "num_codebooks": 8,
    "codebook_size": 2016,
    "num_code_ids": 2024,
    "audio_bos": 2016,
    "audio_eos": 2017,
    "text_eos": 199,
    "local_heads": 1,
    "local_dim": 32,
}
TINY_SHAPES: Final = {
    "tiny": Shape(**_TINY, stacking=1, local_layers=1),
    "tiny2607": Shape(**_TINY, stacking=2, local_layers=2),
}


class Plan(msgspec.Struct, frozen=True):
    """How much of everything. Times in seconds, lengths in frames of 46.44 ms."""

    sizes: tuple[str, ...] = ("full", "full2607")
    slots: tuple[int, ...] = (768, 512)
    step_slots: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    precise_slots: tuple[int, ...] = (1, 64)
    num_frames: int = 216  # of the longest segment: 10 s
    num_chars: int = 149  # with the end token 150 tokens, as the stock baseline has
    first_rounds: int = 200
    speed_rounds: int = 3
    crowd: int = 64
    crowd_rounds: int = 8
    streams: tuple[int, ...] = (64, 256, 512, 768, 384, 128)  # none above one that has failed
    spread_s: float = 5.0  # arrivals are spread at random over this
    segments: int = 2  # of a stream
    segment_frames: int = 108  # 5 s
    segment_chars: int = 75
    busy: tuple[int, ...] = (1, 64, 256)  # sessions, for the profile
    busy_s: float = 2.0
    voices: int = 64  # beside another server's load
    server_slots: int = 256
    sockets: tuple[int, ...] = (16, 64, 256)
    socket_rounds: int = 100  # of one socket
    client_processes: int = 10
    stock: tuple[str, ...] = (
        "--size full --batches 1 --paths generate_speech,infer_batch/kv --cfg 1 --reps 1 --budget 40",
        "--size full --batches 16,64 --paths infer_batch/kv --cfg 1 --reps 1 --budget 40",
    )


FULL: Final = Plan()
TINY: Final = Plan(
    sizes=("tiny", "tiny2607"),
    slots=(4, 4),
    step_slots=(1, 2, 4),
    precise_slots=(1,),
    num_frames=32,
    num_chars=40,
    first_rounds=4,
    speed_rounds=1,
    crowd=3,
    crowd_rounds=2,
    streams=(1, 4, 2),
    spread_s=0.5,
    segment_frames=16,
    segment_chars=20,
    busy=(1, 2),
    busy_s=0.5,
    voices=2,
    server_slots=4,
    sockets=(2, 4),
    socket_rounds=3,
    client_processes=2,
    stock=("--size tiny --device cpu --frames 10 --first 4 --text-len 20 --batches 1,2 --reps 1 --cfg 1 --threads 1",),
)
PLANS: Final = {"full": FULL, "tiny": TINY}


class Running(msgspec.Struct):
    """An engine that is ready, and the model in it."""

    name: str
    engine: Engine
    model: Magpie
    checkpoint: Checkpoint
    load_s: float


class Rig:
    """Event loop only. `deadline_s` is when everything has to be over, on `time.monotonic`."""

    def __init__(self, plan: Plan, out: Path, mag: Path, deadline_s: float) -> None:
        self.plan, self.out, self.mag, self.deadline_s = plan, out, mag, deadline_s
        self.part_deadline_s = deadline_s
        self._running: dict[str, Running] = {}
        self._checkpoints: dict[str, Checkpoint] = {}

    @property
    def is_cuda(self) -> bool:
        return torch.cuda.is_available()

    @property
    def left_s(self) -> float:
        """What the part under way may still take."""
        return min(self.part_deadline_s, self.deadline_s) - time.monotonic()

    def checkpoint(self, name: str) -> Checkpoint:
        if name not in self._checkpoints:
            self._checkpoints[name] = make_checkpoint(name, self.plan.num_frames)
        return self._checkpoints[name]

    async def running(self, name: str) -> Running:
        """The engine of that size, loaded and warm; once for all parts."""
        held = self._running.get(name)
        if held is not None and held.engine.state == "ready":
            return held
        started_s = time.monotonic()
        checkpoint = await asyncio.to_thread(self.checkpoint, name)
        slots = self.plan.slots[self.plan.sizes.index(name)]
        engine = Engine(loader(checkpoint, slots), limits=Limits(max_sessions=4096))
        engine.start()
        await engine.wait_ready()
        assert engine._loaded is not None, "it is ready"
        model = engine._loaded.model
        assert isinstance(model, Magpie), "the loader above made it"
        held = self._running[name] = Running(name, engine, model, checkpoint, time.monotonic() - started_s)
        print(f"    {name}: {model.num_slots} slots ready after {held.load_s:.1f} s", flush=True)
        return held

    async def close(self) -> None:
        for held in self._running.values():
            await held.engine.close()
        self._running.clear()


def make_checkpoint(name: str, num_frames: int) -> Checkpoint:
    """Random weights of the released shapes, or tiny ones with a tiny codec."""
    if name in magpie_random.SHAPES:
        return magpie_random.checkpoint(name, num_frames=num_frames)
    magpie_random.SHAPES[name] = TINY_SHAPES[name]
    try:
        checkpoint = magpie_random.checkpoint(name, num_frames=num_frames)
    finally:
        del magpie_random.SHAPES[name]
    return msgspec.structs.replace(checkpoint, codec=CodecWeights.random(base_channels=64))


def loader(checkpoint: Checkpoint, slots: int, **options: Any) -> Loader:
    """As `engines.magpie.model.load`, without a file."""

    def load(_: Wake) -> Magpie:
        model = Magpie(checkpoint, MagpieOptions(slots=slots, **options), has_guards=False)
        model.warm_up()
        gc.collect()
        gc.freeze()
        return model

    return load


def limit_segments(model: Magpie, num_frames: int, stacking: int) -> None:
    """Let segments end after so many frames from now on; never beyond what the caches hold."""
    held = getattr(model, "_bench_max_steps", None)
    if held is None:
        held = model._bench_max_steps = model._max_steps  # type: ignore[attr-defined]
    model._max_steps = min(held, max(1, num_frames // stacking))


def text_of(num_chars: int, seed: int = 0) -> str:
    """One sentence of so many characters."""
    draw = random.Random(seed)
    words: list[str] = []
    while sum(map(len, words)) + len(words) < num_chars + 12:
        words.append("".join(draw.choice("abcdefghiklmnoprstuvw") for _ in range(draw.randint(2, 8))))
    return " ".join(words)[: num_chars - 2].strip().capitalize().ljust(num_chars - 1, "a") + "."


def shares(values: Sequence[float], *, digits: int = 3) -> dict[str, float]:
    """p50, p95, p99 and the worst."""
    if not len(values):
        return {}
    p50, p95, p99, worst = np.percentile(np.asarray(values, float), (50, 95, 99, 100)).tolist()
    return {
        "p50": round(p50, digits),
        "p95": round(p95, digits),
        "p99": round(p99, digits),
        "max": round(worst, digits),
    }


def about(precision: str = "bfloat16, codec float16") -> dict[str, Any]:
    """On what all this was measured."""
    is_cuda = torch.cuda.is_available()
    return {
        "card": torch.cuda.get_device_name() if is_cuda else f"CPU, {platform.machine()}",
        "driver": _first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]) if is_cuda else "",
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
        "triton": _version("triton"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "precision": precision if is_cuda else "float32",
        "commit": os.environ.get("TIDING_COMMIT")
        or _first_line(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]),
    }


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return done.stdout.strip().splitlines()[0] if done.returncode == 0 else ""
    except (OSError, IndexError, subprocess.SubprocessError):
        return ""


def _version(package: str) -> str:
    try:
        return __import__(package).__version__
    except (ImportError, AttributeError):
        return ""
