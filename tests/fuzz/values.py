"""Values for fuzzing: any JSON, texts of all kinds, and what a msgspec type takes, derived from the type."""

import json
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from tests.contract import SAMPLE_RATES_HZ

ENDS_THE_SERVER = "/admin/drain"
"""What is asked there from this machine is done: a fuzzed server would end."""


def texts(max_size: int) -> st.SearchStrategy[str]:
    """Any text but what no answer may hold: refusals repeat what was sent."""
    return st.text(max_size=max_size).filter(lambda text: "Traceback" not in text)


SPEAKABLE = st.sampled_from(
    [
        "Hi.",
        "Good morning.",
        "one",
        "And two. Or three?",
        " word",
        "Déjà vu: $5.50.",
        "Yes!\n\nNo.",
        "A 🎉 b.",
        "é 你 c",
    ]
)
UNSPEAKABLE = st.sampled_from(["🎉", "...", "!?", "—", "\x07.", "你好", "\u200b-"])
BLANK = st.sampled_from(["", " ", "\n\n", "\t "])
LONG = st.sampled_from(["word " * 50, "This goes on and on, and on. " * 20, "a" * 500, "x " * 3000])
ODD = texts(20)
TEXTS = SPEAKABLE | SPEAKABLE | SPEAKABLE | UNSPEAKABLE | BLANK | LONG | ODD

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 10**400, 0, -1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts(10)
)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(5), inner, max_size=3),
    max_leaves=8,
)
"""Any JSON."""

BROKEN = st.sampled_from(
    [
        b"", b"{", b'{"type"', b"[" * 100_000, b'{"type":"ping","x":' + b"[" * 50_000, b"\xff\xfe\x00", b"nul",
        b'{"type":"text","text":"\\ud83d."}', b'{"text":"\\udc00","input":"\\udc00"}', b'{"type":"ping"} {}', b"1e999",
        b'{"type":"cancel","played_ms":' + b"9" * 5000 + b"}", b"\x00", b'"', b"NaN", b'{"type":1e400}',
    ]
) | st.binary(max_size=40)  # fmt: skip
"""Bytes, few of which are JSON at all."""

_GOOD: dict[str, st.SearchStrategy[Any]] = {
    "sample_rate": st.sampled_from(SAMPLE_RATES_HZ),
    "voice": st.sampled_from(["aria", "ALLOY", "leo"]),
    "language": st.sampled_from(["en", "EN-us"]),
    "send_rate": st.sampled_from([None, 0, 0, 50, 1000]),
    "text": TEXTS,
    "input": TEXTS,
}
"""What is good for the fields of these names, of which the type says less than is asked for."""


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """JSON values that msgspec takes for a type."""
    match kind:
        case inspect.Metadata(type=inner):
            return values_of(inner)
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=least, le=most):
            return st.integers(-(2**62) if least is None else least, 2**62 if most is None else most)
        case inspect.FloatType(ge=least, le=most):
            return st.floats(least, most, allow_nan=False, allow_infinity=False)
        case inspect.StrType():
            return texts(10)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.UnionType(types=types):
            return st.one_of(*map(values_of, types))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return st.lists(values_of(item), max_size=3)
        case inspect.DictType(value_type=value):
            return st.dictionaries(texts(5), values_of(value), max_size=3)
        case inspect.StructType():
            return fields_of(kind)
        case _:
            return DOCUMENTS


def fields_of(kind: inspect.StructType) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that msgspec takes for a Struct, its tag included."""
    tag = {} if kind.tag_field is None else {kind.tag_field: st.just(kind.tag)}
    required = {field.encode_name: values_of(field.type) for field in kind.fields if field.required}
    optional = {field.encode_name: values_of(field.type) for field in kind.fields if not field.required}
    return st.fixed_dictionaries(tag | required, optional=optional)


def good_fields_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of a Struct without its tag that a server should take: where more is asked of a field than its type says,
    what is good for it, or nothing."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType), f"{kind} is a Struct"
    fields = {field.encode_name: _good(field) for field in info.fields}
    optional = {name: good for name, good in fields.items() if good is not None}
    required = {field.encode_name: optional.pop(field.encode_name) for field in info.fields if field.required}
    return st.fixed_dictionaries(required, optional=optional)


def _good(field: inspect.Field) -> st.SearchStrategy[Any] | None:
    if field.encode_name in _GOOD:
        return _GOOD[field.encode_name]
    says_enough = not _has_bare_text(field.type)
    return values_of(field.type) if says_enough else None


def _has_bare_text(kind: inspect.Type) -> bool:
    match kind:
        case inspect.UnionType(types=types):
            return any(map(_has_bare_text, types))
        case inspect.IntType(ge=None, le=None) | inspect.StrType() | inspect.StructType() | inspect.DictType():
            return True
        case inspect.Metadata(type=inner):
            return _has_bare_text(inner)
        case _:
            return False


def encoded(document: object) -> bytes:
    """JSON as a client would send it. Lone surrogates are escaped."""
    return json.dumps(document).encode()
