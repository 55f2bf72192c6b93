"""The first audio of this tree beside that of another commit: `python -m tests.bench.against REF [--rounds 30]`.

Both servers run at once, each on its own code with the packages that are installed here, and take turns: a text is said
to one and then to the other, so that both meet the same machine. Each text and seed is new, so that nothing is found in
a cache. The protocol must be the same in both.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from tests.bench.speech_clients import meet
from tests.bench.speech_modes import MODES, TITLES, Mode
from tests.bench.speech_process import own_process
from tests.bench.speech_texts import Texts
from tests.serving import ROOT, Served, serve_process

NUM_WARM_UPS = 3


@contextmanager
def tree_of(ref: str, folder: Path) -> Iterator[Path]:
    """The files of a commit."""
    tree = folder / "tree"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, ref], cwd=ROOT, check=True)
    try:
        yield tree
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def first_audio_ms(servers: Sequence[Served], mode: Mode, num_rounds: int) -> list[list[float]]:
    """For each server the time to the first sound of each text, in the order of the texts."""
    texts = Texts(seed=0)
    times = [list[float]() for _ in servers]
    with own_process() as pool:
        for number in range(NUM_WARM_UPS + num_rounds):
            talk, seed = texts.talk(), texts.seed()
            turns = list(zip(servers, times, strict=True))
            for served, told in turns if number % 2 else reversed(turns):
                (one,) = pool.submit(meet, served, mode, [talk], [seed]).result().told
                if number >= NUM_WARM_UPS:
                    told.append(one.first_ms)
    return times


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.against")
    parser.add_argument("ref", help="a commit, branch or tag")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tree = stack.enter_context(tree_of(options.ref, folder))
        then = stack.enter_context(serve_process(log=folder / "then", root=tree, model="hibari"))
        now = stack.enter_context(serve_process(log=folder / "now", model="hibari"))
        print(f"first audio of this tree beside {options.ref}, ms; one client, {options.rounds} texts")
        for mode in options.modes:
            before, after = first_audio_ms([then, now], mode, options.rounds)
            (p50, p95), (p50_now, p95_now) = np.percentile(before, [50, 95]), np.percentile(after, [50, 95])
            ratio = np.median(np.array(after) / np.array(before))
            print(
                f"{TITLES[mode]:34} p50 {p50:6.1f} -> {p50_now:6.1f}   p95 {p95:6.1f} -> {p95_now:6.1f}   "
                f"text by text x {ratio:.3f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
