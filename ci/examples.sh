#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the examples in C and Rust and runs those in all three languages to their end, each under a watchdog. One
# file says what a scenario prints, whatever the language: examples/expected/NAME.txt, or models.txt for the I/O
# models. The C ones see only a header and a library in a folder of their own, as after an installation.
# CARRICK_PROFILE is the profile of the C library (release); PYTHON an interpreter that has carrick.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${CARRICK_PROFILE:-release}
python=${PYTHON:-.venv/bin/python}
target=${CARGO_TARGET_DIR:-target}
[ "$profile" = debug ] && flag=() || flag=(--profile "$profile")
cargo build -q -p carrick-ffi "${flag[@]}"
# The Rust examples are built as `cargo test` builds them anyway.
cargo build -q -p carrick --examples

build=build/examples
prefix=$build/prefix
mkdir -p "$prefix/include" "$prefix/lib" "$build/c"
cp include/carrick.h "$prefix/include/"
cp "$target/$profile/libcarrick_c.so" "$prefix/lib/libcarrick.so.0"
ln -sf libcarrick.so.0 "$prefix/lib/libcarrick.so"

failed=0
count=0
# Runs one example and compares what it prints, on both outputs, with what it should.
run() {
    local name=$1 language=$2
    shift 2
    local expected=examples/expected/$name.txt code=0
    [ -e "$expected" ] || expected=examples/expected/models.txt
    timeout --kill-after=5 60 "$@" > "$build/output" 2>&1 < /dev/null || code=$?
    if [ "$code" -eq 0 ] && diff -u "$expected" "$build/output" > "$build/difference"; then
        printf '  ok      %-7s %s\n' "$language" "$name"
    else
        failed=$((failed + 1))
        printf '  FAILED  %-7s %s (exit code %d)\n' "$language" "$name" "$code"
        cat "$build/difference" 2> /dev/null || cat "$build/output"
    fi
    rm -f "$build/output" "$build/difference"
    count=$((count + 1))
}

for source in examples/hello/hello.c examples/c/*.c; do
    name=$(basename "$source" .c)
    cc -std=c99 -O1 -Wall -Wextra -Werror -pedantic -I"$prefix/include" "$source" -o "$build/c/$name" \
        -L"$prefix/lib" -lcarrick -lpthread "-Wl,-rpath,$PWD/$prefix/lib"
    run "$name" C "$build/c/$name"
done
for source in examples/hello/hello.rs examples/rust/*.rs; do
    name=$(basename "$source" .rs)
    [ "$name" = clients ] || run "$name" Rust "$target/debug/examples/$name"
done
for source in examples/hello/hello.py examples/python/*.py; do
    name=$(basename "$source" .py)
    [ "$name" = clients ] || run "$name" Python "$python" "$source"
done
cc -std=c99 -O1 -Wall -Wextra -Werror -pedantic -I"$prefix/include" examples/shared_queue/worker.c \
    -o "$build/c/shared_queue_worker" -L"$prefix/lib" -lcarrick -lpthread "-Wl,-rpath,$PWD/$prefix/lib"
run shared_queue all "$python" examples/shared_queue/squares.py "$build/c/shared_queue_worker" \
    "$target/debug/examples/shared_queue_worker"
echo "$count examples, $failed failed"
[ "$failed" -eq 0 ]
