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
cargo build --quiet -p carrick "${flag[@]}" --example demo_peer \
    --example processes --example daemons --example queues --example crawler

mkdir -p build/demo
cp "$target/libcarrick_c.so" build/demo/libcarrick.so.0
ln -sf libcarrick.so.0 build/demo/libcarrick.so
cc -std=c99 -O2 -Wall -Wextra -Werror -Iinclude demo/peer.c -o build/demo/peer \
    -Lbuild/demo -lcarrick "-Wl,-rpath,$PWD/build/demo"

timeout --kill-after=10 300 "$python" demo/demo.py build/demo/peer "$target/examples/demo_peer"
echo
timeout --kill-after=10 300 "$python" demo/processes.py
echo
# The chapter's scenarios in each language; daemons with children are refused in Python (process_daemon_children.py).
echo "Processes in C, Rust and, but for daemons, Python, each with carrick:"
for name in processes daemons queues crawler; do
    cc -std=c99 -O2 -Wall -Wextra -Werror -Iinclude "examples/c/$name.c" -o "build/demo/$name" \
        -Lbuild/demo -lcarrick "-Wl,-rpath,$PWD/build/demo"
    programs=("build/demo/$name" "$target/examples/$name")
    [ "$name" = daemons ] || programs+=("$python examples/python/$name.py")
    for program in "${programs[@]}"; do
        # shellcheck disable=SC2086
        timeout --kill-after=10 60 $program > build/demo/output.txt
        diff "examples/expected/$name.txt" build/demo/output.txt
    done
    echo "  $name"
    sed 's/^/    /' build/demo/output.txt
done
