"""The wheel of llama-cpp-python: what it is kept under, that it is found again, what is said when it cannot be built.

That it can be built is shown by what installs these tests.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import ROOT

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "locks/llama_wheel.py"
HOOK = ROOT / "locks/llama_hook.cmake"
TOOLS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

Done = subprocess.CompletedProcess[str]


def wheel(*arguments: str, script: Path = SCRIPT, **variables: str) -> Done:
    left_out = ("CMAKE_ARGS", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in left_out} | variables
    return subprocess.run([sys.executable, script, *arguments], env=environment, capture_output=True, text=True)


def key(**variables: str) -> str:
    done = wheel("--key", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_the_key_says_what_it_is_of() -> None:
    assert key().startswith("llama-cpp-python-0.3.36-")
    assert "/" not in key()


@pytest.mark.parametrize(
    "variables",
    [{"CMAKE_ARGS": "-DGGML_CUDA=on"}, {"CMAKE_ARGS": "-DGGML_NATIVE=OFF"}, {"CXX": "clang++"}, {"CFLAGS": "-O2"}],
)
def test_what_the_outcome_depends_on_is_in_the_key(variables: dict[str, str]) -> None:
    assert key(**variables) != key()
    assert key(**variables) == key(**variables)


def test_another_checkout_finds_what_one_has_built(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "locks", tmp_path / "locks")
    other = wheel("--key", script=tmp_path / "locks/llama_wheel.py").stdout.strip()
    assert other == key()


def test_what_was_built_is_found_and_not_built_again(tmp_path: Path) -> None:
    kept = tmp_path / "tiding" / key() / "llama_cpp_python-0.3.36-py3-none-any.whl"
    kept.parent.mkdir(parents=True)
    kept.touch()
    for arguments in ((), ("--find",)):
        done = wheel(*arguments, XDG_CACHE_HOME=str(tmp_path), PATH="")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{kept}\n", "")


def test_what_was_not_built_is_not_found(tmp_path: Path) -> None:
    done = wheel("--find", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize("variables", [{"PATH": ""}, {"CXX": "/nowhere/c++ -O3"}])
def test_without_a_compiler_it_says_what_to_install_and_ends_with_status_3(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    for arguments in ((), ("--find",)):
        done = wheel(*arguments, XDG_CACHE_HOME=str(tmp_path), **variables)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("setup: the LLM server needs a C and a C++ compiler")
        assert "apt install g++" in done.stderr


def test_a_build_that_fails_shows_the_end_of_its_log_and_keeps_nothing(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "locks", tmp_path / "locks")
    nothing = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    done = wheel(script=tmp_path / "locks/llama_wheel.py", XDG_CACHE_HOME=str(tmp_path / "cache"), **nothing)
    assert (done.returncode, done.stdout) == (1, "")
    assert "No matching distribution found for llama-cpp-python==0.3.36" in done.stderr
    assert f"llama.cpp could not be compiled: this was the end of {tmp_path}/.cache/llama.log" in done.stderr
    assert [path.name for path in (tmp_path / ".cache").iterdir()] == ["llama.log"]
    assert not list((tmp_path / "cache").rglob("*.whl"))


WRAPPED = """\
#!/bin/sh
# A compiler whose programs for this very processor end with a status of ours.
for argument in "$@"; do
    if [ "$argument" = -march=native ]; then
        set -- "$@" -Dmain='tried(); int main() {{ return {status}; }} int tried'
    fi
done
exec c++ "$@"
"""

PROJECT = """\
cmake_minimum_required(VERSION 3.14)
project(llama.cpp C CXX)
add_library(part part.cpp)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86 alone")
@pytest.mark.skipif(
    not shutil.which("cmake", path=TOOLS), reason="needs cmake, which is there where llama.cpp was built"
)
@pytest.mark.parametrize(
    ("status", "arguments", "is_without"),
    [(0, (), False), (1, (), True), (1, ("-DGGML_NATIVE=OFF",), False)],
    ids=["works", "does not", "for any processor"],
)
def test_it_is_made_without_the_matrix_unit_where_the_compiler_breaks_that(
    tmp_path: Path, status: int, arguments: tuple[str, ...], is_without: bool
) -> None:
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "part.cpp").touch()
    compiler = tmp_path / "wrapped"
    compiler.write_text(WRAPPED.format(status=status))
    compiler.chmod(0o755)
    subprocess.run(
        ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_CXX_COMPILER={compiler}",
         "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={HOOK}", *arguments],
        check=True, capture_output=True, env={**os.environ, "PATH": TOOLS},
    )  # fmt: skip
    (compiled,) = json.loads((tmp_path / "build/compile_commands.json").read_text())
    assert ("-mno-amx-tile" in compiled["command"]) == is_without


def test_misuse_ends_with_status_2_and_the_usage() -> None:
    done = wheel("--kye")
    assert done.returncode == 2
    assert "usage: python" in done.stderr
