"""The codec alone: audio seconds a second, and what each precision does to the samples."""

import time
from typing import Any

import msgspec
import torch

from engines.magpie.codec import CodecWeights, StreamingCodec, decode_whole
from engines.magpie.codec_plain import exact_products
from tests.bench.magpie_rig import FRAME_S, Rig

KINDS = (("fused", "float16"), ("plain", "float32"), ("fused", "bfloat16"), ("fused", "tf32"))
SHOWN = ((1, 4), (1, 8), (8, 8), (32, 8), (64, 8))


async def codec(rig: Rig) -> dict[str, Any]:
    """Streamed against whole float32 decoding, and the time of a decode, for each kind that there is time for."""
    if not rig.is_cuda:
        return _on_cpu()
    from tests.bench.magpie_codec import SPLIT, Outcome, measure  # needs Triton

    weights = CodecWeights.random()
    torch.manual_seed(1)
    codes = torch.randint(0, 2016, (2, sum(SPLIT), 8), device="cuda")
    with torch.no_grad(), exact_products(tf32=False):
        reference = decode_whole(weights.to("cuda"), codes)
    outcomes: list[Outcome] = []
    for kind in KINDS:
        if outcomes and rig.left_s < 20:
            print("    out of time", flush=True)
            break
        outcome = measure(kind, weights, codes, reference)
        outcomes.append(outcome)
        print(
            f"    {outcome.path}/{outcome.precision}: SNR {outcome.snr_db:.1f} dB, log-spectral distance "
            f"{outcome.spectral_db:.2f} dB, worst {outcome.worst:.1e} of RMS, graph == eager {outcome.is_graph_eager} "
            + " ".join(
                f"{t.rows}x{t.frames}: {t.realtime:.0f}x" for t in outcome.timings if (t.rows, t.frames) in SHOWN
            )
            + f" {outcome.error}",
            flush=True,
        )
        torch.cuda.empty_cache()
    timings = [(timing, one) for one in outcomes for timing in one.timings]
    best = max(timings, key=lambda pair: pair[0].realtime, default=None)
    return {
        "rows": [msgspec.to_builtins(one) for one in outcomes],
        "best": {
            "rows": best[0].rows,
            "frames": best[0].frames,
            "precision": best[1].precision,
            "realtime": best[0].realtime,
        }
        if best
        else {},
        "gflop_a_frame": round(flop_of(weights) / 1e9, 3),
    }


def flop_of(weights: CodecWeights) -> float:
    """Floating-point operations of one frame: two for each weight and each position that it is used at."""
    length, macs = 1, weights.entry.weight.numel()
    for stage in weights.stages:
        macs += stage.upsampling.weight.numel() * length
        length *= stage.upsampling.rate
        units = [unit for block in stage.blocks for unit in block]
        macs += length * sum(unit.first.weight.numel() + unit.second.weight.numel() for unit in units)
    return 2.0 * (macs + length * weights.exit.weight.numel())


def _on_cpu() -> dict[str, Any]:
    """A tiny codec, streamed and whole, to see that it runs."""
    weights = CodecWeights.random(base_channels=64)
    codes, slots = torch.randint(0, 2016, (2, 12, 8)), torch.tensor([1, 3])
    with torch.no_grad():
        streaming = StreamingCodec(weights, 4, device="cpu")
        started_s = time.perf_counter()
        parts = [streaming.decode(codes[:, first : first + 4], slots).clone() for first in range(0, 12, 4)]
        rate = 2 * 12 * FRAME_S / (time.perf_counter() - started_s)
        difference = torch.cat(parts, 1) - decode_whole(weights, codes)
    row = {"path": "plain", "precision": "float32", "worst": float(difference.abs().max()), "timings": []}
    print(f"    plain/float32: {rate:.0f} x, differs by {row['worst']:.1e}", flush=True)
    best = {"rows": 2, "frames": 4, "precision": "float32", "realtime": rate}
    return {"rows": [row], "best": best, "gflop_a_frame": round(flop_of(weights) / 1e9, 4)}
