#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Everything that demo, tests, lint and benchmarks stand on: checks what must come from the system, makes the
# virtual environment .venv with the tools, builds the libraries and installs the Python package, into .venv and,
# for other interpreters, into build/site. Run again, it does only what has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

need() {
    command -v "$1" > /dev/null && return
    echo "setup: '$1' is missing: install it with: $2" >&2
    exit 1
}
need cargo "your system's rustup or 'apt-get install cargo' (1.88 or newer)"
need cc "apt-get install gcc"
need c++ "apt-get install g++"
python=${PYTHON:-}
for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
    [ -n "$python" ] && break
    if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "setup: no Python of 3.11 or newer with venv: install it with: apt-get install python3.11 python3.11-venv" >&2
    exit 1
fi

# A file's content says what was done last; steps are skipped while it still fits.
done_already() { [ -e "$1" ] && [ "$(cat "$1")" = "$2" ]; }

if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv || {
        echo "setup: $python cannot make a virtual environment: install it with: apt-get install python3.11-venv" >&2
        exit 1
    }
fi
wanted=$(sha256sum ci/requirements.txt)
if ! done_already .venv/installed "$wanted"; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r ci/requirements.txt
    echo "$wanted" > .venv/installed
fi

cargo build --quiet --release -p carrick-ffi -p carrick-python

# The package as users get it: a wheel. It is made anew only when something of it has changed.
stamp=$( (cat target/release/lib_carrick.so && find python/carrick python/carrick.pth python/pyproject.toml -type f \
    -not -name '*.so' -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum) | sha256sum)
if ! done_already build/site.stamp "$stamp" || ! .venv/bin/python -I -c 'import carrick' 2> /dev/null; then
    rm -rf build/wheel build/site
    .venv/bin/maturin build --quiet --release --manifest-path python/Cargo.toml --interpreter .venv/bin/python \
        --out build/wheel
    pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --force-reinstall)
    "${pip[@]}" build/wheel/*.whl
    "${pip[@]}" --target build/site build/wheel/*.whl
    echo "$stamp" > build/site.stamp
fi
