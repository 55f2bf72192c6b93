"""Distributions that bring modes, written into a folder as an installer would leave them."""

from pathlib import Path
from textwrap import dedent

GOOD_MODE = """
    from litestar import get

    def mode(engine):
        @get("{path}")
        async def handler() -> str:
            return "here"
        return [handler]
"""


def good_mode(path: str) -> str:
    """Source of a module whose `mode` serves `path`."""
    return GOOD_MODE.replace("{path}", path)


def install(folder: Path, name: str, source: str, *, mode_name: str = "", value: str = "") -> Path:
    """Distribution `name` 1.2 with a module of the same name and one entry point. The folder, to put on a path."""
    module = name.replace("-", "_")
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(dedent(source))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[tiding.modes]\n{mode_name or module} = {value or f'{module}:mode'}\n")
    return folder
