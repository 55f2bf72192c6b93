"""`python -m tests.settings_page` writes the tables of docs/reference/settings.md from the settings Structs.

A table stands behind `<!-- settings: PREFIX -->` and has the variables that begin so and with none of the longer
prefixes on the page. Its rows are the fields: what they take is said by their types, what they do by their docstrings.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from app.setting_values import words_of
from app.settings import LLM_PREFIX, PREFIX, SHARED, SHARED_WITH_LLM, LlmSettings, TtsSettings
from tests.serving import ROOT

PAGE: Final = ROOT / "docs/reference/settings.md"

_TABLE = re.compile(r"^(<!-- settings: (\w+) -->\n)(?:\|.*\n)*", re.MULTILINE)


class Setting(msgspec.Struct, frozen=True):
    """A variable. `shared` is the one of the other server that it follows, or empty."""

    variable: str
    field: str
    kind: Any
    default: Any
    doc: str
    shared: str = ""

    @property
    def shown_default(self) -> str:
        default = str(self.default).lower() if isinstance(self.default, bool) else str(self.default)
        return self.shared or ("" if self.default == () else default)

    @property
    def row(self) -> str:
        shown = f"`{self.shown_default}`" if self.shown_default else "empty"
        return f"| `{self.variable}` | {shown} | {words_of(self.kind, '`')} | {self.doc.replace('|', '&#124;')} |\n"


def settings_of(kind: type[msgspec.Struct], prefix: str, shared: Mapping[str, str]) -> Iterator[Setting]:
    docs = docstrings(kind)
    for field in msgspec.structs.fields(kind):
        variable = prefix + field.name.upper()
        yield Setting(
            variable, field.name, field.type, field.default, docs.get(field.name, ""), shared.get(field.name, "")
        )


def docstrings(kind: type) -> dict[str, str]:
    """Field -> the literal behind it, in one line."""
    (struct,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(struct, ast.ClassDef)
    found: dict[str, str] = {}
    for field, behind in zip(struct.body, struct.body[1:], strict=False):
        match field, behind:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
            case _:
                pass
    return found


SETTINGS: Final = (
    *settings_of(TtsSettings, PREFIX, SHARED_WITH_LLM),
    *settings_of(LlmSettings, LLM_PREFIX, SHARED),
)


def written(page: str) -> str:
    """The page with its tables as they have to be."""
    prefixes = [prefix for _, prefix in _TABLE.findall(page)]

    def table(match: re.Match[str]) -> str:
        rows = [setting.row for setting in SETTINGS if _longest(setting.variable, prefixes) == match[2]]
        return "".join([match[1], "| variable | default | takes | |\n", "|---|---|---|---|\n", *rows])

    return _TABLE.sub(table, page)


def _longest(variable: str, prefixes: list[str]) -> str:
    return max((prefix for prefix in prefixes if variable.startswith(prefix)), key=len, default="")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
