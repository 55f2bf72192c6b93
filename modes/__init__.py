"""The contract of a mode, and nothing else.

A mode is one callable: given the engine, it returns Litestar route handlers. It is found by its entry point in the
group `tiding.modes`; the entry point's name is the mode's name, and the paths are its own.

    from collections.abc import Sequence
    from typing import TYPE_CHECKING
    from litestar import get

    if TYPE_CHECKING:
        from litestar.types import ControllerRouterHandler
        from engines.engine import Engine

    def mode(engine: "Engine") -> "Sequence[ControllerRouterHandler]":
        @get("/say/{text:str}")
        async def say(text: str) -> bytes: ...
        return [say]

The engine is handed over before its model is loaded: a mode reads voices, format and languages when it serves a
request, never when it is made. Errors of the engine may pass through a handler: the server answers them.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from litestar.types import ControllerRouterHandler

from engines.engine import Engine

Mode: TypeAlias = Callable[[Engine], Sequence[ControllerRouterHandler]]
"""What an entry point of the group `tiding.modes` names."""

GROUP: Final = "tiding.modes"
