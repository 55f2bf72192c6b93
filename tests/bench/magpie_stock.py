"""NeMo's own inference on the same card in the same session: runs `stock_baseline.py` in a process of its own."""

import asyncio
import json
import shlex
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import suppress
from typing import Any, Final

from tests.bench.magpie_rig import Rig
from tests.bench.magpie_service import start, stop

_RUN: Final = """
import json, sys
folder, runs = json.loads(sys.argv[1])
sys.path.insert(0, folder)
import stock_baseline
for run in runs:
    sys.argv = ["stock_baseline.py", *run]
    stock_baseline.main()
"""


async def stock(rig: Rig) -> dict[str, Any]:
    """Its rows as it prints them, for the runs of the plan; those that end in time."""
    folder = rig.mag.resolve()
    if not (folder / "stock_baseline.py").exists():
        return {"error": f"{folder} has no stock_baseline.py"}
    runs = [shlex.split(run) for run in rig.plan.stock]
    process = await start([sys.executable, "-c", _RUN, json.dumps([str(folder), runs])], stdout=PIPE, stderr=STDOUT)
    rows: list[dict[str, Any]] = []
    tail: list[str] = []
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(5.0, rig.left_s)):
                await _read(process, rows, tail)
    finally:
        await stop(process)
    if not any("path" in row for row in rows):
        return {"rows": rows, "error": "nothing was timed: " + " | ".join(tail)[-600:]}
    return {"rows": rows}


async def _read(process: Process, rows: list[dict[str, Any]], tail: list[str]) -> None:
    assert process.stdout is not None
    about: dict[str, Any] = {}
    async for raw in process.stdout:
        line = raw.decode(errors="replace").strip()
        del tail[:-8]
        tail.append(line)
        with suppress(json.JSONDecodeError):
            row = json.loads(line)
            if "device" in row:
                about = {name: row[name] for name in ("size", "precision") if name in row}
            rows.append(about | row)
            print(f"    {line[:230]}", flush=True)
