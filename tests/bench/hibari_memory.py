"""What hibari keeps of texts of many lengths: `python -m tests.bench.hibari_memory [--texts 500]`.

Resident memory of one network beside another that keeps a plan of memory for each length, which is onnxruntime's
default; each in a process of its own, over the same lengths.
"""

import argparse
import random
import subprocess
import sys
import time
from typing import Final

import onnxruntime as ort
import psutil

from engines.hibari import network
from engines.hibari.model import NETWORK_FILE

LENGTHS: Final = (20, 260)
"""In ids: a few words, and the longest segment."""

NUM_LOOKS: Final = 10


def measure(name: str, num_texts: int) -> None:
    """`planned`: with onnxruntime's default."""
    if name == "planned":
        network.ort.SessionOptions = _Planned
    voice = network.Network(NETWORK_FILE)
    draw = random.Random(1)
    process, started_s = psutil.Process(), time.process_time()
    sizes: list[int] = []
    for number in range(1, num_texts + 1):
        voice.run([draw.randint(1, 40) for _ in range(draw.randint(*LENGTHS))])
        if number % max(1, num_texts // NUM_LOOKS) == 0:
            sizes.append(round(process.memory_info().rss / 1e6))
    print(f"{name}: {sizes} MB, {time.process_time() - started_s:.1f} s of processor time", flush=True)


class _Planned(ort.SessionOptions):
    """Does not hear of it being turned off."""

    @property
    def enable_mem_pattern(self) -> bool:
        return True

    @enable_mem_pattern.setter
    def enable_mem_pattern(self, _: bool) -> None: ...


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hibari_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--only", choices=("planned", "ours"))
    options = parser.parse_args(arguments)
    if options.only:
        measure(options.only, options.texts)
        return 0
    for name in ("planned", "ours"):
        command = [sys.executable, "-m", "tests.bench.hibari_memory", "--only", name, "--texts", str(options.texts)]
        subprocess.run(command, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
