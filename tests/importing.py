"""What an import brings with it, found out in a fresh interpreter."""

import subprocess
import sys

from tests.serving import ROOT

HEAVY = {
    "torch",
    "numpy",
    "onnxruntime",
    "hibari",
    "soxr",
    "litestar",
    "granian",
    "nemo",
    "llama_cpp",
    "engines",
    "modes",
}


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())
