"""How fast and how exact the codec decoder is on this GPU: `python -m tests.bench.magpie_codec [--json FILE] [--tune]`.

Random weights of the released shape (31.6 M parameters; NeMo is not needed), random codes. For every path and
precision: the largest error of streamed against whole float32 decoding, relative to RMS; SNR; log-spectral distance;
whether a graph's samples are the eager ones; and the time of one `decode` of 1 to 64 rows. `--tune` tries tiles for the
fused kernels' convolutions first, prints the best as a table, and measures with it.
"""

import argparse
import itertools
import math
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import torch
from torch.autograd import DeviceType

from engines.magpie import codec_kernels, codec_tiles
from engines.magpie.codec import CodecWeights, StreamingCodec, decode_whole
from engines.magpie.codec_fused import FusedPath
from engines.magpie.codec_plain import exact_products
from engines.magpie.codec_tiles import Tile

FRAME_S = 1024 / 22050
SIZES = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 8), (4, 8), (8, 4), (8, 8), (16, 8), (32, 4), (32, 8), (64, 8))
"""(rows, frames) that are timed."""

FEW = ((1, 4), (1, 8), (8, 8), (32, 8))
"""Those of the kinds that nobody would serve with."""

KINDS = (
    ("fused", "float16"),
    ("fused", "bfloat16"),
    ("fused", "tf32"),
    ("fused", "float32"),
    ("plain", "float32"),
    ("plain", "tf32"),
    ("plain", "float16"),
)
SPLIT = (1, 4, 2, 8, 1, 8)
TUNED = ((1, 4), (1, 8), (4, 8), (8, 8), (32, 8))


class Timing(msgspec.Struct, frozen=True):
    """One size: `decode_ms` with the copies of codes and slots, `graph_ms` the graph alone, both p50 on the GPU's
    clock; `realtime` is audio seconds a second."""

    rows: int
    frames: int
    decode_ms: float
    graph_ms: float
    realtime: float


class Outcome(msgspec.Struct):
    """One path at one precision."""

    path: str
    precision: str
    error: str = ""
    build_s: float = 0.0
    capture_s: float = 0.0
    state_kb: float = 0.0
    worst: float = math.nan
    snr_db: float = math.nan
    spectral_db: float = math.nan
    is_graph_eager: bool = False
    num_kernels: int = 0
    timings: list[Timing] = msgspec.field(default_factory=list)


class Report(msgspec.Struct):
    card: str
    torch: str
    outcomes: list[Outcome]
    tiles: dict[str, list[int]]
    parts: list[tuple[str, float]]


def measure(kind: tuple[str, str], weights: CodecWeights, codes: torch.Tensor, reference: torch.Tensor) -> Outcome:
    """An outcome; what goes wrong is in its `error`."""
    outcome = Outcome(*kind)
    try:
        _measure(outcome, weights, codes, reference)
    except Exception as error:
        outcome.error = f"{type(error).__name__}: {error}"[:300]
        traceback.print_exc(limit=4)
    return outcome


def _measure(outcome: Outcome, weights: CodecWeights, codes: torch.Tensor, reference: torch.Tensor) -> None:
    started_s = time.perf_counter()
    sizes = SIZES if outcome.path == "fused" and "float16" in outcome.precision else FEW
    rows = sorted({rows for rows, _ in sizes})
    codec = StreamingCodec(weights, 64, device="cuda", precision=outcome.precision, row_counts=rows, path=outcome.path)
    slots = torch.tensor([5, 63], device="cuda")
    eager = streamed(codec, codes, slots)
    outcome.build_s = time.perf_counter() - started_s
    outcome.state_kb = codec.state_bytes_per_slot / 1000
    compare(outcome, eager, reference)
    outcome.num_kernels = num_kernels(lambda: codec.decode(codes[:1, :4], slots[:1]))
    started_s = time.perf_counter()
    codec.capture()
    torch.cuda.synchronize()
    outcome.capture_s = time.perf_counter() - started_s
    graphed = streamed(codec, codes, slots)
    outcome.is_graph_eager = bool(torch.allclose(graphed, eager, rtol=0, atol=1e-6))
    for rows_, frames in sizes:
        many = torch.randint(0, 2016, (rows_, frames, 8), device="cuda")
        some = torch.arange(rows_, device="cuda")
        decode_ms = timed_ms(lambda many=many, some=some: codec.decode(many, some))
        graph = codec._buckets[rows_, frames].graph
        assert graph is not None
        graph_ms = timed_ms(graph.replay)
        outcome.timings.append(Timing(rows_, frames, decode_ms, graph_ms, 1000 * rows_ * frames * FRAME_S / decode_ms))


def streamed(codec: StreamingCodec, codes: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    codec.reset(slots)
    parts, start = [], 0
    for count in SPLIT:
        parts.append(codec.decode(codes[:, start : start + count], slots).clone())
        start += count
    return torch.cat(parts, dim=1)


def compare(outcome: Outcome, audio: torch.Tensor, reference: torch.Tensor) -> None:
    """Errors against the reference; both (B, samples)."""
    error = (audio - reference).double()
    rms = reference.double().square().mean().sqrt()
    outcome.worst = float(error.abs().max() / rms)
    outcome.snr_db = float(20 * torch.log10(rms / error.square().mean().sqrt().clamp_min(1e-12)))
    window = torch.hann_window(1024, device=audio.device)

    def levels(x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(x, 1024, 256, window=window, return_complex=True)
        return 20 * torch.log10(spectrum.abs() + 1e-5)

    difference = (levels(audio) - levels(reference)).square().mean(dim=1).sqrt()
    outcome.spectral_db = float(difference.mean())


def timed_ms(call: Callable[[], Any], repeats: int = 12) -> float:
    """p50 of one call, on the GPU's clock."""
    for _ in range(3):
        call()
    times_ms: list[float] = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times_ms.append(start.elapsed_time(end))
    return median(times_ms)


def num_kernels(call: Callable[[], Any]) -> int:
    """What one call launches, copies included; 0 where the profiler does not work."""
    call()
    torch.cuda.synchronize()
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            call()
            torch.cuda.synchronize()
        return len([event for event in profile.events() if event.device_type == DeviceType.CUDA])
    except Exception as error:
        print("no profile:", str(error)[:100])
        return 0


# --- tiles ---


def candidates(positions: int, num_in: int, num_out: int, groups: int) -> Iterator[Tile]:
    """Tiles worth a try: neither far too few programs to busy the device nor far too many."""
    widest = max(16, codec_tiles.next_power(num_out))
    for height, width in itertools.product((16, 32, 64, 128, 256), (16, 32, 64, 128, 256)):
        programs = math.ceil(positions / height) * math.ceil(num_out / width) * groups
        if width > widest or height * width > 128 * 256 or height > 2 * max(16, positions):
            continue
        if programs < 60 and height * width > 32 * 32:
            continue
        if programs > 2500 and height * width < 64 * min(64, widest):
            continue
        if height * width < 32 * 32 and programs > 600:
            continue
        if width < min(64, widest) and positions > 4000:
            continue
        steps = [step for step in (32, 64, 128) if num_in % step == 0 and (height <= 32 or step < 128)]
        for step in steps if width <= 64 else steps[-1:]:
            warps = codec_tiles.warps_of(height, width)
            yield Tile(height, width, step, warps, 4 if (height + width) * step * 8 <= 200_000 else 3)
            if width <= 64 and height >= 64:
                yield Tile(height, width, step, warps, 2)
                yield Tile(height, width, step, warps * 2, 3)


def cases(path: FusedPath) -> Iterator[tuple[int, int, Any]]:
    """(rows, length, stage) of the sizes that tiles are sought for."""
    for rows, frames in TUNED:
        length = frames
        for stage in path._stages:
            length *= stage.rate
            yield rows, length, stage


def tune(weights: CodecWeights, precision: str) -> dict[tuple[int, int], dict[int, Tile]]:
    """(channels in, channels out) -> positions -> the best tile, for the stages' convolutions."""
    path = FusedPath(weights, 65, torch.device("cuda"), precision, (32, 8))
    path._bases.copy_(torch.arange(len(path._bases), device="cuda") % 128 * path._state_size)
    wanted = {
        (stage.num_out, tile): stage
        for rows, length, stage in cases(path)
        for tile in candidates(rows * length, stage.num_out, stage.num_out, 3)
    }
    started_s = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: compile_tile(path, item[1], item[0][1]), wanted.items()))
    print(f"tiles: {len(wanted)} compiled in {time.perf_counter() - started_s:.0f} s", flush=True)
    best: dict[tuple[int, int], dict[int, Tile]] = {}
    for rows, length, stage in cases(path):
        tried = [
            (time_tile(path, stage, rows, length, tile), tile)
            for tile in candidates(rows * length, stage.num_out, stage.num_out, 3)
        ]
        tried.sort()
        default = codec_tiles.default_tiling(rows * length, stage.num_out, stage.num_out, 3, 2)
        default_us = next((us for us, tile in tried if tile == default), math.nan)
        best.setdefault((stage.num_out, stage.num_out), {})[rows * length] = tried[0][1]
        macs = rows * length * 126 * stage.num_out**2 / 3
        shown = "  ".join(f"{us:.1f} us {tuple(tile)}" for us, tile in tried[:3])
        print(
            f"  {stage.num_out:4d} channels, {rows * length:6d} positions: {shown}  default {default_us:.1f} us"
            f"  {2e-6 * macs / tried[0][0]:.0f} TFLOP/s padded",
            flush=True,
        )
    return best


def compile_tile(path: FusedPath, stage: Any, tile: Tile) -> None:
    convs, curves = stage.steps[0].first, stage.steps[0].middle
    try:
        codec_kernels.convolve.warmup(
            path._wide, path._wide, path._wide, path._inner, convs.weight, convs.bias, curves.frequency,
            curves.inverse, curves.slope, convs.spec, path._state, path._bases, 64, 64, 64, 1, 8, 1, 0, 0, 1,
            CIN=convs.num_in, COUT=convs.num_out, IS_ELU=False, PRECISION=path._products, BM=tile.positions,
            BN=tile.channels, BK=tile.step, num_warps=tile.warps, num_stages=tile.stages, grid=(1,),
        )  # fmt: skip
    except Exception as error:
        print("tile", tile, "does not compile:", str(error)[:100])


def time_tile(path: FusedPath, stage: Any, rows: int, length: int, tile: Tile) -> float:
    """Microseconds of a unit of all blocks (two convolutions), the middle one of the stage."""
    path.tiling = lambda *_: tile
    group = rows * length * stage.num_out
    step = stage.steps[1]

    def unit() -> None:
        path._convolve(step.first, path._wide, rows, length, curves=step.middle, out=path._inner, group=group)
        path._convolve(
            step.second, path._inner, rows, length, curves=step.following, out=path._wide, group=group,
            residual=path._raw, residual_group=group, raw=path._raw,
        )  # fmt: skip

    try:
        unit()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(5):
                unit()
        return timed_ms(graph.replay, 5) * 1000 / 5
    except Exception as error:
        if "resource" not in str(error).lower():
            print("tile", tile, "fails:", str(error)[:100])
        return math.inf


def nearest(best: dict[tuple[int, int], dict[int, Tile]]) -> codec_tiles.Tiling:
    """A tiling that takes the tile of the nearest size that was tried."""

    def tiling(positions: int, num_in: int, num_out: int, groups: int, num_bytes: int) -> Tile:
        tried = best.get((num_in, num_out))
        if not tried or num_bytes != 2:
            return codec_tiles.default_tiling(positions, num_in, num_out, groups, num_bytes)
        return tried[min(tried, key=lambda size: abs(math.log(size / positions)))]

    return tiling


# --- what one decode is made of ---


def parts(weights: CodecWeights, rows: int, frames: int, precision: str) -> list[tuple[str, float]]:
    """(kernel, microseconds) of one eager decode, in order."""
    codec = StreamingCodec(weights, 64, device="cuda", precision=precision, row_counts=(rows,), path="fused")
    codes, slots = torch.randint(0, 2016, (rows, frames, 8), device="cuda"), torch.arange(rows, device="cuda")
    for _ in range(3):
        codec.decode(codes, slots)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        codec.decode(codes, slots)
        torch.cuda.synchronize()
    events = [event for event in profile.events() if event.device_type == DeviceType.CUDA]
    return [(event.name[:40], event.device_time) for event in sorted(events, key=lambda event: event.time_range.start)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--kinds", nargs="*", default=[f"{path}/{precision}" for path, precision in KINDS])
    options = parser.parse_args()
    weights = CodecWeights.random()
    torch.manual_seed(1)
    codes = torch.randint(0, 2016, (2, sum(SPLIT), 8), device="cuda")
    with exact_products(tf32=False):
        reference = decode_whole(weights.to("cuda"), codes)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, RMS {reference.std():.3f}", flush=True)
    report = Report(torch.cuda.get_device_name(), torch.__version__, [], {}, [])
    if options.tune:
        best = tune(weights, "float16")
        FusedPath.__init__.__defaults__ = (nearest(best),)
        report.tiles = {f"{c[0]} {m}": list(tile) for c, sizes in best.items() for m, tile in sizes.items()}
    for rows, frames in ((1, 4), (32, 8)):
        try:
            found = parts(weights, rows, frames, "float16")
            report.parts += [(f"{rows}x{frames} {name}", us) for name, us in found]
            print(f"{rows} x {frames}, us: " + " ".join(f"{name[:4]}:{us:.1f}" for name, us in found), flush=True)
        except Exception:
            traceback.print_exc(limit=4)
    for kind in KINDS:
        if "/".join(kind) in options.kinds:
            outcome = measure(kind, weights, codes, reference)
            report.outcomes.append(outcome)
            show(outcome)
            torch.cuda.empty_cache()
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


def show(outcome: Outcome) -> None:
    print(
        f"{outcome.path}/{outcome.precision}: worst {outcome.worst:.1e} of RMS, SNR {outcome.snr_db:.1f} dB, "
        f"LSD {outcome.spectral_db:.2f} dB, graph == eager: {outcome.is_graph_eager}, {outcome.num_kernels} kernels, "
        f"state {outcome.state_kb:.0f} kB, build {outcome.build_s:.1f} s, capture {outcome.capture_s:.1f} s "
        f"{outcome.error}"
    )
    for t in outcome.timings:
        print(f"    {t.rows:3d} x {t.frames}: {t.decode_ms:8.3f} ms  graph {t.graph_ms:8.3f} ms  {t.realtime:7.0f} x")
    print(end="", flush=True)


if __name__ == "__main__":
    main()
