"""Imported by the servers of a soak when Python starts: what only the process itself can count, and, where the
environment asks for it, a voice that fails and stalls as chance has it, and a wall clock that jumps.
"""

import asyncio
import gc
import os
import random
import time

from prometheus_client import Gauge

STALLS, STALL_S = 0.03, 0.3
JUMPS, JUMP_S = 0.01, 7200.0


def num_tasks() -> int:
    """Tasks that are not done, of all event loops."""
    return sum(type(one) is asyncio.Task and not one.done() for one in gc.get_objects())


Gauge("soak_tasks", "Tasks that are not done").set_function(num_tasks)

if "SOAK_UNSTEADY" in os.environ:
    from engines import catalog, fake

    chance = random.Random(int(os.environ["SOAK_UNSTEADY"]))
    wall_clock = time.time
    offset_s = [0.0]
    time.time = lambda: wall_clock() + offset_s[0]

    class Unsteady(fake.FakeModel):
        """One segment in which there is a bane fails, and now and then a step takes long."""

        def step(self, slots):
            if chance.random() < STALLS:
                time.sleep(chance.random() * STALL_S)
            if chance.random() < JUMPS:
                offset_s[0] = chance.uniform(-JUMP_S, JUMP_S)
            self.steps.clear()  # which it keeps for tests, all of them
            self.prefills.clear()
            return super().step(slots)

    catalog.MODELS["fake"] = lambda _: lambda wake: Unsteady(wake, poison="bane", num_slots=12)
