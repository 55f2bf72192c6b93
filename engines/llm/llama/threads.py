"""How many threads there are, and how they wait for each other.

llama.cpp's threads meet some hundred times in a step. Whoever is there first waits by spinning, and keeps a core from
the one that is awaited where anything else wants to run there: a server beside this one, or this one's own event loop.
Measured with SmolLM2-135M on two cores, in ms for a step of one token and for one of eight sessions:

                                     idle machine   beside one busy process
    one thread                           7    52          8    53
    two, OpenMP as it is                 7    30         14 to 110   120 to 1090
    two, 1000 spins, then sleep          7    30         27    72
    two, 200 spins, then sleep           7    31         16    66
    two, sleep at once                  11    46         12    60
"""

import math
import os
from pathlib import Path
from typing import Final

import msgspec

_NUM_SPINS: Final = "200"

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")


class Threads(msgspec.Struct, frozen=True):
    """For a step of one token, where threads wait for each other more than they work, and for one of several."""

    one_token: int
    batch: int


def choose_threads(wanted: int) -> Threads:
    """So many of each; 0: half of the cores for a step of one token, as llama-cpp-python does, and all for a batch."""
    if wanted:
        return Threads(wanted, wanted)
    cores = num_cores()
    return Threads(max(1, cores // 2), cores)


def num_cores() -> int:
    """Those that this process may use: a container may be given the time of fewer than it sees."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(seen, quota_cores(_CGROUPS, _OWN_CGROUP))))


def quota_cores(cgroups: Path, own: Path) -> float:
    """How many cores' time the control group of this process gets. Source: Linux, `cgroup-v2.rst`, `cpu.max`."""
    try:
        group = next(line for line in own.read_text().splitlines() if line.startswith("0::")).removeprefix("0::/")
        quota_us, period_us = (cgroups / group / "cpu.max").read_text().split()
        return float(quota_us) / float(period_us)
    except (OSError, StopIteration, ValueError):  # there is no such group, or its quota is "max"
        return math.inf


def let_threads_sleep() -> None:
    """OpenMP reads this when llama.cpp is imported for the first time. Who has set it already knows better."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _NUM_SPINS)
