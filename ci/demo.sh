#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The network chapter and the chapter on processes end to end; ci/setup.sh has run. PYTHON is an interpreter that has
# carrick, CARRICK_PROFILE the profile of the library and the Rust peer (release).
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${CARRICK_PROFILE:-release}
python=${PYTHON:-.venv/bin/python}
target=${CARGO_TARGET_DIR:-target}/$profile
[ "$profile" = debug ] && flag=() || flag=(--profile "$profile")
cargo build --quiet -p carrick-ffi "${flag[@]}"
cargo build --quiet -p carrick --example demo_peer --example processes "${flag[@]}"

mkdir -p build/demo
cp "$target/libcarrick_c.so" build/demo/libcarrick.so.0
ln -sf libcarrick.so.0 build/demo/libcarrick.so
cc -std=c99 -O2 -Wall -Wextra -Werror -Iinclude demo/peer.c -o build/demo/peer \
    -Lbuild/demo -lcarrick "-Wl,-rpath,$PWD/build/demo"

timeout --kill-after=10 300 "$python" demo/demo.py build/demo/peer "$target/examples/demo_peer"
echo
timeout --kill-after=10 300 "$python" demo/processes.py
echo
# A chapter's scenarios in one program, in each language.
cc -std=c99 -O2 -Wall -Wextra -Werror -Iinclude examples/c/processes.c -o build/demo/processes \
    -Lbuild/demo -lcarrick "-Wl,-rpath,$PWD/build/demo"
for program in "$python examples/python/processes.py" build/demo/processes "$target/examples/processes"; do
    # shellcheck disable=SC2086
    timeout --kill-after=10 60 $program > build/demo/processes.txt
    diff examples/expected/processes.txt build/demo/processes.txt
done
echo "Processes in Python, C and Rust, each with carrick:"
cat build/demo/processes.txt
