"""How many slots fit: counted before anything is allocated, and said."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch

MOST_SLOTS: Final = 256
"""Unless more are asked for: what one card is known to serve in real time."""

CPU_SLOTS: Final = 4

RESERVE_BYTES: Final = 3 * 2**30
"""On a GPU, for what graphs and libraries take besides the slots: about 1.5 GB was seen with 512 slots."""

CODEC_BYTES: Final = 2 * 2**20
"""A slot's codec state at most: 1.6 MB in float32."""

logger = logging.getLogger("tiding.magpie")


class OutOfMemory(Exception):
    """The device has no room for what was asked. The message says what would fit."""


def choose_num_slots(wanted: int, bytes_per_slot: int, device: torch.device) -> int:
    """`wanted` slots, or with 0 as many as fit, within reason.

    Raises:
        OutOfMemory: so many do not fit, or not even one does.
    """
    free = free_bytes(device)
    num_fitting = slots_that_fit(free, bytes_per_slot, RESERVE_BYTES if device.type == "cuda" else 0)
    said = f"{num_fitting} slots of {bytes_per_slot / 2**20:.0f} MiB would fit into {free / 2**30:.1f} GiB free"
    if num_fitting < max(1, wanted):
        raise OutOfMemory(f"{wanted or 1} slots are wanted, but {said} (TIDING_MAGPIE_SLOTS)")
    default = MOST_SLOTS if device.type == "cuda" else CPU_SLOTS
    num_slots = wanted or min(default, num_fitting)
    logger.info("%d slots; %s", num_slots, said)
    return num_slots


def slots_that_fit(free: int, bytes_per_slot: int, reserve: int) -> int:
    """One slot more than serve is spare: it fills batches up."""
    return max(0, (free - reserve) // bytes_per_slot - 1)


def free_bytes(device: torch.device) -> int:
    """What can be allocated on the device, or of the machine's memory.

    Source: proc_meminfo(5), `MemAvailable`: what is free, and what only keeps files.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
