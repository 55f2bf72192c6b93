"""What a run of the benchmark was measured on, and when."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.speech_results import Machine
from tests.serving import ROOT


def machine(load_before: float) -> Machine:
    """This machine, now that the run is over. `load_before`: the load average when it began."""
    return Machine(
        num_cores=os.cpu_count() or 1,
        processor=_processor(),
        python=platform.python_version(),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=_commit(),
        load=(round(load_before, 2), round(load_now(), 2)),
    )


def load_now() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    """Its model, with its family where the model's name says little. Source: proc_cpuinfo(5)."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    family = f"family {said['cpu family']}, model {said['model']}" if "cpu family" in said else platform.machine()
    return f"{said.get('model name', platform.machine())} ({family})"


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
