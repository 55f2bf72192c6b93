"""How soon speech is heard: `python -m tests.bench.first_audio [--clients 1 2 4 8 16] [--rounds N] [--modes stream ...]
[--profile] [--json FILE] [--quick | --write]`.

Real servers on real sockets, with the embedded voice, and the bare model beside them. `--write` writes the page, the
numbers and the picture under `docs/reference/`. Nothing here is a test: how fast it has to be is said in
`tests/test_bars.py`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.speech_machine import load_now, machine
from tests.bench.speech_modes import MODES
from tests.bench.speech_page import NAME, page
from tests.bench.speech_picture import draw
from tests.bench.speech_profile import profile
from tests.bench.speech_results import Results
from tests.bench.speech_run import QUICK, Plan, measure
from tests.serving import ROOT

DOCS: Final = ROOT / "docs" / "reference"
PROFILE_ROUNDS: Final = 20
QUICK_PROFILE_ROUNDS: Final = 3


def run(plan: Plan | None, *, profile_rounds: int) -> Results:
    """What a plan finds (None: nothing), and where the time of a first audio goes, so many times (0: not asked)."""
    load_before = load_now()
    profiles = profile(profile_rounds) if profile_rounds else []
    modes = measure(plan) if plan is not None else []
    return Results(machine(load_before), modes, profiles)


def write(results: Results, folder: Path) -> None:
    """The page, its numbers and, where modes were measured, its picture."""
    (folder / f"{NAME}.json").write_bytes(as_json(results))
    (folder / f"{NAME}.md").write_text(page(results), "utf-8")
    if results.modes:
        draw(results.modes, folder / f"{NAME}.svg")


def as_json(results: Results) -> bytes:
    return msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.first_audio", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("--clients", type=int, nargs="+", help="how many at once (1 2 4 8 16)")
    parser.add_argument("--rounds", type=int, help="of one client; crowds take a fifth (20)")
    parser.add_argument("--modes", nargs="+", choices=MODES, help="all of them")
    parser.add_argument("--profile", action="store_true", help="only where the time of a first audio goes")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--quick", action="store_true", help="one round of 1 and 4 clients: does it work?")
    either.add_argument("--write", action="store_true", help="measure all, and write the page under docs/reference")
    return parser.parse_args(arguments)


def plan_of(options: argparse.Namespace) -> Plan:
    """The defaults, or those of `--quick`, with what else was asked for."""
    asked = {name: getattr(options, name) for name in ("clients", "rounds", "modes")}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in asked.items() if value}
    return msgspec.structs.replace(QUICK if options.quick else Plan(), **given)


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    profile_rounds = QUICK_PROFILE_ROUNDS if options.quick else PROFILE_ROUNDS
    results = run(
        plan_of(options) if options.write or not options.profile else None,
        profile_rounds=profile_rounds if options.write or options.profile else 0,
    )
    print(page(results))
    if options.json:
        options.json.write_bytes(as_json(results))
    if options.write:
        write(results, DOCS)
        print(f"written: {DOCS / NAME}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
