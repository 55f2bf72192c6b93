"""The whole speech server on random weights: `python -m tests.bench.magpie_app PORT SIZE SLOTS FRAMES SEGMENT`.

As `python -m app.serve tts` serves it, with one mode more: `GET /bench/meter` says where the device thread's time went
since it was asked last. `FRAMES` is what a slot has room for, `SEGMENT` what a segment has. It needs no checkpoint, and
Tiding need not be installed.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from litestar import Litestar, get
from litestar.types import ControllerRouterHandler

from app.logs import log_config
from app.serve import made
from app.settings import TtsSettings
from app.supervisor import Supervisor
from engines.engine import Engine

VARIABLE: Final = "BENCH_MAGPIE"
"""What is served, as the main process tells its worker: size, slots, frames and segment, with blanks between."""

MODES: Final = ("batch", "stream", "adaptive", "websocket")


def app() -> Litestar:
    """The app as Granian's worker makes it."""
    import logging

    from app.tts import create_app
    from engines.magpie.model import Magpie
    from engines.model import Wake
    from tests.bench.magpie_rig import limit_segments, loader, make_checkpoint

    logging.getLogger("tiding.engine").setLevel(logging.ERROR)  # every segment is cut by its length here
    size, slots, frames, segment = os.environ[VARIABLE].split()

    def load(wake: Wake) -> Magpie:
        checkpoint = make_checkpoint(size, int(frames))
        model = loader(checkpoint, int(slots))(wake)
        limit_segments(model, int(segment), checkpoint.shape.stacking)
        return model

    _ensure_distribution()
    points = [EntryPoint(name, f"modes.{name}:mode", "tiding.modes") for name in MODES]
    points.append(EntryPoint("bench", "tests.bench.magpie_app:mode", "tiding.modes"))
    return made(lambda: create_app(TtsSettings(max_sessions=4096), load=load, mode_points=points))


def mode(engine: Engine) -> Sequence[ControllerRouterHandler]:
    """`/bench/meter`."""
    from tests.bench.magpie_meter import LoopLag, Meter

    meter, lag = Meter(), LoopLag()

    @get("/bench/meter")
    async def read_meter() -> dict[str, Any]:
        meter.attach(engine)
        lag.start()
        found = meter.summary() | {"loop_late_ms": lag.take(), "sessions": engine.num_sessions}
        meter.reset()
        return found

    return [read_meter]


def _ensure_distribution() -> None:
    """The app names its version: where Tiding is not installed, a folder says one."""
    try:
        version("tiding")
    except PackageNotFoundError:
        folder = Path(tempfile.mkdtemp(prefix="tiding-bench-"))
        (folder / "tiding-0.dist-info").mkdir()
        (folder / "tiding-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: tiding\nVersion: 0\n")
        sys.path.append(str(folder))


def main(arguments: list[str]) -> None:
    port, *served = arguments
    os.environ[VARIABLE] = " ".join(served)
    settings = TtsSettings(port=int(port))
    Supervisor(
        "tests.bench.magpie_app:app",
        address=settings.host,
        port=settings.port,
        drain_s=settings.drain_s,
        send_timeout_s=settings.send_timeout_s,
        log_dictconfig=log_config("warning", "text"),
    ).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
