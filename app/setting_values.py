"""What a setting takes: read from the text of a variable, and in words, for who gave another and for the reference."""

import difflib
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import inspect


class ValueRefused(ValueError):
    """A text is no value of this setting. The message says what is expected."""


def read_value(text: str, kind: object) -> Any:
    """The value of type `kind` that `text` is. Of a list, the items stand between commas.

    Raises:
        ValueRefused: it is none.
    """
    shape = inspect.type_info(kind)
    is_list = isinstance(shape, inspect.VarTupleType)
    try:
        value = msgspec.convert(_items(text) if is_list else text, kind, strict=False)
    except msgspec.ValidationError:
        near = nearest(text.lower(), choices_of(kind))
        raise ValueRefused(f"expected {words_of(kind)}" + (f"; did you mean {near}?" if near else "")) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueRefused(f"expected {words_of(kind)}")
    return value


def words_of(kind: object, quote: str = "") -> str:
    """What is of type `kind`: "1 to 65535", "true or false". `quote` goes around each value that is meant literally.

    A type says it in its own words with `Meta(description=...)`. Any text: "text".
    """
    shape = inspect.type_info(kind)
    match shape:
        case inspect.Metadata(extra_json_schema={"description": str(words)}):
            return words
        case inspect.BoolType():
            return f"{quote}true{quote} or {quote}false{quote}"
        case inspect.LiteralType():
            return _alternatives([f"{quote}{value}{quote}" for value in choices_of(kind)])
        case inspect.IntType() | inspect.FloatType():
            return _range(shape)
        case inspect.StrType(min_length=least):
            return "text that is not empty" if least else "text"
        case inspect.VarTupleType():
            return "a list, separated by commas"
        case _:
            raise TypeError(f"no words for what {kind} takes: give it Meta(description=...)")


def choices_of(kind: object) -> list[str]:
    """The values of a `Literal`, as they were written; of any other type none."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return [str(value) for value in get_args(kind)] if get_origin(kind) is Literal else []


def nearest(text: str, names: Sequence[str]) -> str:
    """The one of `names` that was meant, or empty where none is near."""
    return next(iter(difflib.get_close_matches(text, names, n=1)), "")


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _range(shape: inspect.IntType | inspect.FloatType) -> str:
    noun = "a whole number" if isinstance(shape, inspect.IntType) else "a number"
    match shape.ge, shape.gt, shape.le:
        case (None, None, None):
            return noun
        case (least, None, None):
            return f"{noun}, {least} or more"
        case (None, bound, None):
            return f"{noun} above {bound}"
        case (least, None, most):
            return f"{noun}, {least} to {most}"
        case _:
            raise TypeError(f"no words for the bounds of {shape}: give the type Meta(description=...)")


def _alternatives(values: Sequence[str]) -> str:
    return f"{', '.join(values[:-1])} or {values[-1]}" if len(values) > 1 else values[0]
