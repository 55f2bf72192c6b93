"""Both servers under clients that behave and clients that do not: `just soak [--minutes 2] [--seed 1] [--write]`."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.serving import ROOT
from tests.soak.report import write
from tests.soak.run import NUM_UNRULY, soak


def main(arguments: Sequence[str]) -> int:
    """Run it, write the report, say what was found. 1: something was."""
    parser = argparse.ArgumentParser(prog="just soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="in all, shared between the voices (2)")
    parser.add_argument("--seed", type=int, default=1, help="of what the unruly do, and when (1)")
    parser.add_argument("--voices", nargs="+", choices=("hibari", "fake"), default=["hibari", "fake"])
    parser.add_argument("--unruly", type=int, default=NUM_UNRULY, help=f"how many of them at once ({NUM_UNRULY})")
    parser.add_argument("--write", action="store_true", help="into docs/reference, not .cache/soak")
    options = parser.parse_args(arguments)
    minutes = options.minutes / len(options.voices)
    with tempfile.TemporaryDirectory() as folder:
        soaks = [
            soak(Path(folder), model=voice, minutes=minutes, seed=options.seed, num_unruly=options.unruly)
            for voice in options.voices
        ]
    path = write(soaks, ROOT / ("docs/reference" if options.write else ".cache/soak"))
    print(path.read_text("utf-8"))
    return int(any(one.faults for one in soaks))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
