"""The tables of the measurements' page, from the parts of a report. What was not measured is a dash."""

from collections.abc import Iterable, Sequence
from typing import Any

Parts = dict[str, Any]
NONE = "-"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def rows_of(parts: Parts, name: str, **having: Any) -> list[dict[str, Any]]:
    rows = parts.get(name, {}).get("rows", [])
    return [row for row in rows if all(row.get(key) == value for key, value in having.items())]


def number(value: Any, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else NONE


def share(row: dict[str, Any], name: str, *which: str) -> str:
    found = row.get(name) or {}
    return " / ".join(number(found.get(one)) for one in which)


def stock_row(parts: Parts, batch: int, path: str) -> dict[str, Any]:
    rows = [row for row in rows_of(parts, "stock") if row.get("batch") == batch and row.get("path") == path]
    return rows[0] if rows else {}


def sections(parts: Parts) -> list[str]:
    """All of them, in order."""
    return [
        "## The figures that were asked for\n\n" + asked(parts),
        "## A decoder step\n\n" + steps(parts),
        "## What a step is made of\n\n" + made_of(parts),
        "## Streams in real time, in the engine\n\n" + streams(parts),
        "## The full service\n\n" + service(parts),
        "## One card, two servers\n\n" + shared(parts),
        "## The codec\n\n" + codec(parts),
        "## Stock NeMo, same card, same session\n\n" + stock(parts),
        "## Engine steps at full tilt\n\n" + busy(parts),
        said_errors(parts),
    ]


def asked(parts: Parts) -> str:
    """The table of the goals."""

    def step(slots: int) -> str:
        found = rows_of(parts, "step", size="full", slots=slots)
        return number(found[0]["step_ms"], 2) if found else NONE

    def first_ms() -> str:
        found = rows_of(parts, "first", size="full")
        return number(found[0]["first_ms"].get("p50")) if found else NONE

    def speed(size: str) -> str:
        found = [row["times_real_time"] for row in rows_of(parts, "speed", size=size)]
        return number(max(found)) if found else NONE

    kv, loop = stock_row(parts, 1, "infer_batch/kv"), stock_row(parts, 1, "generate_speech")
    stock_first = " / ".join(number(row.get("first_8_frames_ms"), 0) for row in (kv, loop) if row) or NONE
    held = [row["streams"] for row in rows_of(parts, "streams", size="full") if row["passes"]]
    crowd = (rows_of(parts, "crowd", size="full") or [{}])[0]
    spread = (rows_of(parts, "streams", size="full", streams=64) or [{}])[0]
    best = parts.get("codec", {}).get("best", {})
    many = stock_row(parts, 64, "infer_batch/kv")
    rows = [
        ("decode step, 1 / 64 / 256 slots, v2602, bf16, ms", f"{number(kv.get('ms_per_step'))} / - / -",
         "1.3 / 2.5 / 5", "0.8 / 1.5 / 3", f"{step(1)} / {step(64)} / {step(256)}"),
        ("text in -> first PCM out (4 frames), one stream, p50, ms", f"{stock_first} (8 frames)", "12", "8",
         first_ms()),
        ("one stream, x real time, v2602", number(kv.get("rtfx_all_streams")), "25", "60", speed("full")),
        ("one stream, x real time, v2607", NONE, "40", "60", speed("full2607")),
        ("streams in real time, p99 first audio below 150 ms", "fewer than 16", "256", "512 and more",
         str(max(held)) if held else NONE),
        ("first audio, 64 streams spread at random, p50 / p99, ms", NONE, "40 / 80", "25 / 50",
         share(spread, "first_ms", "p50", "p99")),
        ("first audio, 64 at one instant, p50 / p99, ms",
         f"{number(many.get('first_8_frames_ms'), 0)} (lockstep, 8 frames)",
         "40 / 80", "25 / 50", share(crowd, "first_ms", "p50", "p99")),
        ("codec, audio seconds a second, batched", stock_codec(parts), "1500", "4000", number(best.get("realtime"), 0)),
    ]  # fmt: skip
    return table(("figure", "stock NeMo, same card", "to reach", "beyond", "measured"), rows)


def stock_codec(parts: Parts) -> str:
    """The best that stock NeMo's codec did."""
    found = [
        1000 * row["batch"] * 216 * 1024 / 22050 / row["codec_216_frames_ms"]
        for row in rows_of(parts, "stock")
        if row.get("codec_216_frames_ms")
    ]
    return number(max(found), 0) if found else NONE


def steps(parts: Parts) -> str:
    head = ("shape", "precision", "slots", "step, ms", "single", "with the host", "limit, ms", "bound by",
            "times it")  # fmt: skip
    rows = [
        (row["size"], row["precision"], row["slots"], number(row["step_ms"], 2), number(row["single_ms"], 2),
         number(row["with_host_ms"], 2), number(row["floor_ms"], 3), row["bound"],
         number(row["step_ms"] / max(row["floor_ms"], 1e-9)))
        for row in rows_of(parts, "step") + rows_of(parts, "precision")
    ]  # fmt: skip
    note = (
        "A step is one graph: slots in, decoder with both halves of guidance, prior, local transformer, sampling, "
        "ends, report out, half-way through a segment of 10 s; `step` is that of several in a row, as the engine "
        "launches them, `with the host` from a launch until its report is there. One frame lasts 46.44 ms (v2607 "
        "makes two a step). The limit is the larger of bytes at 4.3 TB/s and operations at 790 TFLOP/s.\n\n"
    )
    return note + table(head, rows)


def made_of(parts: Parts) -> str:
    rows = []
    for row in rows_of(parts, "profile"):
        total = max(row.get("kernel_ms", 0), 1e-9)
        for part, found in row.get("parts", {}).items():
            us = found["us"]
            rows.append((row["size"], row["slots"], part, found["launches"], number(us, 0), f"{us / 10 / total:.0f} %"))
    return table(("shape", "slots", "part", "kernels", "us", "share"), rows)


def streams(parts: Parts) -> str:
    head = ("shape", "streams", "in real time", "first audio p50 / p99 / worst, ms", "with under-run", "worst, s",
            "GPU wait", "Python", "idle", "between steps p50 / p99, ms", "loop late p99, ms")  # fmt: skip
    rows = []
    for row in sorted(rows_of(parts, "streams"), key=lambda row: (row["size"], row["streams"])):
        thread = row["device_thread"]
        rows.append((
            row["size"], row["streams"], "yes" if row["passes"] else "no", share(row, "first_ms", "p50", "p99", "max"),
            row["with_underrun"], number(row["underrun_s_max"], 2), *(f"{thread[n]:.0%}" for n in
            ("gpu_wait_share", "python_share", "idle_share")), share(thread, "between_steps_ms", "p50", "p99"),
            share(row, "loop_late_ms", "p99"),
        ))  # fmt: skip
    note = (
        "Each stream is a paced session of two segments of 5 s, whose listener takes audio as it plays it and keeps "
        "half a second in hand; streams arrive at random within 5 s. Listeners and engine share a process. The shares "
        "are those of the device thread's time.\n\n"
    )
    return note + table(head, rows)


def service(parts: Parts) -> str:
    engine = (rows_of(parts, "first", size="full") or [{}])[0].get("first_ms", {}).get("p50")
    head = ("sockets", "arrive", "sent at", "first audio p50 / p99, ms", "more than the engine, p50", "with under-run",
            "under-run in all, s", "step p50 / p99, ms", "between steps p50 / p99, ms",
            "loop late p99, ms")  # fmt: skip
    alone = {row["streams"]: row for row in rows_of(parts, "streams", size="full")}
    rows = []
    for row in rows_of(parts, "service"):
        is_alone = row["sockets"] == 1
        how = "one by one" if is_alone else "at one instant" if row.get("is_brief") else "at random"
        own = engine if is_alone else alone.get(row["sockets"], {}).get("first_ms", {}).get("p50")
        if how == "at one instant":
            own = (rows_of(parts, "crowd", size="full") or [{}])[0].get("first_ms", {}).get("p50")
        more = row["first_ms"]["p50"] - own if own and row["first_ms"] else None
        server = row["server"]
        rows.append((
            row["sockets"], how, row.get("send_rate", 4.0), share(row, "first_ms", "p50", "p99"), number(more),
            row["with_underrun"], number(row["underrun_s_mean"] * row["heard"], 2),
            share(server, "step_ms", "p50", "p99"),
            share(server, "between_steps_ms", "p50", "p99"), share(server, "loop_late_ms", "p99"),
        ))  # fmt: skip
    note = (
        "Granian in a process, WebSocket clients in others, on the same machine. First audio is from the sending of "
        "the text to the arrival of the first binary message. `sent at` is the pace of sending in times real time.\n\n"
    )
    return note + table(head, rows)


def shared(parts: Parts) -> str:
    head = ("how the card is shared", "stream priority", "beside the load", "first audio p50 / p99, ms",
            "with under-run", "worst, s", "step p50 / p99, ms", "load, tokens/s")  # fmt: skip
    rows = [
        (row["sharing"], row["priority"], "yes" if row["beside_load"] else "no", share(row, "first_ms", "p50", "p99"),
         row["with_underrun"], number(row["underrun_s_max"], 2), share(row["device_thread"], "step_ms", "p50", "p99"),
         row["load_tokens_s"] or NONE)
        for row in rows_of(parts, "shared")
    ]  # fmt: skip
    found = parts.get("shared", {})
    alone = next((row["load_alone_tokens_s"] for row in rows_of(parts, "shared") if "load_alone_tokens_s" in row), None)
    load, mps = found.get("load", NONE), found.get("mps", NONE)
    note = f"64 voices. The load: {load}; alone {number(alone)} tokens/s. MPS: {mps}.\n\n"
    return note + table(head, rows)


def codec(parts: Parts) -> str:
    sizes = ((1, 4), (1, 8), (8, 8), (32, 8), (64, 8))
    head = ("path", "precision", "worst error, of RMS", "SNR, dB", "log-spectral distance, dB",
            *(f"{rows} x {frames}" for rows, frames in sizes))  # fmt: skip
    rows = []
    for row in rows_of(parts, "codec"):
        timed = {(one["rows"], one["frames"]): one for one in row.get("timings", [])}
        cells = [
            f"{timed[size]['decode_ms']:.2f} ms, {timed[size]['realtime']:.0f} x" if size in timed else NONE
            for size in sizes
        ]
        worst = f"{row['worst']:.1e}" if isinstance(row.get("worst"), float) else NONE
        rows.append(
            (row["path"], row["precision"], worst, number(row.get("snr_db")), number(row.get("spectral_db"), 2), *cells)
        )
    gflop = parts.get("codec", {}).get("gflop_a_frame")
    note = (
        "Streamed in uneven pieces against whole float32 decoding; below each size (rows x frames) the time of a "
        f"decode and how many times real time that is. A frame takes {number(gflop, 2)} GFLOP.\n\n"
    )
    return note + table(head, rows)


def stock(parts: Parts) -> str:
    head = (
        "shape",
        "path",
        "batch",
        "ms a frame",
        "real-time factor of each",
        "all, x real time",
        "first 8 frames, ms",
    )
    rows = [
        (row.get("size", NONE), row["path"], row["batch"], row.get("ms_per_step", NONE),
         row.get("rtf_one_stream", NONE),
         row.get("rtfx_all_streams", NONE), row.get("first_8_frames_ms", NONE))
        for row in rows_of(parts, "stock") if "path" in row
    ]  # fmt: skip
    return "float32, guidance on, 10 s of audio, 150 text tokens.\n\n" + table(head, rows)


def busy(parts: Parts) -> str:
    head = (
        "shape",
        "sessions",
        "audio s a second",
        "step to step p50, ms",
        "GPU wait",
        "Python",
        "ms a step, by what is called",
    )
    rows = []
    for row in rows_of(parts, "profile"):
        if found := row.get("busy"):
            calls = ", ".join(f"{name} {ms:.2f}" for name, ms in found["ms_a_step"].items() if ms >= 0.005)
            rows.append((
                row["size"], row["slots"], found["audio_s_a_second"], share(found, "step_to_step_ms", "p50"),
                f"{found['gpu_wait_share']:.0%}", f"{found['python_share']:.0%}", calls,
            ))  # fmt: skip
    note = (
        "Unpaced sessions that never end. `step` holds `launch`, `note`, `hand out` and the wait; `hand out` holds "
        "`codec`.\n\n"
    )
    return note + table(head, rows)


def said_errors(parts: Parts) -> str:
    lines = [f"- {name}: {part['error']}" for name, part in parts.items() if part.get("error")]
    return "## What was not measured\n\n" + "\n".join(lines) + "\n" if lines else ""
