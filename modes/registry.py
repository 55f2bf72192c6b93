"""Finding modes, and refusing to start with one that is broken, twice there, or on another's path."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

import msgspec
from litestar import Router
from litestar.types import ControllerRouterHandler

from engines.engine import Engine
from modes import GROUP, Mode

_PARAMETER: Final = re.compile(r"\{.*?\}")  # two paths that differ in a parameter's name alone are one

RESERVED: Final = "the server itself"


class ModeError(Exception):
    """A mode cannot be used. The message names its entry point and the distribution it comes from."""


class MountedMode(msgspec.Struct, frozen=True):
    """A mode that is ready to be served."""

    name: str
    origin: str
    handlers: Sequence[ControllerRouterHandler]
    paths: tuple[str, ...]


def installed(allowed: Sequence[str] = ()) -> list[EntryPoint]:
    """Every entry point that claims to be a mode, in order of name; only those in `allowed`, if it names any.

    Raises:
        ModeError: one of `allowed` is not installed.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    missing = set(allowed) - {point.name for point in points}
    if missing:
        there_are = ", ".join(dict.fromkeys(point.name for point in points))
        raise ModeError(f"no mode named {', '.join(sorted(missing))} is installed; there are {there_are}")
    return [point for point in points if not allowed or point.name in allowed]


def mount(engine: Engine, points: Sequence[EntryPoint], *, reserved_paths: Iterable[str] = ()) -> list[MountedMode]:
    """The modes that `points` name, made for `engine`.

    Raises:
        ModeError: a mode cannot be imported or made, or a name or a path is taken twice.
    """
    _refuse_duplicates(points)
    modes = [_make(point, engine) for point in points]
    _refuse_shared_paths(modes, reserved_paths)
    return modes


def paths_of(handlers: Sequence[ControllerRouterHandler]) -> tuple[str, ...]:
    """The paths that these handlers claim."""
    router = Router(path="/", route_handlers=list(handlers))
    return tuple(sorted({route.path_format for route in router.routes}))


def origin(point: EntryPoint) -> str:
    """Entry point and distribution, for messages: `batch = modes.batch:mode (tiding 0.1.0)`."""
    dist = point.dist
    return f"{point.name} = {point.value} ({f'{dist.name} {dist.version}' if dist else 'unknown distribution'})"


def _make(point: EntryPoint, engine: Engine) -> MountedMode:
    try:
        mode = cast(Mode, point.load())
        handlers = tuple(mode(engine))
        paths = paths_of(handlers)
    except Exception as error:
        raise ModeError(f"mode {origin(point)} is broken: {type(error).__name__}: {error}") from error
    return MountedMode(point.name, origin(point), handlers, paths)


def _refuse_duplicates(points: Sequence[EntryPoint]) -> None:
    counts = Counter(point.name for point in points)
    for name, count in counts.items():
        if count > 1:
            claims = "; ".join(origin(point) for point in points if point.name == name)
            raise ModeError(f"{count} distributions bring a mode named {name!r}: {claims}")


def _refuse_shared_paths(modes: Sequence[MountedMode], reserved_paths: Iterable[str]) -> None:
    owners = dict.fromkeys(reserved_paths, RESERVED)
    for mode in modes:
        for path in mode.paths:
            place = _PARAMETER.sub("{}", path)
            if place in owners:
                raise ModeError(f"path {path} is claimed by mode {mode.origin} and by {owners[place]}")
            owners[place] = f"mode {mode.origin}"
