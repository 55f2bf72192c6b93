"""All figures of Magpie on one GPU in one go: `python -m tests.bench.magpie --out DIR [--parts ...] [--budget-s N]`.

Needs a GPU, torch and Triton, but neither a checkpoint nor (except for part "stock") NeMo. Every part has its own time,
prints a few lines, and adds to `DIR/magpie.json`, which is written after each; a part that fails says so and the next
one goes on. `--size tiny` runs all of it on a CPU, to see that it runs. `python -m tests.bench.magpie_report` makes the
page under `docs/reference/` of what was measured.
"""

import argparse
import asyncio
import importlib
import json
import logging
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

_BEGAN_S: Final = time.monotonic()

from tests.bench.magpie_rig import PLANS, Rig, about  # noqa: E402

Part: TypeAlias = Callable[[Rig], Awaitable[dict[str, Any]]]

PARTS: Final[dict[str, tuple[str, float]]] = {  # its module, and the seconds that it may take
    "step": ("steps", 130),  # loading both shapes is in it
    "first": ("streams", 15),
    "speed": ("streams", 12),
    "crowd": ("streams", 12),
    "streams": ("streams", 125),
    "codec": ("codecs", 50),
    "service": ("service", 110),
    "shared": ("shared", 140),
    "profile": ("streams", 30),
    "precision": ("steps", 40),
    "stock": ("stock", 110),
}
LEAST_S: Final = 5.0
"""With less left, a part is not begun."""

GRACE: Final = 1.5
"""A part is broken off after so many times its seconds."""


async def measure(rig: Rig, names: list[str], report: dict[str, Any], path: Path) -> None:
    for name in names:
        module, allowed_s = PARTS[name]
        left_s = rig.deadline_s - time.monotonic()
        if left_s < LEAST_S:
            print(f"{name}: left out, {left_s:.0f} s are left", flush=True)
            report["parts"][name] = {"error": "left out: no time"}
            continue
        rig.part_deadline_s = time.monotonic() + allowed_s
        print(f"{name} (at {time.monotonic() - _BEGAN_S:.0f} s)", flush=True)
        report["parts"][name] = await _one(module, name, rig, min(GRACE * allowed_s, left_s))
        took_s = report["parts"][name]["took_s"]
        print(f"{name}: {took_s:.1f} s of {allowed_s:.0f} {report['parts'][name].get('error', '')}", flush=True)
        write(report, path)


def write(report: dict[str, Any], path: Path) -> None:
    """All that is known so far; a number of NumPy's is written as what it holds."""
    text = json.dumps(report, indent=1, default=lambda value: value.item() if hasattr(value, "item") else str(value))
    path.write_text(text)


async def _one(module: str, name: str, rig: Rig, timeout_s: float) -> dict[str, Any]:
    started_s = time.monotonic()
    try:
        part: Part = getattr(importlib.import_module(f"tests.bench.magpie_{module}"), name)
        found = await asyncio.wait_for(part(rig), timeout_s)
    except Exception as error:
        traceback.print_exc(limit=-8)
        found = {"error": f"{type(error).__name__}: {error}"[:500]}
    found["took_s"] = round(time.monotonic() - started_s, 1)
    return found


async def run(options: argparse.Namespace) -> int:
    options.out.mkdir(parents=True, exist_ok=True)
    deadline_s = _BEGAN_S + options.budget_s
    rig = Rig(PLANS[options.size], options.out, options.mag, deadline_s)
    report: dict[str, Any] = {"about": about(), "parts": {}}
    print(f"{report['about']}\nimported after {time.monotonic() - _BEGAN_S:.1f} s", flush=True)
    path = options.out / "magpie.json"
    try:
        await measure(rig, options.parts, report, path)
    finally:
        report["took_s"] = round(time.monotonic() - _BEGAN_S, 1)
        write(report, path)
        await rig.close()
    failed = [name for name, part in report["parts"].items() if part.get("error")]
    print(f"all: {report['took_s']} s; failed: {', '.join(failed) or 'none'}; {path}", flush=True)
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.magpie", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="where the JSON goes")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS), help=",".join(PARTS))
    parser.add_argument("--budget-s", type=float, default=580.0, help="for everything")
    parser.add_argument("--size", choices=list(PLANS), default="full")
    parser.add_argument("--mag", type=Path, default=Path(".mag"), help="folder of stock_baseline.py and what it needs")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("tiding.engine").setLevel(logging.ERROR)  # every segment is cut by its length here
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
