#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the C tests against the header, with the static and the shared library, and runs them.
# usage: ci/c_tests.sh [CFLAGS...]   CARRICK_RUN=valgrind... puts a command before each program.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${CARRICK_PROFILE:-release}
target=${CARGO_TARGET_DIR:-target}/$profile
[ "$profile" = debug ] && flag=() || flag=(--profile "$profile")
cargo build -q -p carrick-ffi "${flag[@]}"
build=build/c
mkdir -p "$build"
cp "$target/libcarrick_c.so" "$build/libcarrick.so.0"
ln -sf libcarrick.so.0 "$build/libcarrick.so"
cp "$target/libcarrick_c.a" "$build/libcarrick.a"
export CARRICK_VECTORS=$PWD/tests/vectors
warnings=(-Wall -Wextra -Werror -pedantic)
python3 tests/c/null_calls.py include/carrick.h > "$build/null_calls.c"
for linking in static shared; do
    for program in sockets messages gate null_calls; do
        source=tests/c/$program.c
        [ "$program" = null_calls ] && source=$build/null_calls.c
        libraries=("$build/libcarrick.a" -lpthread -ldl -lm)
        [ "$linking" = shared ] && libraries=(-L"$build" -lcarrick -lpthread "-Wl,-rpath,$PWD/$build")
        cc -std=c99 -g -O1 "${warnings[@]}" "$@" -Iinclude -Itests/c "$source" tests/c/harness.c \
            -o "$build/$program-$linking" "${libraries[@]}"
        echo "== C tests: $program, $linking library"
        ${CARRICK_RUN:-} "$build/$program-$linking"
    done
done
printf '#include "carrick.h"\n' > "$build/header.cc"
c++ -std=c++11 "${warnings[@]}" -Iinclude -fsyntax-only "$build/header.cc"
others=$(nm -D --defined-only "$build/libcarrick.so.0" | awk '$3 !~ /^carrick_/ {print $3}')
if [ -n "$others" ]; then
    echo "the shared library exports names that are not carrick's: $others" >&2
    exit 1
fi
