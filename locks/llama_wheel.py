"""The wheel of llama-cpp-python that the LLM server runs on: built once from its locked source, then kept.

    python locks/llama_wheel.py          build it, or find it built; progress on stderr, its path on stdout
    python locks/llama_wheel.py --find   its path, if it has been built; status 1 if not
    python locks/llama_wheel.py --key    what it is kept under

There is no wheel of it to fetch: it is compiled for the machine that it runs on, and kept in `$XDG_CACHE_HOME/tiding`
(`~/.cache/tiding`), for every checkout and every environment. The key holds what the outcome depends on: the locked
source, the platform, CMAKE_ARGS and the compiler that the environment asks for, and the processor, unless CMAKE_ARGS
says `-DGGML_NATIVE=OFF`. The Python version is not in it: the bindings are Python, and call the library by ctypes.

Status 3: it has not been built and there is no compiler. Building needs what `locks/build.txt` lists.
"""

import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = "llama-cpp-python"
WORK: Final = ROOT / ".cache/llama"
LOG: Final = ROOT / ".cache/llama.log"

NO_COMPILER: Final = 3
SAY_EVERY_S: Final = 5.0
LAST_LINES: Final = 20

CMAKE_ARGS: Final = "-DLLAVA_BUILD=OFF"
"""Text only. The caller's CMAKE_ARGS come after these, and win."""

HOOK: Final = ROOT / "locks/llama_hook.cmake"

LEFT_OUT: Final = "include/**;lib/**;llama_cpp/lib/*.so.*.*.*"
"""Of the wheel: headers, and third copies of each library, which a zip has no links for."""

COMPILER_VARIABLES: Final = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CUDACXX", "CUDAARCHS")

NEEDS_COMPILER: Final = """\
setup: the LLM server needs a C and a C++ compiler: llama.cpp is compiled for this machine
       Debian, Ubuntu: apt install g++     Fedora: dnf install gcc-c++     macOS: xcode-select --install"""


def main(arguments: list[str]) -> int:
    kept = _cache() / key(os.environ)
    if arguments == ["--key"]:
        print(kept.name)
        return 0
    if arguments not in ([], ["--find"]):
        _say(f"usage: python {sys.argv[0]} [--find | --key]")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was begun is cleared away
    status = 0 if _find(kept) else 1 if _has_compiler() else NO_COMPILER
    if status == NO_COMPILER:
        _say(NEEDS_COMPILER)
    elif status and arguments == []:
        with _alone(kept.parent):
            status = 0 if _find(kept) else _build(kept)
    if status == 0:
        print(_find(kept))
    return status


def key(environment: Mapping[str, str]) -> str:
    """The name of the folder in which the wheel is kept: readable, then a digest of all that it depends on."""
    args = environment.get("CMAKE_ARGS", "")
    parts = [
        _locked(),
        sysconfig.get_platform(),
        *platform.libc_ver(),
        CMAKE_ARGS,
        HOOK.read_text("utf-8"),
        LEFT_OUT,
        args,
    ]
    parts += [environment.get(name, "") for name in COMPILER_VARIABLES]
    parts += [] if "-DGGML_NATIVE=OFF" in args.split() else [_processor()]
    version = _locked().split()[0].partition("==")[2]
    return f"{PACKAGE}-{version}-{sysconfig.get_platform()}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"


def _locked() -> str:
    """The package's lines in the lock: its version and the hash of its source."""
    lock = (ROOT / "locks/llm.txt").read_text("utf-8")
    found = re.search(rf"^{PACKAGE}==.*\n(?: .*\n)+", lock, re.MULTILINE)
    assert found, f"locks/llm.txt has no {PACKAGE}"
    return found[0]


def _processor() -> str:
    """What the processor can do, as far as the system says: code that is compiled for it runs on its like."""
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def _cache() -> Path:
    """Outside of every checkout; in this one where nothing can be written there."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tiding"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    except OSError:
        pass
    return ROOT / ".cache"


def _find(kept: Path) -> Path | None:
    return next(kept.glob("*.whl"), None)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """One build at a time, whichever checkout begins it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("setup: llama.cpp is being compiled by someone else here: waiting for that")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(kept: Path) -> int:
    _say("setup: fetching llama.cpp (77 MB) and compiling it for this machine, once: about 2 minutes on two cores")
    start_s = time.monotonic()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    try:
        status = _compile(start_s)
        if status == 0:
            _keep(kept)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    if status:
        end = LOG.read_text("utf-8", "replace").splitlines()[-LAST_LINES:]
        _say(*end, f"setup: llama.cpp could not be compiled: this was the end of {LOG}")
        return 1
    _say(f"setup: compiled in {time.monotonic() - start_s:.0f} s, and kept in {kept}")
    return 0


def _has_compiler() -> bool:
    c = os.environ.get("CC", "").split()[:1] or ["cc", "gcc", "clang"]
    cxx = os.environ.get("CXX", "").split()[:1] or ["c++", "g++", "clang++"]
    return all(any(shutil.which(name) for name in names) for names in (c, cxx))


def _compile(start_s: float) -> int:
    """pip's exit status. It checks the source's hash, and its own store of wheels is left out of this: that one knows
    no CMAKE_ARGS.
    """
    (WORK / "locked.txt").write_text(_locked())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--verbose", "--no-deps"]
    pip += ["--no-build-isolation", "--no-binary", PACKAGE, "--no-cache-dir", "--require-hashes"]
    pip += ["-r", str(WORK / "locked.txt"), "-w", str(WORK)]
    with subprocess.Popen(
        pip, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            _follow(process.stdout or (), start_s)
        except BaseException:
            process.terminate()
            raise
    return process.returncode


def _environment() -> dict[str, str]:
    num_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own = f"{CMAKE_ARGS} -DCMAKE_PROJECT_llama.cpp_INCLUDE={shlex.quote(str(HOOK))}"
    return {
        "CMAKE_BUILD_PARALLEL_LEVEL": str(num_processors),
        **os.environ,
        "CMAKE_ARGS": f"{own} {os.environ.get('CMAKE_ARGS', '')}",
        "SKBUILD_WHEEL_EXCLUDE": LEFT_OUT,
        "TMPDIR": str(WORK),
    }


def _follow(lines: Iterable[str], start_s: float) -> None:
    """Write `lines` to the log, and now and then say how far this is."""
    next_s = start_s
    with LOG.open("w", encoding="utf-8") as log:
        for line in lines:
            log.write(line)
            step = re.match(r"\s*\[(\d+)/(\d+)\]", line)
            now_s = time.monotonic()
            if step and now_s >= next_s:
                done, of = map(int, step.groups())
                _say(f"setup: compiling llama.cpp: {100 * done // of}%, {done} of {of} files, {now_s - start_s:.0f} s")
                next_s = now_s + SAY_EVERY_S


def _keep(kept: Path) -> None:
    """Move the wheel to where it is looked for: whole, or not at all."""
    wheel = next(WORK.glob("*.whl"))
    kept.mkdir(parents=True, exist_ok=True)
    part = kept / f"{wheel.name}.part"
    shutil.copyfile(wheel, part)
    part.rename(kept / wheel.name)


def _say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
