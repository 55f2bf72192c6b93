"""What a process and all below it take of the machine."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil


class Usage(msgspec.Struct, frozen=True):
    """Processor seconds since the start, in user and system mode, and resident memory now; pages that processes share
    count for each.
    """

    cpu_s: float
    memory_mb: float


def usage(pid: int) -> Usage:
    """Of the whole tree. Its clock ticks every 10 ms."""
    cpu_s = memory_mb = 0.0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess), process.oneshot():
            times = process.cpu_times()
            cpu_s += times.user + times.system
            memory_mb += process.memory_info().rss / 2**20
    return Usage(cpu_s, memory_mb)


def peak_mb(pid: int) -> float:
    """The most resident memory that each process of the tree has had, summed. Source: proc(5), VmHWM."""
    return sum(_peak_kb(process.pid) for process in _tree(pid)) / 1024


def _tree(pid: int) -> Iterator[psutil.Process]:
    root = psutil.Process(pid)
    yield root
    yield from root.children(recursive=True)


def _peak_kb(pid: int) -> int:
    with suppress(OSError):  # it has ended
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
